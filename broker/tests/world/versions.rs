use ottla_broker::api::{Admission, SERVED, admit, versions};
use ottla_broker::world::Flow;
use ottla_protocol::frames::{RequestFrame, encode_any_request, encode_any_response};
use ottla_protocol::messages::{ApiVersionsRequest, ApiVersionsResponse};
use ottla_protocol::wire::UnknownTaggedFields;
use ottla_protocol::{ApiKey, ErrorCode};

use super::*;

fn request() -> ApiVersionsRequest {
    ApiVersionsRequest {
        client_software_name: "test".into(),
        client_software_version: "1.0-rc.1".into(),
        ..Default::default()
    }
}

fn header(api: ApiKey, version: i16) -> RequestFrame {
    RequestFrame {
        api,
        version,
        correlation_id: 0,
        client_id: None,
        unknown_tagged_fields: UnknownTaggedFields::new(),
        body: Bytes::new(),
    }
}

#[test]
fn produce_is_announced_from_zero_and_refused_below_three() {
    let response: ApiVersionsResponse = Test::new().ask(4, request());
    let produce = response.api_keys.iter().find(|api| api.api_key == 0).unwrap();
    assert_eq!((produce.min_version, produce.max_version), (0, 13));
    assert!(matches!(admit(&header(ApiKey::Produce, 2)), Admission::Close));
    assert!(matches!(admit(&header(ApiKey::Produce, 3)), Admission::Serve));
}

#[test]
fn only_served_apis_are_announced() {
    let response: ApiVersionsResponse = Test::new().ask(4, request());
    let announced: Vec<i16> = response.api_keys.iter().map(|api| api.api_key).collect();
    assert_eq!(announced, SERVED.iter().map(|api| api.code()).collect::<Vec<_>>());
    assert!(matches!(admit(&header(ApiKey::ShareFetch, 1)), Admission::Close));
}

#[test]
fn api_versions_answers_v0_with_one_row_for_unknown_versions() {
    let Admission::Downgrade(response) = admit(&header(ApiKey::ApiVersions, 99)) else { panic!() };
    assert_eq!(response.error_code, ErrorCode::UnsupportedVersion.code());
    let rows: Vec<_> =
        response.api_keys.iter().map(|r| (r.api_key, r.min_version, r.max_version)).collect();
    assert_eq!(rows, [(18, 0, 5)]);
}

#[test]
fn software_name_is_validated() {
    for (name, code) in [("a", 0), ("a-1.b", 0), ("", 42), ("-a", 42), ("a.", 42), ("a b", 42)] {
        let request = ApiVersionsRequest { client_software_name: name.into(), ..request() };
        let response: ApiVersionsResponse = Test::new().ask(3, request);
        assert_eq!(response.error_code, code, "{name:?}");
    }
    let old: ApiVersionsResponse = Test::new().ask(2, ApiVersionsRequest::default());
    assert_eq!(old.error_code, 0);
}

#[test]
fn a_client_that_means_another_cluster_or_node_must_bootstrap_again() {
    let mut test = Test::new();
    let own = test.world.catalog().cluster_id().clone();
    for (cluster_id, node_id, code) in [
        (None, -1, 0),
        (Some(own.clone()), 1, 0),
        (Some(own), 2, 129),
        (Some("other".into()), 1, 129),
        (Some("other".into()), -1, 42),
        (None, 2, 42),
    ] {
        let request = ApiVersionsRequest { cluster_id, node_id, ..request() };
        let response: ApiVersionsResponse = test.ask(5, request);
        assert_eq!(response.error_code, code, "node {node_id}");
    }
}

#[test]
fn every_version_of_every_served_api_is_answered_in_that_version() {
    for api in SERVED {
        for version in versions(*api).unwrap().iter() {
            let mut test = Test::new();
            let request = of_kind(*api, version);
            // What a client can say in this version, and nothing else.
            let bytes = encode_any_request(&request, version, 0, None).unwrap().into_bytes();
            let frame = RequestFrame::decode(&bytes.slice(4..)).unwrap();
            match test.send(1, version, frame.request().unwrap()) {
                Flow::Reply(reply) => {
                    encode_any_response(&reply.response, version, 0).unwrap();
                }
                other => panic!("{api} {version}: {other:?}"),
            }
        }
    }
}

/// A request that reaches into topic `t`, where the API has topics.
fn of_kind(api: ApiKey, version: i16) -> AnyRequest {
    match api {
        ApiKey::Produce if version < 13 => produce_request("t", -1, batch(&["a"])).into(),
        ApiKey::Fetch if version < 13 => fetch_request(0).into(),
        ApiKey::ListOffsets => {
            use ottla_protocol::messages::list_offsets::{ListOffsetsPartition, ListOffsetsTopic};
            let partition = ListOffsetsPartition { timestamp: -1, ..Default::default() };
            let partitions = vec![partition];
            let topic = ListOffsetsTopic { name: "t".into(), partitions, ..Default::default() };
            let topics = vec![topic];
            ottla_protocol::messages::ListOffsetsRequest { topics, ..Default::default() }.into()
        }
        ApiKey::Metadata => {
            let topics = (version > 0).then_some(()).map_or(Some(Vec::new()), |()| None);
            ottla_protocol::messages::MetadataRequest { topics, ..Default::default() }.into()
        }
        ApiKey::CreateTopics => {
            use ottla_protocol::messages::create_topics::CreatableTopic;
            let (num_partitions, replication_factor) = (1, 1);
            let name = "new".into();
            let topic =
                CreatableTopic { name, num_partitions, replication_factor, ..Default::default() };
            let topics = vec![topic];
            ottla_protocol::messages::CreateTopicsRequest { topics, ..Default::default() }.into()
        }
        ApiKey::DescribeConfigs => {
            use ottla_protocol::messages::describe_configs::DescribeConfigsResource;
            let resources = vec![DescribeConfigsResource {
                resource_type: 2,
                resource_name: "t".into(),
                configuration_keys: None,
                ..Default::default()
            }];
            let include_synonyms = true;
            ottla_protocol::messages::DescribeConfigsRequest {
                resources,
                include_synonyms,
                ..Default::default()
            }
            .into()
        }
        other => empty(other),
    }
}

/// A request with nothing in it.
fn empty(api: ApiKey) -> AnyRequest {
    match api {
        ApiKey::Produce => ProduceRequest { acks: 1, ..Default::default() }.into(),
        ApiKey::Fetch => AnyRequest::Fetch(Default::default()),
        ApiKey::FindCoordinator => AnyRequest::FindCoordinator(Default::default()),
        ApiKey::ApiVersions => AnyRequest::ApiVersions(Default::default()),
        ApiKey::DeleteTopics => AnyRequest::DeleteTopics(Default::default()),
        ApiKey::DeleteRecords => AnyRequest::DeleteRecords(Default::default()),
        ApiKey::InitProducerId => AnyRequest::InitProducerId(Default::default()),
        ApiKey::OffsetForLeaderEpoch => AnyRequest::OffsetForLeaderEpoch(Default::default()),
        ApiKey::AlterConfigs => AnyRequest::AlterConfigs(Default::default()),
        ApiKey::CreatePartitions => AnyRequest::CreatePartitions(Default::default()),
        ApiKey::IncrementalAlterConfigs => AnyRequest::IncrementalAlterConfigs(Default::default()),
        ApiKey::DescribeCluster => AnyRequest::DescribeCluster(Default::default()),
        ApiKey::DescribeTopicPartitions => AnyRequest::DescribeTopicPartitions(Default::default()),
        ApiKey::OffsetCommit => AnyRequest::OffsetCommit(Default::default()),
        ApiKey::OffsetFetch => AnyRequest::OffsetFetch(Default::default()),
        ApiKey::JoinGroup => AnyRequest::JoinGroup(Default::default()),
        ApiKey::Heartbeat => AnyRequest::Heartbeat(Default::default()),
        ApiKey::LeaveGroup => AnyRequest::LeaveGroup(Default::default()),
        ApiKey::SyncGroup => AnyRequest::SyncGroup(Default::default()),
        ApiKey::DescribeGroups => AnyRequest::DescribeGroups(Default::default()),
        ApiKey::ListGroups => AnyRequest::ListGroups(Default::default()),
        ApiKey::DeleteGroups => AnyRequest::DeleteGroups(Default::default()),
        ApiKey::OffsetDelete => AnyRequest::OffsetDelete(Default::default()),
        ApiKey::AddPartitionsToTxn => AnyRequest::AddPartitionsToTxn(Default::default()),
        ApiKey::AddOffsetsToTxn => AnyRequest::AddOffsetsToTxn(Default::default()),
        ApiKey::EndTxn => AnyRequest::EndTxn(Default::default()),
        ApiKey::WriteTxnMarkers => AnyRequest::WriteTxnMarkers(Default::default()),
        ApiKey::TxnOffsetCommit => AnyRequest::TxnOffsetCommit(Default::default()),
        ApiKey::DescribeProducers => AnyRequest::DescribeProducers(Default::default()),
        ApiKey::DescribeTransactions => AnyRequest::DescribeTransactions(Default::default()),
        ApiKey::ListTransactions => AnyRequest::ListTransactions(Default::default()),
        other => panic!("{other} needs a request here"),
    }
}
