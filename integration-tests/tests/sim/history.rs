//! What happened in a run.

use std::fmt::{self, Write as _};
use std::str::FromStr;
use std::time::Duration;

use ottla_core::error::Certainty;

/// Who wrote a record, as its value says: enough to judge a log without knowing its writer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Stamp {
    /// The producer.
    pub(crate) producer: u32,
    /// The record's number: each producer counts from 0, over all partitions, in the order in which
    /// it hands its records over.
    pub(crate) number: u64,
    /// The partition that it was meant for; `None` where the partitioner chose.
    pub(crate) partition: Option<i32>,
}

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { producer, number, partition } = self;
        write!(f, "p{producer}#{number}@{}", partition.map_or(-1, |partition| partition))
    }
}

impl FromStr for Stamp {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let read = || {
            // What is behind a blank only makes the record longer.
            let stamp = text.split(' ').next()?;
            let (producer, rest) = stamp.strip_prefix('p')?.split_once('#')?;
            let (number, partition) = rest.split_once('@')?;
            let partition: i32 = partition.parse().ok()?;
            Some(Self {
                producer: producer.parse().ok()?,
                number: number.parse().ok()?,
                partition: (partition >= 0).then_some(partition),
            })
        };
        read().ok_or_else(|| format!("`{text}` is no stamp"))
    }
}

/// The next offset to process, as a consumer commits it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Commit {
    /// The consumer.
    pub(crate) consumer: u32,
    /// The partition.
    pub(crate) partition: i32,
    /// The offset.
    pub(crate) offset: i64,
}

/// A transaction, as a copier counts its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Attempt {
    /// The copier.
    pub(crate) copier: u32,
    /// Its number.
    pub(crate) number: u32,
}

impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "c{}t{}", self.copier, self.number)
    }
}

impl FromStr for Attempt {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let read = || {
            let (copier, number) = text.strip_prefix('c')?.split_once('t')?;
            Some(Self { copier: copier.parse().ok()?, number: number.parse().ok()? })
        };
        read().ok_or_else(|| format!("`{text}` is no transaction"))
    }
}

/// What became of a transaction, as far as a copier knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// It is written.
    Committed,
    /// Nothing of it is.
    Aborted,
    /// Nobody said.
    Unknown,
}

/// Something that happened to the application.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Event {
    /// A record was handed over.
    Sent(Stamp),
    /// It was acknowledged.
    Acknowledged {
        /// The record.
        stamp: Stamp,
        /// Where it was written.
        partition: i32,
        /// Its offset there; `None` with `acks=0`.
        offset: Option<i64>,
    },
    /// It was given up.
    Failed {
        /// The record.
        stamp: Stamp,
        /// Whether it may have been written all the same.
        certainty: Certainty,
        /// Why.
        error: String,
    },
    /// Whoever handed it over dropped the future before it was taken.
    Withdrawn(Stamp),
    /// Nobody waits for its outcome any more.
    Abandoned(Stamp),
    /// A consumer was given a partition, to go on from a position that it reports with the first
    /// record.
    Assigned {
        /// The consumer.
        consumer: u32,
        /// The partition.
        partition: i32,
    },
    /// A consumer no longer has a partition.
    Revoked {
        /// The consumer.
        consumer: u32,
        /// The partition.
        partition: i32,
    },
    /// A consumer crashed or was closed: what it had is no longer its.
    Died {
        /// The consumer.
        consumer: u32,
    },
    /// A consumer was given a record.
    Delivered {
        /// The consumer.
        consumer: u32,
        /// The partition.
        partition: i32,
        /// Its offset.
        offset: i64,
        /// Who wrote it.
        stamp: Stamp,
    },
    /// An offset is being committed: all before it has been processed.
    Committing(Commit),
    /// The commit was acknowledged.
    Committed(Commit),
    /// The commit failed; it may have been done all the same.
    CommitFailed(Commit),
    /// What is committed when all is over, as a consumer of no partition is told.
    FinallyCommitted {
        /// The partition.
        partition: i32,
        /// The offset; `None` where there was no commit.
        offset: Option<i64>,
    },
    /// A position was decided by `auto.offset.reset`, and that was reported.
    Reset {
        /// The consumer.
        consumer: u32,
        /// The partition.
        partition: i32,
        /// Where it is read from now.
        to: i64,
    },
    /// A copy was handed to a transaction.
    Wrote {
        /// The transaction.
        attempt: Attempt,
        /// What was copied.
        stamp: Stamp,
    },
    /// A transaction ended.
    Ended {
        /// The transaction.
        attempt: Attempt,
        /// How.
        outcome: Ended,
    },
    /// A reader of committed records was given a copy.
    ReadBack {
        /// The partition.
        partition: i32,
        /// Its offset.
        offset: i64,
        /// Its value.
        value: String,
    },
    /// A client heard of a partition's leader.
    Epoch {
        /// The client.
        client: u64,
        /// The partition.
        partition: i32,
        /// The leader epoch.
        epoch: i32,
    },
    /// Something was not done in its time.
    Late {
        /// What.
        what: String,
        /// Its time.
        limit: Duration,
    },
    /// Everything is well again, and something does not go on.
    Stuck(String),
    /// Something was broken or mended.
    Fault(String),
}

/// The records of a partition, read without the client: offset and value.
#[derive(Debug, Clone, Default)]
pub(crate) struct FinalLog {
    /// In the order of the log.
    pub(crate) records: Vec<(i64, String)>,
    /// What an unclean election took away.
    pub(crate) lost: Vec<(i64, String)>,
}

/// All that happened in a run, in order.
#[derive(Debug, Clone, Default)]
pub(crate) struct History {
    events: Vec<(Duration, Event)>,
}

impl History {
    /// Adds what happened at `at`, counted from the beginning of the run.
    pub(crate) fn add(&mut self, at: Duration, event: Event) {
        self.events.push((at, event));
    }

    /// What happened, in order.
    pub(crate) fn events(&self) -> impl DoubleEndedIterator<Item = &(Duration, Event)> {
        self.events.iter()
    }

    /// Where two histories part: the line's number, and the line of each.
    pub(crate) fn first_difference(&self, other: &Self) -> Option<(usize, String, String)> {
        let (one, other) = (self.render(), other.render());
        let (mut ones, mut others) = (one.lines(), other.lines());
        for number in 1.. {
            match (ones.next(), others.next()) {
                (None, None) => break,
                (one, other) if one == other => {}
                (one, other) => {
                    let text = |line: Option<&str>| line.unwrap_or_default().to_owned();
                    return Some((number, text(one), text(other)));
                }
            }
        }
        None
    }

    /// The history as text, one line for each event.
    pub(crate) fn render(&self) -> String {
        let mut text = String::new();
        for (at, event) in &self.events {
            let _ = writeln!(text, "{:>9.3} {event:?}", at.as_secs_f64());
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_is_read_as_it_was_written() {
        for partition in [None, Some(0), Some(11)] {
            let stamp = Stamp { producer: 3, number: 99, partition };
            assert_eq!(format!("{stamp} xxxxx").parse(), Ok(stamp));
        }
    }

    #[test]
    fn other_text_is_no_stamp() {
        for text in ["", "p1", "p1#2", "q1#2@3", "p1#x@3"] {
            assert!(text.parse::<Stamp>().is_err(), "{text}");
        }
    }
}
