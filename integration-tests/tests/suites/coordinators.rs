//! Who coordinates a group.

use ottla_core::cluster::CoordinatorKind;
use ottla_integration_tests::TestCluster;

use crate::clients::{connect, soon};

pub(crate) async fn a_group_has_one_coordinator_whoever_asks(cluster: &TestCluster) {
    let group = cluster.unique("group");
    let mut found = Vec::new();
    for _ in 0..2 {
        let client = connect(cluster).await;
        let asked = client.coordinator(CoordinatorKind::Group, &group, soon());
        found.push(asked.await.expect("a coordinator is named"));
        client.close().await;
    }
    assert_eq!(found[0], found[1]);
}
