//! What a member knows of its group.

use bytestring::ByteString;

/// Who commits for which group in which generation.
///
/// A consumer hands it to a transactional producer, so that the offsets of a member that was fenced
/// are refused (KIP-447).
///
/// # Kafka
///
/// Java's `ConsumerGroupMetadata`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsumerGroupMetadata {
    /// The group.
    pub group_id: ByteString,
    /// The generation of a classic group, or the member epoch of KIP-848; −1 outside of any.
    pub generation_id: i32,
    /// The member; empty outside of any generation.
    pub member_id: ByteString,
    /// `group.instance.id` of a static member.
    pub group_instance_id: Option<ByteString>,
}

impl ConsumerGroupMetadata {
    /// Somebody who commits for `group_id` without being its member.
    pub fn standalone(group_id: impl Into<ByteString>) -> Self {
        Self {
            group_id: group_id.into(),
            generation_id: -1,
            member_id: ByteString::new(),
            group_instance_id: None,
        }
    }
}
