//! The way from the world to its groups, and back.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use ottla_protocol::messages::list_groups::ListGroupsResponse;
use ottla_protocol::{AnyRequest, ByteString, ErrorCode, Uuid};

use super::{Caller, ClusterView, GroupConfig, Reply, WaitId};
use crate::txn::{OffsetsAdmission, Producer};
use crate::world::catalog::{Catalog, CoordinatorType, TopicKey};
use crate::world::config::Settings;
use crate::world::{Context, Flow, NodeId, Now, Resume, WaitKey, World};

impl GroupConfig {
    /// As the brokers are set.
    pub(crate) fn of(settings: &Settings) -> Self {
        let number = |name| u64::try_from(settings.number(name)).unwrap_or(0);
        let millis = |name| Duration::from_millis(number(name));
        let count = |name| usize::try_from(number(name)).unwrap_or(usize::MAX);
        Self {
            initial_rebalance_delay: millis("group.initial.rebalance.delay.ms"),
            min_session_timeout: millis("group.min.session.timeout.ms"),
            max_session_timeout: millis("group.max.session.timeout.ms"),
            max_size: count("group.max.size"),
            offset_metadata_max_bytes: count("offset.metadata.max.bytes"),
            offsets_retention: Duration::from_secs(60 * number("offsets.retention.minutes")),
            offsets_retention_check_interval: millis("offsets.retention.check.interval.ms"),
        }
    }
}

/// Serves a request of a group API; gives back any other.
pub(crate) fn serve(
    world: &mut World,
    cx: &Context,
    request: AnyRequest,
) -> Result<Flow, Box<AnyRequest>> {
    let unique = world.random.uuid();
    let client_host = client_host(cx.client_address);
    let World { groups, catalog, transactions, .. } = world;
    let caller = Caller {
        version: cx.version,
        now: cx.now.mono,
        client_id: &cx.client_id,
        client_host: &client_host,
        cluster: &Asked { catalog, cx },
    };
    let flow = match request {
        AnyRequest::JoinGroup(request) => {
            let reply = groups.join_group(&caller, unique, request);
            return Ok(reply_or_park(world, reply));
        }
        AnyRequest::SyncGroup(request) => {
            let reply = groups.sync_group(&caller, request);
            return Ok(reply_or_park(world, reply));
        }
        AnyRequest::Heartbeat(request) => {
            let mut response = groups.heartbeat(&caller, request);
            // While a coordinator loads, a beat does no harm; only a rule can tell of it.
            let is_loading = response.error_code == ErrorCode::CoordinatorLoadInProgress.code();
            if is_loading && cx.injection.is_none() {
                response.error_code = 0;
            }
            response.into()
        }
        AnyRequest::LeaveGroup(request) => groups.leave_group(&caller, request).into(),
        AnyRequest::OffsetCommit(request) => groups.offset_commit(&caller, request).into(),
        AnyRequest::TxnOffsetCommit(request) => {
            let asked = OffsetsAdmission {
                transactional_id: &request.transactional_id.clone(),
                producer: Producer { id: request.producer_id, epoch: request.producer_epoch },
                version: cx.version,
                now: cx.now,
            };
            let mut admit = |group: &str| transactions.admit_offsets(asked, group);
            groups.txn_offset_commit(&caller, request, &mut admit).into()
        }
        AnyRequest::OffsetFetch(request) => groups.offset_fetch(&caller, request).into(),
        AnyRequest::OffsetDelete(request) => groups.offset_delete(&caller, request).into(),
        AnyRequest::DescribeGroups(request) => groups.describe_groups(&caller, request).into(),
        AnyRequest::DeleteGroups(request) => groups.delete_groups(&caller, request).into(),
        AnyRequest::ListGroups(request) => match cx.whole() {
            Ok(()) => groups.list_groups(&caller, &request).into(),
            Err(error) => {
                ListGroupsResponse { error_code: error.code(), ..Default::default() }.into()
            }
        },
        other => return Err(Box::new(other)),
    };
    Ok(flow)
}

/// Goes on with a join or a sync that was parked.
pub(crate) fn resume(world: &mut World, cx: &Context, wait: WaitId) -> Flow {
    match world.groups.resume(wait, cx.version) {
        Some(response) => response.into(),
        None => park(world, wait),
    }
}

fn reply_or_park<R: Into<Flow>>(world: &mut World, reply: Reply<R>) -> Flow {
    match reply {
        Reply::Now(response) => response.into(),
        Reply::Later(wait) => park(world, wait),
    }
}

/// Only the group ends the wait: it has deadlines of its own.
fn park(world: &mut World, wait: WaitId) -> Flow {
    world.park(&[WaitKey::Member(wait.0)], None, Resume::Member(wait))
}

impl World {
    /// Wakes the members whose answers are ready.
    pub(crate) fn wake_members(&mut self) {
        while let Some(WaitId(wait)) = self.groups.poll_woken() {
            self.wake(&WaitKey::Member(wait));
        }
    }

    /// Which node coordinates each group, for
    /// [`groups_moved_from`](Self::groups_moved_from) to compare with.
    pub(crate) fn group_coordinators(&self) -> Vec<(ByteString, Option<NodeId>)> {
        self.groups.ids().map(|id| (id.clone(), self.group_coordinator(id))).collect()
    }

    /// Moves the groups whose coordinator is another than it was.
    pub(crate) fn groups_moved_from(
        &mut self,
        before: &[(ByteString, Option<NodeId>)],
        now: Duration,
    ) {
        for (id, node) in before {
            if self.group_coordinator(id) != *node {
                self.groups.handle_coordinator_change(id, now);
            }
        }
    }

    fn group_coordinator(&self, id: &str) -> Option<NodeId> {
        self.catalog.coordinator(CoordinatorType::Group, id).map(|node| node.id)
    }

    /// Makes a node the coordinator of a group.
    ///
    /// # Errors
    ///
    /// `BROKER_NOT_AVAILABLE` when the node is down.
    pub fn move_group_coordinator(
        &mut self,
        id: &str,
        to: NodeId,
        now: Now,
    ) -> Result<(), ErrorCode> {
        let before = self.group_coordinators();
        self.catalog.move_coordinator(CoordinatorType::Group, id, to)?;
        self.groups_moved_from(&before, now.mono);
        Ok(())
    }
}

/// The cluster as the node knows it that was asked.
struct Asked<'a> {
    catalog: &'a Catalog,
    cx: &'a Context,
}

impl ClusterView for Asked<'_> {
    fn check_coordinator(&self, group: &str) -> Result<(), ErrorCode> {
        // A rule that names a topic is not meant for the group.
        self.cx.item("", -1)?;
        let Context { node, now, .. } = *self.cx;
        self.catalog.check_coordinator(CoordinatorType::Group, group, node, now)
    }

    fn check_partition(&self, topic: &str, partition: i32) -> Result<(), ErrorCode> {
        self.cx.item(topic, partition)?;
        self.catalog.topic(TopicKey::Name(topic))?.partition(partition)?;
        Ok(())
    }

    fn check_fetch(&self, topic: &str, partition: i32) -> Result<(), ErrorCode> {
        self.cx.item(topic, partition)
    }

    fn topic_id(&self, name: &str) -> Option<Uuid> {
        self.catalog.topic(TopicKey::Name(name)).ok().map(|topic| topic.id)
    }

    fn topic_name(&self, id: Uuid) -> Option<ByteString> {
        self.catalog.topic(TopicKey::Id(id)).ok().map(|topic| topic.name.clone())
    }
}

/// As Java prints it, which leaves no zeros out. Who is in the same process is local.
fn client_host(address: Option<IpAddr>) -> String {
    match address.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST)).to_canonical() {
        IpAddr::V4(address) => format!("/{address}"),
        IpAddr::V6(address) => {
            let groups = address.segments().map(|group| format!("{group:x}"));
            format!("/{}", groups.join(":"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_is_where_java_would_say_it_is() {
        for (address, host) in [
            (None, "/127.0.0.1"),
            (Some("10.0.0.7"), "/10.0.0.7"),
            (Some("::ffff:10.0.0.7"), "/10.0.0.7"),
            (Some("::1"), "/0:0:0:0:0:0:0:1"),
        ] {
            assert_eq!(client_host(address.map(|address| address.parse().unwrap())), host);
        }
    }
}
