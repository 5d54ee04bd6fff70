//! Which replicas of a partition are on which nodes.

use std::collections::BTreeMap;

use ottla_protocol::ErrorCode;
use ottla_protocol::messages::create_partitions::CreatePartitionsAssignment;
use ottla_protocol::messages::create_topics::{CreatableReplicaAssignment, CreatableTopic};

use crate::api::Refused;
use crate::world::catalog::Catalog;
use crate::world::{NodeId, World};

pub(super) fn automatic(
    world: &World,
    topic: &CreatableTopic,
) -> Result<Vec<Vec<NodeId>>, Refused> {
    let replicas = match topic.replication_factor {
        -1 => world.settings.number("default.replication.factor"),
        ..=0 => {
            let reason =
                "Replication factor must be larger than 0, or -1 to use the default value.";
            return Err(Refused::new(ErrorCode::InvalidReplicationFactor, reason));
        }
        factor => i64::from(factor),
    };
    let partitions = match topic.num_partitions {
        -1 => world.settings.number("num.partitions"),
        ..=0 => {
            let reason = "Number of partitions was set to an invalid non-positive value.";
            return Err(Refused::new(ErrorCode::InvalidPartitions, reason));
        }
        count => i64::from(count),
    };
    let partitions = usize::try_from(partitions).unwrap_or(usize::MAX);
    spread(&world.catalog, 0, partitions, usize::try_from(replicas).unwrap_or(usize::MAX))
}

pub(super) fn spread(
    catalog: &Catalog,
    from: usize,
    count: usize,
    replicas: usize,
) -> Result<Vec<Vec<NodeId>>, Refused> {
    let known = catalog.nodes().count();
    if replicas > known {
        let reason = format!(
            "Unable to replicate the partition {replicas} time(s): The target replication factor \
             of {replicas} cannot be reached because only {known} broker(s) are registered or some \
             brokers have all their log directories cordoned."
        );
        return Err(Refused::new(ErrorCode::InvalidReplicationFactor, reason));
    }
    Ok(catalog.assign(from, count, replicas))
}

pub(super) fn manual(
    catalog: &Catalog,
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
    let mut size = None;
    for assignment in assignments {
        let index = assignment.partition_index;
        if by_index.contains_key(&index) {
            return refuse(format!(
                "Found multiple manual partition assignments for partition {index}"
            ));
        }
        let replicas = check_replicas(catalog, index, &assignment.broker_ids, size)?;
        size = Some(replicas.len());
        by_index.insert(index, replicas);
    }
    if !by_index.keys().copied().eq((0..).take(by_index.len())) {
        return refuse("partitions should be a consecutive 0-based integer sequence");
    }
    Ok(by_index.into_values().collect())
}

/// The replicas of partitions from `from` on, of which there are to be `more`.
pub(super) fn manual_growth(
    catalog: &Catalog,
    given: &[CreatePartitionsAssignment],
    (from, more): (usize, usize),
    replicas: usize,
) -> Result<Vec<Vec<NodeId>>, Refused> {
    if given.len() != more {
        return refuse(format!(
            "Attempted to add {more} additional partition(s), but only {} assignment(s) were \
             specified.",
            given.len()
        ));
    }
    let indices = i32::try_from(from).unwrap_or(i32::MAX)..;
    let checked = indices.zip(given).map(|(index, assignment)| {
        check_replicas(catalog, index, &assignment.broker_ids, Some(replicas))
    });
    checked.collect()
}

/// The nodes need not be up, but for one that leads; in Kafka, too, all that are known will do.
fn check_replicas(
    catalog: &Catalog,
    index: i32,
    brokers: &[i32],
    size: Option<usize>,
) -> Result<Vec<NodeId>, Refused> {
    let includes = |what| refuse(format!("The manual partition assignment includes {what}"));
    if brokers.is_empty() {
        return includes("an empty replica list.".to_owned());
    }
    let mut sorted: Vec<i32> = brokers.to_vec();
    sorted.sort_unstable();
    let mut before = None;
    for broker in sorted {
        if catalog.node(NodeId(broker)).is_none() {
            return includes(format!("broker {broker}, but no such broker is registered."));
        }
        if before.replace(broker) == Some(broker) {
            return includes(format!("the broker {broker} more than once."));
        }
    }
    if let Some(size) = size.filter(|size| *size != brokers.len()) {
        return includes(format!(
            "a partition with {} replica(s), but this is not consistent with previous partitions, \
             which have {size} replica(s).",
            brokers.len()
        ));
    }
    let replicas: Vec<NodeId> = brokers.iter().copied().map(NodeId).collect();
    if !replicas.iter().any(|node| catalog.alive().contains(node)) {
        return refuse(format!(
            "All brokers specified in the manual partition assignment for partition {index} are \
             fenced or in controlled shutdown."
        ));
    }
    Ok(replicas)
}

fn refuse<T>(reason: impl ToString) -> Result<T, Refused> {
    Err(Refused::new(ErrorCode::InvalidReplicaAssignment, reason))
}
