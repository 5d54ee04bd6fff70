//! One partition after the other, in turn.

use super::api::{in_turn, nothing_for};
use super::subscribers::subscribers;
use super::{AssignError, Assignment, Assignor, ClusterTopics, MemberSubscription};
use ottla_core::types::TopicPartition;

/// Hands out all partitions of all topics, one after the other, to the members in turn. Whoever does
/// not subscribe to a topic is passed over.
///
/// # Kafka
///
/// `roundrobin`; Java's `RoundRobinAssignor`.
#[derive(Debug, Clone, Copy, Default)]
pub struct RoundRobinAssignor;

impl Assignor for RoundRobinAssignor {
    fn name(&self) -> &'static str {
        "roundrobin"
    }

    fn assign(
        &self,
        cluster: &ClusterTopics,
        members: &[MemberSubscription],
    ) -> Result<Assignment, AssignError> {
        let turns = in_turn(members);
        let mut assignment = nothing_for(members);
        let mut turn = 0;
        for ((topic, partitions), indices) in cluster.iter().zip(subscribers(cluster, &turns)) {
            let mut subscribers = vec![false; turns.len()];
            for index in indices.iter() {
                if let Some(subscribes) = subscribers.get_mut(*index) {
                    *subscribes = true;
                }
            }
            if indices.is_empty() {
                continue;
            }
            for partition in (0_i32..).take(partitions.len()) {
                while subscribers.get(turn) != Some(&true) {
                    turn = (turn + 1) % turns.len();
                }
                if let Some(mine) =
                    turns.get(turn).and_then(|member| assignment.get_mut(&member.member_id))
                {
                    mine.partitions.push(TopicPartition::new(topic, partition));
                }
                turn = (turn + 1) % turns.len();
            }
        }
        Ok(assignment)
    }
}
