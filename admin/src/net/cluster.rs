//! What can be asked of the cluster itself.

use ottla_core::error::RequestError;
use ottla_core::retry::Deadline;

use super::{Admin, Operation, Pending};
use crate::AdminError;
use crate::cluster::{ClusterDescription, DescribeByMetadata, DescribeCluster};

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

    /// Metadata tells nothing of fenced brokers: whoever asks for those is not told less.
    async fn perform(self, admin: Admin, deadline: Deadline) -> Self::Output {
        let with_fenced = self.with_fenced;
        match admin.one(self, (), deadline).await {
            Err(AdminError::Request { error: RequestError::UnsupportedVersion { .. }, .. })
                if !with_fenced =>
            {
                admin.one(DescribeByMetadata, (), deadline).await
            }
            described => described,
        }
    }
}
