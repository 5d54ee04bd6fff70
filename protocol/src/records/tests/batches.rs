//! Walking a fetch.

use super::*;

#[test]
fn only_headers_are_read() {
    let mut garbage = batch_of(3).bytes().to_vec();
    garbage[61..].fill(0xff);
    let bytes = Bytes::from([&garbage[..], &batch_of(2).bytes()[..]].concat());
    let batches: Vec<_> = Batches::new(bytes).map(Result::unwrap).collect();
    assert_eq!(batches.len(), 2);
    assert_eq!(batches[1].next_offset(), 2);
    assert!(batches[0].verify_crc().is_err());
    batches[1].verify_crc().unwrap();
}

#[test]
fn batches_share_the_bytes_of_the_fetch() {
    let bytes = Bytes::copy_from_slice(batch_of(3).bytes());
    let Some(Ok(Batch::V2(batch))) = Batches::new(bytes.clone()).next() else { panic!("none") };
    assert_eq!(batch.bytes().as_ptr(), bytes.as_ptr());
}

#[test]
fn an_unknown_magic_is_an_error_and_ends_the_walk() {
    let mut bytes = batch_of(1).bytes().to_vec();
    let len = bytes.len();
    bytes.extend_from_slice(&bytes.clone());
    bytes[len + 16] = 3;
    let mut batches = Batches::new(Bytes::from(bytes));
    assert!(batches.next().unwrap().is_ok());
    let refused = RecordsError::Batch { at: len, fault: BatchFault::Magic { magic: 3 } };
    assert_eq!(batches.next().unwrap(), Err(refused));
    assert!(batches.next().is_none());
}

#[test]
fn a_length_below_the_header_is_an_error_not_a_loop() {
    for length in [i32::MIN, -12, -1, 0, 48] {
        let mut bytes = batch_of(1).bytes().to_vec();
        bytes[8..12].copy_from_slice(&length.to_be_bytes());
        let mut batches = Batches::new(Bytes::from(bytes));
        let fault = BatchFault::Length { length };
        assert_eq!(batches.next(), Some(Err(RecordsError::Batch { at: 0, fault })));
        assert!(batches.next().is_none());
    }
}

#[test]
fn a_length_beyond_the_bytes_is_a_truncated_batch() {
    let mut bytes = batch_of(1).bytes().to_vec();
    bytes[8..12].copy_from_slice(&i32::MAX.to_be_bytes());
    let mut batches = Batches::new(Bytes::from(bytes.clone()));
    assert!(batches.next().is_none());
    assert_eq!(batches.truncated_len(), bytes.len());
}

#[test]
fn an_empty_fetch_has_no_batches() {
    let mut batches = Batches::new(Bytes::new());
    assert!(batches.next().is_none());
    assert_eq!(batches.truncated_len(), 0);
}
