//! Batches with a sound CRC of which something else is not.

#[expect(dead_code, reason = "what Kafka answers, it is asked here")]
#[path = "../../../../broker/tests/world/malformed/cases.rs"]
pub(super) mod cases;

use bytes::Bytes;
use cases::{Batch, Case, SOUND, TWO, beside, cases, compress};
use ottla_protocol::compression::Compression;
use ottla_protocol::messages::fetch::FetchPartition;

use super::records::{fetched, produced};
use super::{batch, chunks, create};
use crate::twin::Twin;

pub(super) async fn play(twin: &mut Twin) {
    create(twin, "malformed", 1, &[]).await;
    for Case { name, bytes, .. } in cases() {
        ask(twin, "malformed", &name, bytes).await;
    }
    let everything =
        FetchPartition { fetch_offset: 0, partition_max_bytes: 1 << 20, ..Default::default() };
    twin.ask("of what was malformed", 12, |side| {
        fetched(side, 12, "malformed", everything.clone())
    })
    .await;
    on_other_topics(twin).await;
    beside_a_sound_one(twin).await;
}

async fn ask(twin: &mut Twin, topic: &str, name: &str, bytes: Vec<u8>) {
    let records = Bytes::from(bytes);
    let case = format!("malformed: {name}");
    twin.ask(&case, 9, |side| produced(side, 9, topic, records.clone().into())).await;
}

/// Where the topic has a say, too.
async fn on_other_topics(twin: &mut Twin) {
    let gzip = |records: &[u8]| {
        let packed = compress(Compression::Gzip, records);
        Batch { codec: Compression::Gzip.id(), ..SOUND }.of(&packed)
    };
    // Records of 8 bytes.
    for (topic, longest) in [("tight", "7"), ("fitting", "8")] {
        create(twin, topic, 1, &[("max.decompressed.message.bytes", longest)]).await;
        ask(twin, topic, &format!("a record where {longest} may be, gzip"), gzip(TWO)).await;
        ask(twin, topic, &format!("a record where {longest} may be"), SOUND.of(TWO)).await;
    }
    for bits in [0x08, 0] {
        let by_broker = Batch { bits, ..SOUND }.of(TWO);
        let name = format!("attributes of {bits} where the broker stamps");
        ask(twin, "stamped", &name, by_broker).await;
    }
    let keyless = b"\x0e\0\0\0\x03\x02v\0\x10\0\0\x04\x02k\x02v\0";
    ask(twin, "compacted", "no key and an offset left out, none", SOUND.of(keyless)).await;
    ask(twin, "compacted", "no key and an offset left out, gzip", gzip(keyless)).await;
    ask(twin, "compacted", "no key and then cut off", SOUND.of(&keyless[..12])).await;
    let (large, misplaced) = (SOUND.of(&[TWO; 20].concat()), Batch { base_offset: 1, ..SOUND });
    ask(twin, "small", "too large and malformed", large).await;
    let contradictory = Batch { count: 0, ..SOUND }.of(&[TWO; 20].concat());
    ask(twin, "small", "too large and of no records", contradictory).await;
    ask(twin, "small", "too large and misplaced", misplaced.of(&[TWO; 20].concat())).await;
}

/// The other partition of the request is not harmed.
async fn beside_a_sound_one(twin: &mut Twin) {
    for (name, bytes, _) in beside() {
        let malformed = Bytes::from(bytes);
        twin.ask(&format!("malformed: {name}, beside a sound one"), 9, |side| {
            let mut request = produced(side, 9, "malformed", malformed.clone().into());
            request.topic_data.extend(produced(side, 9, "log", chunks(batch(&["s"]))).topic_data);
            request
        })
        .await;
    }
}
