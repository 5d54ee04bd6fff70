//! Turns batches into records.

use std::sync::Arc;

use bytes::Bytes;

use super::{
    LegacyMessage, LegacyRecords, OwnedLegacyRecords, OwnedRecords, RecordBatch, Records,
    RecordsError,
};
use crate::compression::{Compression, Decompressor};

/// Decompresses and lends the records of one batch after another, reusing its buffer and contexts.
///
/// It does not verify CRCs: [`RecordBatch::verify_crc`] does. Uncompressed batches are read where
/// they are and cost no buffer.
#[derive(Debug)]
pub struct BatchDecoder {
    decompressor: Decompressor,
    scratch: Vec<u8>,
    max_decompressed_len: usize,
}

impl BatchDecoder {
    /// A decoder that refuses batches whose records unpack to more than `max_decompressed_len`
    /// bytes. Above `i32::MAX` it means `i32::MAX`, which no batch of Java's exceeds either.
    #[must_use]
    pub fn new(max_decompressed_len: usize) -> Self {
        let max_decompressed_len = max_decompressed_len.min(i32::MAX as usize);
        Self { decompressor: Decompressor::new(), scratch: Vec::new(), max_decompressed_len }
    }

    /// Lends the records of a batch, from the batch itself or from the decoder's buffer.
    ///
    /// # Errors
    ///
    /// [`RecordsError`], when the records cannot be decompressed, or are too few bytes for their
    /// count. The records themselves are checked as they are iterated.
    pub fn records<'a>(&'a mut self, batch: &'a RecordBatch) -> Result<Records<'a>, RecordsError> {
        let encoded = batch.encoded_records();
        let section = match batch.header().compression()? {
            Compression::None => encoded,
            compression => self.decompress(compression, encoded)?,
        };
        Records::over(batch.header(), section)
    }

    /// The records of a batch as values that outlive the decoder.
    ///
    /// # Errors
    ///
    /// As [`Self::records`].
    pub fn owned_records(&mut self, batch: &RecordBatch) -> Result<OwnedRecords, RecordsError> {
        let section = match batch.header().compression()? {
            Compression::None => batch.share_encoded_records(),
            // Copied from the scratch, so that records which live long hold no more than they use.
            compression => {
                Bytes::copy_from_slice(self.decompress(compression, batch.encoded_records())?)
            }
        };
        OwnedRecords::over(batch.header(), Arc::new(section))
    }

    /// Lends the records of a legacy message: one, or those in a wrapper.
    ///
    /// # Errors
    ///
    /// [`RecordsError`], when the wrapper cannot be decompressed or its frame is wrong.
    pub fn legacy_records<'a>(
        &'a mut self,
        message: &'a LegacyMessage,
    ) -> Result<LegacyRecords<'a>, RecordsError> {
        let section = match message.compression()? {
            Compression::None => message.bytes(),
            compression => self.decompress_legacy(compression, message)?,
        };
        LegacyRecords::new(message, section)
    }

    /// The records of a legacy message as values that outlive the decoder.
    ///
    /// # Errors
    ///
    /// As [`Self::legacy_records`].
    pub fn owned_legacy_records(
        &mut self,
        message: &LegacyMessage,
    ) -> Result<OwnedLegacyRecords, RecordsError> {
        let section = match message.compression()? {
            Compression::None => message.bytes().clone(),
            compression => Bytes::copy_from_slice(self.decompress_legacy(compression, message)?),
        };
        OwnedLegacyRecords::new(message, Arc::new(section))
    }

    fn decompress(
        &mut self,
        compression: Compression,
        input: &[u8],
    ) -> Result<&[u8], RecordsError> {
        let limit = self.max_decompressed_len;
        self.decompressor.decompress(compression, input, &mut self.scratch, limit)?;
        Ok(&self.scratch)
    }

    fn decompress_legacy(
        &mut self,
        compression: Compression,
        message: &LegacyMessage,
    ) -> Result<&[u8], RecordsError> {
        self.decompressor.decompress_checking(
            compression,
            message.wrapped()?,
            &mut self.scratch,
            self.max_decompressed_len,
            message.lz4_header_checksum(),
        )?;
        Ok(&self.scratch)
    }
}
