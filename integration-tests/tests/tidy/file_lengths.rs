//! A file is one concept, and a concept is read in one sitting.

use std::path::Path;

use crate::house::{assert_none, files_ending, text};

const HAND_WRITTEN_LINES: usize = 800;

/// Nobody reads generated code from top to bottom, but an editor and a debugger still open it.
const GENERATED_LINES: usize = 3_000;
const GENERATED: &str = "protocol/src/messages";

/// Files over the limit that are one concept all the same: path, and why cutting would make it
/// harder to read.
const LONG_FOR_A_REASON: &[(&str, &str)] = &[];

#[test]
fn no_file_outgrows_its_reader() {
    let mut complaints = Vec::new();
    for path in files_ending(".rs") {
        let lines = text(&path).map_or(0, |text| text.lines().count());
        let path = path.to_str().expect("our paths are UTF-8");
        complaints.extend(complaint(path, lines, LONG_FOR_A_REASON));
    }
    assert_none(&complaints);
}

#[test]
fn every_excused_file_exists() {
    for (path, _) in LONG_FOR_A_REASON {
        assert!(text(path).is_some(), "{path} is gone: take it off LONG_FOR_A_REASON");
    }
}

#[test]
fn eight_hundred_lines_are_the_limit() {
    assert_eq!(complaint("core/src/a.rs", 800, &[]), None);
    assert!(complaint("core/src/a.rs", 801, &[]).is_some());
}

#[test]
fn a_listed_file_may_be_longer() {
    assert_eq!(complaint("core/src/a.rs", 801, &[("core/src/a.rs", "one table")]), None);
}

#[test]
fn a_listed_file_that_shrank_leaves_the_list() {
    assert!(complaint("core/src/a.rs", 800, &[("core/src/a.rs", "one table")]).is_some());
}

#[test]
fn generated_messages_have_a_limit_of_their_own() {
    assert_eq!(complaint("protocol/src/messages/fetch.rs", 3_000, &[]), None);
    assert!(complaint("protocol/src/messages/fetch.rs", 3_001, &[]).is_some());
}

fn complaint(path: &str, lines: usize, excused: &[(&str, &str)]) -> Option<String> {
    if Path::new(path).starts_with(GENERATED) {
        return (lines > GENERATED_LINES).then(|| {
            format!("{path} has {lines} lines, over {GENERATED_LINES}: let the generator cut it")
        });
    }
    let listed = excused.iter().any(|(name, _)| *name == path);
    match (lines > HAND_WRITTEN_LINES, listed) {
        (true, false) => Some(format!(
            "{path} has {lines} lines, over {HAND_WRITTEN_LINES}: split it where a reader \
             would, or give the reason not to in LONG_FOR_A_REASON"
        )),
        (false, true) => {
            Some(format!("{path} has only {lines} lines now: take it off LONG_FOR_A_REASON"))
        }
        (true, true) | (false, false) => None,
    }
}
