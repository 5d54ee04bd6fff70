//! Where the answers may differ, each with the reason.

use std::collections::BTreeSet;

use crate::fields::Fields;
use crate::twin::Exchange;

/// A difference that is meant.
struct Accepted {
    /// The request, as `API version case`; `*` stands for anything.
    request: &'static str,
    /// The path of the field; `*` stands for anything.
    field: &'static str,
    /// Why.
    #[expect(dead_code, reason = "read by people")]
    reason: &'static str,
}

const fn accepted(request: &'static str, field: &'static str, reason: &'static str) -> Accepted {
    Accepted { request, field, reason }
}

const GENERAL: &str =
    "Kafka has a text for the code and none for the case, which clients have, too";
const REASONED: &str = "Kafka gives no reason, ours helps";

const ACCEPTED: &[Accepted] = &[
    accepted("ApiVersions *", "api_keys[*]", "later slices; only what is served is announced"),
    accepted("ApiVersions *", "supported_features*", "features of later slices"),
    accepted("ApiVersions *", "finalized_features*", "features of later slices"),
    accepted("DescribeConfigs 4 of a kind that is none", "*.error_message", GENERAL),
    accepted("FindCoordinator * of a kind that is none", "*error_message", GENERAL),
    accepted("DescribeProducers 0 of nothing known", "*.error_message", GENERAL),
    accepted("DeleteTopics * of nothing known", "*.error_message", GENERAL),
    accepted("DeleteTopics 6 by an unknown id", "*.error_message", GENERAL),
    accepted("Produce 9 too large", "*.error_message", REASONED),
    accepted("Produce 9 two batches", "*.error_message", REASONED),
    accepted("Produce 9 no batch", "*.error_message", REASONED),
    accepted("Produce 9 with a bad checksum", "*.error_message", REASONED),
    accepted("Produce 9 of magic 1", "*.error_message", REASONED),
    accepted("Produce 9 cut off", "*.error_message", REASONED),
    accepted("Produce * malformed: *", "*.error_message", REASONED),
    accepted(
        "Produce 9 malformed: *",
        "*.batch_index_error_message",
        "it names a class of Kafka's, and what is in one",
    ),
    accepted(
        "Produce 9 from long ago",
        "*.batch_index_error_message",
        "it names the time, which has gone on",
    ),
    accepted(
        "*",
        "*configs[min.insync.replicas]*",
        "eligible leader replicas have Kafka set it on the whole cluster",
    ),
    accepted(
        "DescribeConfigs 4 of all brokers",
        "*.configs",
        "eligible leader replicas have Kafka set one on the whole cluster",
    ),
    accepted(
        "IncrementalAlterConfigs 1 by no operation",
        "*.error_*",
        "Kafka has no case for it and answers UNKNOWN_SERVER_ERROR",
    ),
    accepted(
        "Metadata * by a null name alone",
        "*",
        "Kafka fails on its own null, ours says that the id is unknown",
    ),
    accepted("Produce 9 null", "answer", "Kafka fails on its own null and never answers"),
    accepted(
        "Produce *",
        "*.log_append_time_ms",
        "of a duplicate Kafka tells when it came first, which no client reads",
    ),
    accepted(
        "Fetch 12 of a hundred bytes",
        "*.records*",
        "Kafka cuts within a batch, ours sends whole ones",
    ),
];

/// The differences that are not accepted, and the accepted ones that are none any more.
pub(crate) fn unexpected(exchanges: &[Exchange]) -> Vec<String> {
    let mut used = vec![false; ACCEPTED.len()];
    let mut unexpected = Vec::new();
    for Exchange { what, said } in exchanges {
        let [ours, kafkas] = &said[..] else { panic!("two brokers were asked") };
        for (field, ours, kafkas) in different(ours, kafkas) {
            let fits = |accepted: &Accepted| {
                is_like(what, accepted.request) && is_like(&field, accepted.field)
            };
            match ACCEPTED.iter().position(fits) {
                Some(at) => used[at] = true,
                None => {
                    unexpected.push(format!("{what}: {field}: {ours}, but Kafka says {kafkas}"));
                }
            }
        }
    }
    let stale = ACCEPTED.iter().zip(used).filter(|(_, used)| !used);
    let tell = |(accepted, _): (&Accepted, bool)| {
        format!("accepted, but it does not differ: {} {}", accepted.request, accepted.field)
    };
    unexpected.extend(stale.map(tell));
    unexpected
}

type Said = Result<Fields, String>;

/// Where two answers differ: the field, what ours says and what Kafka's says.
fn different(ours: &Said, kafkas: &Said) -> BTreeSet<(String, String, String)> {
    let (ours, kafkas) = match (ours, kafkas) {
        (Ok(ours), Ok(kafkas)) => (ours, kafkas),
        (Err(ours), Err(kafkas)) if ours == kafkas => return BTreeSet::new(),
        (ours, kafkas) => {
            let said = |said: &Said| said.as_ref().err().map_or("an answer", |e| e).to_owned();
            return BTreeSet::from([("answer".to_owned(), said(ours), said(kafkas))]);
        }
    };
    let paths: BTreeSet<&String> = ours.keys().chain(kafkas.keys()).collect();
    let unlike = paths.into_iter().filter(|path| ours.get(*path) != kafkas.get(*path));
    unlike.map(|path| row(path, ours, kafkas)).collect()
}

/// One row for an element that only one of them has, however many fields are in it.
fn row(path: &str, ours: &Fields, kafkas: &Fields) -> (String, String, String) {
    let ends = path.match_indices(']').map(|(at, _)| &path[..=at]);
    let lacks = |fields: &Fields, element: &str| !fields.keys().any(|key| key.starts_with(element));
    for element in ends {
        match (lacks(ours, element), lacks(kafkas, element)) {
            (true, _) => return (element.to_owned(), "nothing".into(), "something".into()),
            (_, true) => return (element.to_owned(), "something".into(), "nothing".into()),
            (false, false) => {}
        }
    }
    let value = |fields: &Fields| fields.get(path).map_or("nothing", |value| value).to_owned();
    (path.to_owned(), value(ours), value(kafkas))
}

/// Whether `text` is like `pattern`, in which `*` stands for anything.
fn is_like(text: &str, pattern: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else { return text == pattern };
    let Some(text) = text.strip_prefix(start) else { return false };
    (0..=text.len()).filter(|at| text.is_char_boundary(*at)).any(|at| is_like(&text[at..], rest))
}
