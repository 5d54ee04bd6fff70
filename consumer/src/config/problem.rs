//! Which settings of a consumer do not fit one another.

use std::time::Duration;

use ottla_core::config::ClientConfig;

use super::ConsumerConfig;

/// Settings that do not fit one another, or could not be sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConsumerConfigProblem {
    /// A group without a name.
    #[error("group.id must not be empty; leave it out to be in no group")]
    EmptyGroupId,
    /// A static member is one of a group.
    #[error("group.instance.id needs a group.id")]
    InstanceWithoutGroup,
    /// The name of a static member follows Kafka's rules for names.
    #[error("group.instance.id must be 1 to 249 letters, digits, dots, underscores or dashes")]
    IllegalInstanceId,
    /// The session would end between two heartbeats.
    #[error(
        "heartbeat.interval.ms={} must be below session.timeout.ms={}; a third is best",
        heartbeat.as_millis(),
        session.as_millis()
    )]
    Heartbeat {
        /// `heartbeat.interval.ms`.
        heartbeat: Duration,
        /// `session.timeout.ms`.
        session: Duration,
    },
    /// Requests hold it as milliseconds in 31 bits, and it is no wait at all below one.
    #[error("{name} must be 1 to 2147483647 milliseconds")]
    NotInMillis {
        /// The property.
        name: &'static str,
    },
    /// Nobody could say who has which partition.
    #[error("partition.assignment.strategy names no strategy")]
    NoStrategy,
    /// A poll would never lend a record.
    #[error("max.poll.records must be at least 1")]
    NoRecords,
    /// A fetch that waits would look unanswered.
    #[error(
        "fetch.max.wait.ms={} must be below request.timeout.ms={}",
        wait.as_millis(),
        timeout.as_millis()
    )]
    FetchWait {
        /// `fetch.max.wait.ms`.
        wait: Duration,
        /// `request.timeout.ms`.
        timeout: Duration,
    },
    /// No answer could be large enough.
    #[error("fetch.min.bytes={least} must not exceed fetch.max.bytes={most}")]
    FetchBytes {
        /// `fetch.min.bytes`.
        least: u32,
        /// `fetch.max.bytes`.
        most: u32,
    },
    /// An answer that is asked for would be refused when it comes.
    #[error("fetch.max.bytes={most} must not exceed receive.message.max.bytes={frame}")]
    ResponseBytes {
        /// `fetch.max.bytes`.
        most: u32,
        /// `receive.message.max.bytes`.
        frame: usize,
    },
}

/// Settings that work and are seldom meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConfigDoubt {
    /// The property.
    pub name: &'static str,
    /// What comes of it.
    pub why: &'static str,
}

impl ConsumerConfig {
    /// What is wrong with these settings together and with those of the client; empty if nothing is.
    #[must_use]
    pub fn problems(&self, client: &ClientConfig) -> Vec<ConsumerConfigProblem> {
        let mut problems = self.group_problems();
        problems.extend(self.fetch_problems(client));
        problems
    }

    /// What is seldom meant; empty if nothing is.
    #[must_use]
    pub fn doubts(&self) -> Vec<ConfigDoubt> {
        let (heartbeat, session) = (self.heartbeat_interval, self.session_timeout);
        let partition = self.max_partition_fetch_bytes;
        let doubts = [
            (
                heartbeat < session && heartbeat > session / 3,
                "heartbeat.interval.ms",
                "over a third of session.timeout.ms, two heartbeats that are lost end the membership",
            ),
            (
                self.enable_auto_commit && self.auto_commit_interval.is_zero(),
                "auto.commit.interval.ms",
                "with 0, commits are 10 ms apart; for none, set enable.auto.commit=false",
            ),
            (
                self.fetch_max_wait.is_zero(),
                "fetch.max.wait.ms",
                "with 0, brokers that have nothing to read are asked again without end",
            ),
            (
                self.fetch_min_bytes == 0,
                "fetch.min.bytes",
                "with 0, brokers that have nothing to read are asked again without end; set 1",
            ),
            (
                self.max_poll_interval < session,
                "max.poll.interval.ms",
                "below session.timeout.ms, a slow application is found before a dead one",
            ),
            (
                partition > self.fetch_max_bytes,
                "max.partition.fetch.bytes",
                "over fetch.max.bytes, it has no effect",
            ),
            (
                usize::try_from(partition).is_ok_and(|bytes| self.fetch_buffer_memory < bytes),
                "fetch.buffer.memory",
                "below max.partition.fetch.bytes, brokers are asked one after the other",
            ),
        ];
        let doubts = doubts.into_iter().filter(|(doubtful, _, _)| *doubtful);
        doubts.map(|(_, name, why)| ConfigDoubt { name, why }).collect()
    }

    fn group_problems(&self) -> Vec<ConsumerConfigProblem> {
        let (heartbeat, session) = (self.heartbeat_interval, self.session_timeout);
        let (group, instance) = (self.group_id.as_deref(), self.group_instance_id.as_deref());
        let millis = [
            ("session.timeout.ms", session),
            ("heartbeat.interval.ms", heartbeat),
            ("max.poll.interval.ms", self.max_poll_interval),
        ];
        let mut problems = Vec::new();
        let mut refuse = |wrong: bool, problem| {
            if wrong {
                problems.push(problem);
            }
        };
        refuse(group == Some(""), ConsumerConfigProblem::EmptyGroupId);
        refuse(instance.is_some() && group.is_none(), ConsumerConfigProblem::InstanceWithoutGroup);
        refuse(
            instance.is_some_and(|name| !is_legal_name(name)),
            ConsumerConfigProblem::IllegalInstanceId,
        );
        refuse(heartbeat >= session, ConsumerConfigProblem::Heartbeat { heartbeat, session });
        for (name, duration) in millis {
            refuse(!is_in_millis(duration), ConsumerConfigProblem::NotInMillis { name });
        }
        problems
    }

    fn fetch_problems(&self, client: &ClientConfig) -> Vec<ConsumerConfigProblem> {
        let (wait, timeout) = (self.fetch_max_wait, client.request_timeout);
        let (least, most, frame) =
            (self.fetch_min_bytes, self.fetch_max_bytes, client.max_response);
        let mut problems = Vec::new();
        let mut refuse = |wrong: bool, problem| {
            if wrong {
                problems.push(problem);
            }
        };
        refuse(self.max_poll_records == Some(0), ConsumerConfigProblem::NoRecords);
        refuse(wait >= timeout, ConsumerConfigProblem::FetchWait { wait, timeout });
        refuse(least > most, ConsumerConfigProblem::FetchBytes { least, most });
        refuse(
            usize::try_from(most).is_ok_and(|most| most > frame),
            ConsumerConfigProblem::ResponseBytes { most, frame },
        );
        problems
    }
}

/// Kafka's rules for it: letters, digits, `.`, `_` and `-`, as in names of topics.
pub(super) fn is_legal_name(text: &str) -> bool {
    let is_legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    (1..=249).contains(&text.len()) && text.bytes().all(is_legal)
}

fn is_in_millis(duration: Duration) -> bool {
    (1..=u128::from(i32::MAX.unsigned_abs())).contains(&duration.as_millis())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_have_neither_problem_nor_doubt() {
        check(|_| {}, &[]);
        assert_eq!(ConsumerConfig::default().doubts(), []);
    }

    #[test]
    fn names_are_those_of_kafka() {
        check(|it| it.group_id = Some(String::new()), &[ConsumerConfigProblem::EmptyGroupId]);
        check(
            |it| it.group_instance_id = Some("a b".into()),
            &[
                ConsumerConfigProblem::InstanceWithoutGroup,
                ConsumerConfigProblem::IllegalInstanceId,
            ],
        );
    }

    #[test]
    fn what_requests_cannot_hold_is_told() {
        let not_in_millis = |name| ConsumerConfigProblem::NotInMillis { name };
        check(
            |it| {
                it.session_timeout = Duration::MAX;
                it.heartbeat_interval = Duration::ZERO;
                it.max_poll_interval = Duration::from_secs(3_000_000);
                it.max_poll_records = Some(0);
            },
            &[
                not_in_millis("session.timeout.ms"),
                not_in_millis("heartbeat.interval.ms"),
                not_in_millis("max.poll.interval.ms"),
                ConsumerConfigProblem::NoRecords,
            ],
        );
    }

    #[test]
    fn a_buffer_below_one_partition_is_doubtful() {
        let config = ConsumerConfig { fetch_buffer_memory: 1_000, ..ConsumerConfig::default() };
        let names: Vec<&str> = config.doubts().iter().map(|doubt| doubt.name).collect();
        assert_eq!(names, ["fetch.buffer.memory"]);
    }

    #[track_caller]
    fn check(change: impl FnOnce(&mut ConsumerConfig), expected: &[ConsumerConfigProblem]) {
        let mut config = ConsumerConfig::default();
        change(&mut config);
        assert_eq!(config.problems(&ClientConfig::default()), expected);
    }
}
