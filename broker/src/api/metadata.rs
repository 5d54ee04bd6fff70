//! Who is in the cluster, who leads what, who coordinates whom.

use std::collections::BTreeSet;

use ottla_protocol::messages::describe_cluster::DescribeClusterBroker;
use ottla_protocol::messages::describe_topic_partitions::{
    DescribeTopicPartitionsResponseCursor, DescribeTopicPartitionsResponsePartition,
    DescribeTopicPartitionsResponseTopic,
};
use ottla_protocol::messages::find_coordinator::Coordinator;
use ottla_protocol::messages::metadata::{
    MetadataRequestTopic, MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use ottla_protocol::messages::{
    DescribeClusterRequest, DescribeClusterResponse, DescribeTopicPartitionsRequest,
    DescribeTopicPartitionsResponse, FindCoordinatorRequest, FindCoordinatorResponse,
    MetadataRequest, MetadataResponse,
};
use ottla_protocol::{ByteString, ErrorCode, Uuid};

use super::topics;
use crate::partition::Partition;
use crate::world::catalog::{Catalog, CoordinatorType, Node, Topic, TopicKey};
use crate::world::{Context, NodeId, World};

pub(super) fn metadata(
    world: &mut World,
    cx: &Context,
    request: MetadataRequest,
) -> MetadataResponse {
    // Later versions leave them to DescribeCluster (KIP-700).
    let operations =
        request.include_cluster_authorized_operations && (8..=10).contains(&cx.version);
    let rows = match requested(world, cx, request) {
        Ok(rows) => rows,
        Err(refused) => return *refused,
    };
    let catalog = &world.catalog;
    let broker = |node: &Node| MetadataResponseBroker {
        node_id: node.id.0,
        host: node.host.clone(),
        port: i32::from(node.port),
        rack: node.rack.clone(),
        ..Default::default()
    };
    MetadataResponse {
        brokers: catalog.live_nodes().map(broker).collect(),
        cluster_id: Some(catalog.cluster_id().clone()),
        controller_id: controller(catalog),
        topics: rows,
        cluster_authorized_operations: if operations { CLUSTER_OPERATIONS } else { i32::MIN },
        ..Default::default()
    }
}

fn controller(catalog: &Catalog) -> i32 {
    catalog.controller().map_or(-1, |node| node.0)
}

/// One row for each topic that is asked for, none twice.
fn requested(
    world: &mut World,
    cx: &Context,
    request: MetadataRequest,
) -> Result<Vec<MetadataResponseTopic>, Box<MetadataResponse>> {
    let may_create = request.allow_auto_topic_creation || cx.version < 4;
    let operations = request.include_topic_authorized_operations.then_some(TOPIC_OPERATIONS);
    // Kafka tells them of topics that are there.
    let with_operations = |row: MetadataResponseTopic| {
        let operations = operations.filter(|_| row.error_code == 0);
        let topic_authorized_operations = operations.unwrap_or(row.topic_authorized_operations);
        MetadataResponseTopic { topic_authorized_operations, ..row }
    };
    let wanted = match request.topics {
        Some(topics) if cx.version > 0 || !topics.is_empty() => topics,
        _ => {
            let all = world.catalog.topics().map(|topic| describe(world, cx, topic));
            return Ok(all.map(with_operations).collect());
        }
    };
    let names_topics = |topic: &MetadataRequestTopic| {
        topic.name.is_some() && topic.topic_id.is_zero() || cx.version >= 12
    };
    if !wanted.iter().all(names_topics) {
        return Err(Box::new(refused(wanted, ErrorCode::InvalidRequest)));
    }
    let mut seen = BTreeSet::new();
    let fresh = wanted.into_iter().filter(|t| seen.insert((t.name.clone(), t.topic_id)));
    let find = |topic| with_operations(find_or_create(world, cx, &topic, may_create));
    Ok(fresh.map(find).collect())
}

/// The whole request is refused, and every topic in it: only version 13 has a place for the first.
fn refused(wanted: Vec<MetadataRequestTopic>, code: ErrorCode) -> MetadataResponse {
    let row = |topic: MetadataRequestTopic| MetadataResponseTopic {
        error_code: code.code(),
        name: Some(topic.name.unwrap_or_default()),
        topic_id: topic.topic_id,
        ..Default::default()
    };
    let (error_code, topics) = (code.code(), wanted.into_iter().map(row).collect());
    MetadataResponse { error_code, topics, ..Default::default() }
}

fn find_or_create(
    world: &mut World,
    cx: &Context,
    wanted: &MetadataRequestTopic,
    may_create: bool,
) -> MetadataResponseTopic {
    let name = wanted.name.as_deref();
    let by_id = name.is_none() || !wanted.topic_id.is_zero();
    let key = TopicKey::of(name.unwrap_or_default(), wanted.topic_id, by_id);
    let found = world.catalog.topic(key).map(drop);
    let outcome = match (found, name) {
        (Err(ErrorCode::UnknownTopicOrPartition), Some(name)) => {
            auto_create(world, cx, name, may_create)
        }
        (outcome, _) => outcome,
    };
    let topic = outcome.and_then(|()| world.catalog.topic(key));
    match topic {
        Ok(topic) => describe(world, cx, topic),
        Err(code) => MetadataResponseTopic {
            error_code: code.code(),
            name: wanted.name.clone(),
            topic_id: wanted.topic_id,
            ..Default::default()
        },
    }
}

fn auto_create(
    world: &mut World,
    cx: &Context,
    name: &str,
    may_create: bool,
) -> Result<(), ErrorCode> {
    topics::check_name(name).map_err(|refusal| refusal.code)?;
    if !may_create || world.is_frozen(cx.node) || !world.settings.flag("auto.create.topics.enable")
    {
        return Err(ErrorCode::UnknownTopicOrPartition);
    }
    topics::create_default(world, cx, name).map_err(|refusal| refusal.code)
}

fn describe(world: &World, cx: &Context, topic: &Topic) -> MetadataResponseTopic {
    let partitions = topic.indexed();
    MetadataResponseTopic {
        error_code: cx.item(&topic.name, -1).err().unwrap_or(ErrorCode::None).code(),
        name: Some(topic.name.clone()),
        topic_id: topic.id,
        partitions: partitions.map(|(index, p)| describe_partition(world, index, p)).collect(),
        ..Default::default()
    }
}

fn describe_partition(
    world: &World,
    partition_index: i32,
    partition: &Partition,
) -> MetadataResponsePartition {
    MetadataResponsePartition {
        error_code: leader_error(partition).code(),
        partition_index,
        leader_id: leader(partition),
        leader_epoch: partition.epoch(),
        replica_nodes: ids(partition.replicas()),
        isr_nodes: ids(partition.in_sync()),
        offline_replicas: offline(world, partition),
        ..Default::default()
    }
}

fn leader(partition: &Partition) -> i32 {
    partition.leader().map_or(-1, |node| node.0)
}

fn leader_error(partition: &Partition) -> ErrorCode {
    if partition.leader().is_some() { ErrorCode::None } else { ErrorCode::LeaderNotAvailable }
}

fn ids<'a, C: FromIterator<i32>>(nodes: impl IntoIterator<Item = &'a NodeId>) -> C {
    nodes.into_iter().map(|node| node.0).collect()
}

fn offline<C: FromIterator<i32>>(world: &World, partition: &Partition) -> C {
    let alive = world.catalog.alive();
    ids(partition.replicas().iter().filter(|node| !alive.contains(node)))
}

pub(super) fn describe_cluster(
    world: &World,
    cx: &Context,
    request: &DescribeClusterRequest,
) -> DescribeClusterResponse {
    let checked = cx.whole().and(match request.endpoint_type {
        BROKERS => Ok(()),
        CONTROLLERS => Err(ErrorCode::MismatchedEndpointType),
        _ => Err(ErrorCode::UnsupportedEndpointType),
    });
    if let Err(code) = checked {
        let wanted = "The request was sent to an endpoint of type BROKER, but we wanted an endpoint of \
                      type CONTROLLER";
        let is_mismatch = code == ErrorCode::MismatchedEndpointType;
        let error_message = is_mismatch.then(|| wanted.into());
        let error_code = code.code();
        return DescribeClusterResponse { error_code, error_message, ..Default::default() };
    }
    let operations = request.include_cluster_authorized_operations.then_some(CLUSTER_OPERATIONS);
    let broker = |node: &Node| DescribeClusterBroker {
        broker_id: node.id.0,
        host: node.host.clone(),
        port: i32::from(node.port),
        rack: node.rack.clone(),
        is_fenced: cx.version >= 2 && !world.catalog.alive().contains(&node.id),
        ..Default::default()
    };
    let is_told = |node: &&Node| {
        request.include_fenced_brokers && cx.version >= 2
            || world.catalog.alive().contains(&node.id)
    };
    DescribeClusterResponse {
        endpoint_type: BROKERS,
        cluster_id: world.catalog.cluster_id().clone(),
        controller_id: controller(&world.catalog),
        brokers: world.catalog.nodes().filter(is_told).map(broker).collect(),
        cluster_authorized_operations: operations.unwrap_or(i32::MIN),
        ..Default::default()
    }
}

pub(super) fn describe_topic_partitions(
    world: &World,
    cx: &Context,
    request: DescribeTopicPartitionsRequest,
) -> DescribeTopicPartitionsResponse {
    let mut response = DescribeTopicPartitionsResponse::default();
    let asked: Vec<ByteString> = request.topics.into_iter().map(|topic| topic.name).collect();
    if let Some(cursor) = &request.cursor {
        let is_strange = !asked.is_empty() && !asked.contains(&cursor.topic_name);
        if is_strange || cursor.partition_index < 0 {
            response.topics = asked.iter().map(refused_page).collect();
            return response;
        }
    }
    let mut names: BTreeSet<ByteString> = asked.into_iter().collect();
    if names.is_empty() {
        names = world.catalog.topics().map(|topic| topic.name.clone()).collect();
    }
    let (from, first) =
        request.cursor.map_or((ByteString::new(), 0), |c| (c.topic_name, c.partition_index));
    let mut room = usize::try_from(request.response_partition_limit).unwrap_or(0).clamp(1, PAGE);
    for name in names.into_iter().filter(|name| *name >= from) {
        let first = if name == from { first } else { 0 };
        if room == 0 {
            response.next_cursor = Some(cursor(name, first));
            break;
        }
        let (topic, next) = page(world, cx, &name, first, room);
        room -= topic.partitions.len().min(room);
        response.topics.push(topic);
        if let Some(next) = next {
            response.next_cursor = Some(cursor(name, next));
            break;
        }
    }
    response
}

fn cursor(topic_name: ByteString, partition_index: i32) -> DescribeTopicPartitionsResponseCursor {
    DescribeTopicPartitionsResponseCursor { topic_name, partition_index, ..Default::default() }
}

/// At most `room` partitions of a topic from `first` on, and where to go on if there are more.
fn page(
    world: &World,
    cx: &Context,
    name: &ByteString,
    first: i32,
    room: usize,
) -> (DescribeTopicPartitionsResponseTopic, Option<i32>) {
    let topic = match cx.item(name, -1).and_then(|()| world.catalog.topic(TopicKey::Name(name))) {
        Ok(topic) => topic,
        Err(ErrorCode::UnknownTopicOrPartition) if topics::check_name(name).is_err() => {
            return (unknown(name, ErrorCode::InvalidTopicException), None);
        }
        Err(code) => return (unknown(name, code), None),
    };
    let mut rest = topic.indexed().filter(|(index, _)| *index >= first);
    let rows = rest.by_ref().take(room).map(|(index, p)| describe_row(world, index, p)).collect();
    let row = DescribeTopicPartitionsResponseTopic {
        name: Some(topic.name.clone()),
        topic_id: topic.id,
        partitions: rows,
        topic_authorized_operations: TOPIC_OPERATIONS,
        ..Default::default()
    };
    (row, rest.next().map(|(index, _)| index))
}

fn unknown(name: &ByteString, code: ErrorCode) -> DescribeTopicPartitionsResponseTopic {
    DescribeTopicPartitionsResponseTopic {
        error_code: code.code(),
        name: Some(name.clone()),
        topic_id: Uuid::ZERO,
        topic_authorized_operations: TOPIC_OPERATIONS,
        ..Default::default()
    }
}

/// The cursor makes no sense, so every topic is refused.
fn refused_page(name: &ByteString) -> DescribeTopicPartitionsResponseTopic {
    DescribeTopicPartitionsResponseTopic {
        topic_authorized_operations: i32::MIN,
        ..unknown(name, ErrorCode::InvalidRequest)
    }
}

fn describe_row(
    world: &World,
    partition_index: i32,
    partition: &Partition,
) -> DescribeTopicPartitionsResponsePartition {
    DescribeTopicPartitionsResponsePartition {
        error_code: leader_error(partition).code(),
        partition_index,
        leader_id: leader(partition),
        leader_epoch: partition.epoch(),
        replica_nodes: ids(partition.replicas()),
        isr_nodes: ids(partition.in_sync()),
        // Lists, never null: Java's admin client does not survive null.
        eligible_leader_replicas: Some(Default::default()),
        last_known_elr: Some(Default::default()),
        offline_replicas: offline(world, partition),
        ..Default::default()
    }
}

pub(super) fn find_coordinator(
    world: &World,
    cx: &Context,
    request: FindCoordinatorRequest,
) -> FindCoordinatorResponse {
    if cx.version >= 4 {
        let keys = request.coordinator_keys.into_iter();
        let rows = keys.map(|key| coordinator(world, cx, request.key_type, key));
        return FindCoordinatorResponse { coordinators: rows.collect(), ..Default::default() };
    }
    let found = coordinator(world, cx, request.key_type, request.key);
    // What Kafka puts in the place of a reason where there is none, and only here.
    let none = (cx.version >= 1 && found.error_code == 0).then(|| "NONE".into());
    FindCoordinatorResponse {
        error_code: found.error_code,
        error_message: found.error_message.filter(|reason| !reason.is_empty()).or(none),
        node_id: found.node_id,
        host: found.host,
        port: found.port,
        ..Default::default()
    }
}

fn coordinator(world: &World, cx: &Context, key_type: i8, key: ByteString) -> Coordinator {
    let of = match key_type {
        GROUPS => Ok(CoordinatorType::Group),
        TRANSACTIONS => Ok(CoordinatorType::Transaction),
        _ => Err(ErrorCode::InvalidRequest),
    };
    let found = cx.whole().and(of).and_then(|of| {
        world.catalog.coordinator(of, &key).ok_or(ErrorCode::CoordinatorNotAvailable)
    });
    match found {
        Ok(node) => Coordinator {
            key,
            node_id: node.id.0,
            host: node.host.clone(),
            port: i32::from(node.port),
            ..Default::default()
        },
        Err(code) => Coordinator {
            key,
            node_id: -1,
            port: -1,
            error_code: code.code(),
            error_message: Some(code.description().into()),
            ..Default::default()
        },
    }
}

/// `EndpointType`: the brokers.
const BROKERS: i8 = 1;
/// `EndpointType`: the controllers.
const CONTROLLERS: i8 = 2;
/// `KeyType`: a group.
const GROUPS: i8 = 0;
/// `KeyType`: a transactional id.
const TRANSACTIONS: i8 = 1;
/// The most partitions of one answer (`max.request.partition.size.limit`).
const PAGE: usize = 2000;

/// What everybody may do to a topic where nobody is refused anything: read, write, create, delete,
/// alter, describe, and the same of its settings, as bits.
const TOPIC_OPERATIONS: i32 = 3576;

/// As [`TOPIC_OPERATIONS`], to the cluster.
const CLUSTER_OPERATIONS: i32 = 8096;
