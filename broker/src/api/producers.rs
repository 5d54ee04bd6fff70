//! `DescribeProducers` (KIP-664).

use ottla_protocol::messages::describe_producers::{
    DescribeProducersRequest, DescribeProducersResponse, PartitionResponse, ProducerState,
    TopicResponse,
};

use ottla_protocol::ErrorCode;

use super::Refused;
use super::topics::check_name;
use crate::log::producers;
use crate::world::catalog::TopicKey;
use crate::world::{Context, World};

pub(super) fn describe(
    world: &World,
    cx: &Context,
    request: DescribeProducersRequest,
) -> DescribeProducersResponse {
    let topics = request.topics.into_iter().map(|topic| {
        let rows = topic.partition_indexes.iter().map(|index| row(world, cx, &topic.name, *index));
        let partitions = rows.collect();
        TopicResponse { name: topic.name, partitions, ..Default::default() }
    });
    DescribeProducersResponse { topics: topics.collect(), ..Default::default() }
}

fn row(world: &World, cx: &Context, topic: &str, partition_index: i32) -> PartitionResponse {
    match active(world, cx, topic, partition_index) {
        Ok(active_producers) => {
            PartitionResponse { partition_index, active_producers, ..Default::default() }
        }
        Err(refused) => PartitionResponse {
            partition_index,
            error_code: refused.code.code(),
            error_message: refused.message.map(Into::into),
            ..Default::default()
        },
    }
}

fn active(
    world: &World,
    cx: &Context,
    topic: &str,
    index: i32,
) -> Result<Vec<ProducerState>, Refused> {
    cx.item(topic, index)?;
    check_name(topic)?;
    let topic = world.catalog.topic(TopicKey::Name(topic))?;
    // Any replica knows them.
    let log = topic.partition(index)?.log(cx.node).ok_or(ErrorCode::NotLeaderOrFollower)?;
    Ok(log.producers().iter().map(state).collect())
}

fn state(known: producers::ProducerState) -> ProducerState {
    ProducerState {
        producer_id: known.id,
        producer_epoch: i32::from(known.epoch),
        last_sequence: known.last_sequence.unwrap_or(-1),
        last_timestamp: known.last_timestamp,
        coordinator_epoch: known.coordinator_epoch,
        current_txn_start_offset: known.open_since.unwrap_or(-1),
        ..Default::default()
    }
}
