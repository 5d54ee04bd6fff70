//! What can be asked of the cluster itself.

use ottla_core::retry::Deadline;

use super::{Admin, Operation, Pending};
use crate::AdminError;
use crate::cluster::{ClusterDescription, DescribeCluster};

impl Admin {
    /// Describes the cluster: its id, its brokers, its controller.
    pub fn describe_cluster(&self) -> Pending<DescribeCluster> {
        Pending::new(self, DescribeCluster { with_fenced: false })
    }
}

impl Pending<DescribeCluster> {
    /// With brokers that are registered but not alive. Brokers before Kafka 4.0 cannot say
    /// (KIP-1073).
    pub fn include_fenced(self) -> Self {
        self.with(|it| it.with_fenced = true)
    }
}

impl Operation for DescribeCluster {
    type Output = Result<ClusterDescription, AdminError>;

    async fn perform(self, admin: Admin, deadline: Deadline) -> Self::Output {
        admin.one(self, (), deadline).await
    }
}
