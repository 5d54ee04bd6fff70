//! Which replicas of a partition are on which nodes.

use std::collections::{BTreeMap, BTreeSet};

use ottla_protocol::ErrorCode;
use ottla_protocol::messages::create_partitions::CreatePartitionsAssignment;
use ottla_protocol::messages::create_topics::{CreatableReplicaAssignment, CreatableTopic};

use crate::api::Refused;
use crate::world::{NodeId, World};

pub(super) fn automatic(
    world: &World,
    topic: &CreatableTopic,
) -> Result<Vec<Vec<NodeId>>, Refused> {
    let partitions = match topic.num_partitions {
        -1 => world.settings.number("num.partitions"),
        ..=0 => {
            let reason = "Number of partitions was set to an invalid non-positive value.";
            return Err(Refused::new(ErrorCode::InvalidPartitions, reason));
        }
        count => i64::from(count),
    };
    let replicas = match topic.replication_factor {
        -1 => world.settings.number("default.replication.factor"),
        ..=0 => {
            let reason =
                "Replication factor must be larger than 0, or -1 to use the default value.";
            return Err(Refused::new(ErrorCode::InvalidReplicationFactor, reason));
        }
        factor => i64::from(factor),
    };
    let partitions = usize::try_from(partitions).unwrap_or(usize::MAX);
    spread(world, 0, partitions, usize::try_from(replicas).unwrap_or(usize::MAX))
}

pub(super) fn spread(
    world: &World,
    from: usize,
    count: usize,
    replicas: usize,
) -> Result<Vec<Vec<NodeId>>, Refused> {
    let live = world.catalog.alive().len();
    if replicas > live {
        let reason = format!(
            "Unable to replicate the partition {replicas} time(s): The target replication factor \
             of {replicas} cannot be reached because only {live} broker(s) are registered or some \
             brokers have all their log directories cordoned."
        );
        return Err(Refused::new(ErrorCode::InvalidReplicationFactor, reason));
    }
    Ok(world.catalog.assign(from, count, replicas))
}

pub(super) fn manual(
    world: &World,
    topic: &CreatableTopic,
    assignments: &[CreatableReplicaAssignment],
) -> Result<Vec<Vec<NodeId>>, Refused> {
    let both = |what| {
        let reason =
            format!("A manual partition assignment was specified, but {what} was not set to -1.");
        Err(Refused::new(ErrorCode::InvalidRequest, reason))
    };
    if topic.replication_factor != -1 {
        return both("replication factor");
    }
    if topic.num_partitions != -1 {
        return both("numPartitions");
    }
    let mut by_index = BTreeMap::new();
    for assignment in assignments {
        let replicas = check_replicas(world, &assignment.broker_ids)?;
        if by_index.insert(assignment.partition_index, replicas).is_some() {
            let index = assignment.partition_index;
            let reason =
                format!("Found multiple manual partition assignments for partition {index}");
            return Err(Refused::new(ErrorCode::InvalidReplicaAssignment, reason));
        }
    }
    if !by_index.keys().copied().eq((0..).take(by_index.len())) {
        let reason = "partitions should be a consecutive 0-based integer sequence";
        return Err(Refused::new(ErrorCode::InvalidReplicaAssignment, reason));
    }
    same_size(by_index.into_values().collect())
}

fn same_size(assignment: Vec<Vec<NodeId>>) -> Result<Vec<Vec<NodeId>>, Refused> {
    let first = assignment.first().map_or(0, Vec::len);
    match assignment.iter().find(|replicas| replicas.len() != first) {
        None => Ok(assignment),
        Some(odd) => {
            let reason = format!(
                "The manual partition assignment includes a partition with {} replica(s), but \
                 this is not consistent with previous partitions, which have {first} replica(s).",
                odd.len()
            );
            Err(Refused::new(ErrorCode::InvalidReplicaAssignment, reason))
        }
    }
}

fn check_replicas(world: &World, brokers: &[i32]) -> Result<Vec<NodeId>, Refused> {
    let refuse = |what: String| {
        let reason = format!("The manual partition assignment includes {what}");
        Err(Refused::new(ErrorCode::InvalidReplicaAssignment, reason))
    };
    let mut seen = BTreeSet::new();
    for broker in brokers {
        if !seen.insert(*broker) {
            return refuse(format!("the broker {broker} more than once."));
        }
        if !world.catalog.alive().contains(&NodeId(*broker)) {
            return refuse(format!("broker {broker}, but no such broker is registered."));
        }
    }
    if brokers.is_empty() {
        return refuse("an empty replica list.".to_owned());
    }
    Ok(brokers.iter().copied().map(NodeId).collect())
}

pub(super) fn manual_growth(
    world: &World,
    given: &[CreatePartitionsAssignment],
    more: usize,
    replicas: usize,
) -> Result<Vec<Vec<NodeId>>, Refused> {
    let refuse = |reason: String| Err(Refused::new(ErrorCode::InvalidReplicaAssignment, reason));
    if given.len() != more {
        return refuse(format!(
            "Attempted to add {more} additional partition(s), but only {} assignment(s) were \
             specified.",
            given.len()
        ));
    }
    let checked = given.iter().map(|assignment| check_replicas(world, &assignment.broker_ids));
    let checked: Vec<Vec<NodeId>> = checked.collect::<Result<_, _>>()?;
    if checked.iter().any(|on| on.len() != replicas) {
        return refuse(format!("Every new partition must have {replicas} replica(s)."));
    }
    Ok(checked)
}
