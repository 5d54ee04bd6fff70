//! What a member knows of its group.

use bytestring::ByteString;

use super::Offsets;

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

/// How far an application has come in what it reads for a group.
///
/// Consumers say it of what they hand out, and a transactional producer commits it together with
/// what came of that: neither has to know the other.
pub trait Progress {
    /// Who reads, as of the moment at which the records were handed out: a member that has lost its
    /// partitions since is refused then (KIP-447). `None` outside of any group.
    fn group(&self) -> Option<ConsumerGroupMetadata>;

    /// Of each partition, the next record to be processed.
    fn offsets(&self) -> Offsets;
}

/// Of several batches, the last of each partition counts. Whoever read the first must have read them
/// all.
impl<P: Progress> Progress for [P] {
    fn group(&self) -> Option<ConsumerGroupMetadata> {
        self.first()?.group()
    }

    fn offsets(&self) -> Offsets {
        self.iter().flat_map(P::offsets).collect()
    }
}

/// For those who keep offsets themselves.
impl Progress for (ConsumerGroupMetadata, Offsets) {
    fn group(&self) -> Option<ConsumerGroupMetadata> {
        Some(self.0.clone())
    }

    fn offsets(&self) -> Offsets {
        self.1.clone()
    }
}
