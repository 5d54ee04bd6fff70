//! Record batches of every magic.

use bytes::Bytes;
use ottla_protocol::records::{
    Batch, BatchBuilder, BatchDecoder, BatchHeader, Batches, ControlRecordKey,
    EndTransactionMarker, LegacyMessage, NewRecord, OwnedRecord, RecordBatch, RecordsError,
    SealOptions,
};

/// Most bytes that the records of one batch may unpack to.
const LIMIT: usize = 1 << 20;

/// The input is the records field of a fetched partition.
pub fn batch(data: &[u8]) {
    let mut batches = Batches::new(Bytes::copy_from_slice(data));
    let mut decoder = BatchDecoder::new(LIMIT);
    let mut left = batches.truncated_len();
    while let Some(Ok(batch)) = batches.next() {
        assert!(batches.truncated_len() < left, "a batch takes bytes");
        left = batches.truncated_len();
        // It fails for almost every input; what lies behind it must stand without it.
        let _ = batch.verify_crc();
        match batch {
            Batch::V2(batch) => check_v2(&mut decoder, &batch),
            Batch::Legacy(message) => check_legacy(&mut decoder, &message),
        }
    }
    assert!(batches.next().is_none(), "the first error is the last item");
}

fn check_v2(decoder: &mut BatchDecoder, batch: &RecordBatch) {
    let header = *batch.header();
    assert_eq!(header.encode(), batch.bytes()[..BatchHeader::LEN]);
    assert_eq!(RecordBatch::parse(batch.bytes().clone()).as_ref(), Ok(batch));
    assert_eq!(&batch.to_sealed().freeze(), batch);
    let owned = decoder.owned_records(batch).map(Iterator::collect::<Vec<_>>);
    let lent = decoder.records(batch);
    match (lent, owned) {
        (Ok(lent), Ok(owned)) => {
            check_equal(lent, &owned);
            let whole: Result<Vec<_>, _> = owned.into_iter().collect();
            let whole = whole.into_iter().filter(|records| ascends(&header, records));
            whole.for_each(|records| check_rebuilt(&header, &records));
        }
        (lent, owned) => assert_eq!(lent.err(), owned.err()),
    }
}

fn check_legacy(decoder: &mut BatchDecoder, message: &LegacyMessage) {
    let owned = decoder.owned_legacy_records(message).map(Iterator::collect::<Vec<_>>);
    match (decoder.legacy_records(message), owned) {
        (Ok(lent), Ok(owned)) => check_equal(lent, &owned),
        (lent, owned) => assert_eq!(lent.err(), owned.err()),
    }
}

/// Lent and owned records say the same, and end at the first error.
fn check_equal<'a>(
    lent: impl Iterator<Item = Result<ottla_protocol::records::Record<'a>, RecordsError>>,
    owned: &[Result<OwnedRecord, RecordsError>],
) {
    let mut left = owned.len();
    for (lent, owned) in lent.zip(owned) {
        left -= 1;
        let (Ok(lent), Ok(owned)) = (&lent, owned) else {
            assert_eq!(lent.err().as_ref(), owned.as_ref().err());
            assert_eq!(left, 0, "the first error is the last item");
            return;
        };
        assert_eq!(*lent, owned.as_record());
        assert_eq!(lent.headers.iter().count(), lent.headers.len());
        // Any record may claim to be a control record.
        let _ = (ControlRecordKey::parse(lent), EndTransactionMarker::parse(lent));
    }
    assert_eq!(left, 0, "as many are lent as owned");
}

/// Whether offsets are such as are built here. What others wrote has any.
fn ascends(header: &BatchHeader, records: &[OwnedRecord]) -> bool {
    records.first().is_none_or(|first| first.offset() >= header.base_offset)
        && records.is_sorted_by(|a, b| a.offset() < b.offset())
}

/// The records of a whole batch survive being built into another.
fn check_rebuilt(header: &BatchHeader, records: &[OwnedRecord]) {
    let mut builder = BatchBuilder::new();
    for record in records {
        let lent = record.as_record();
        let delta = i32::try_from(lent.offset - header.base_offset).expect("it was a delta before");
        let again = NewRecord {
            timestamp: lent.timestamp,
            key: lent.key,
            value: lent.value,
            headers: lent.headers,
        };
        builder.append_at(delta, again).expect("it was in a batch before");
    }
    let options = SealOptions { base_offset: header.base_offset, ..SealOptions::default() };
    let again = builder.seal(&options).freeze();
    again.verify_crc().expect("our own CRC");
    let read: Result<Vec<_>, _> =
        BatchDecoder::new(LIMIT).owned_records(&again).expect("our own batch").collect();
    assert_eq!(read.as_deref(), Ok(records));
}
