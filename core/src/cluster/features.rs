//! What a cluster has agreed to do.

use std::collections::BTreeMap;

use crate::conn::BrokerVersions;

/// The features that a cluster has finalized (KIP-584), as the broker says that knows best.
///
/// Brokers say it when a connection is made. The one whose knowledge has the highest epoch is
/// believed: others may not have heard of a change yet.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Features {
    epoch: Option<i64>,
    levels: BTreeMap<String, i16>,
}

impl Features {
    /// Takes what a broker said, unless it is older than what is known.
    pub fn learn(&mut self, versions: &BrokerVersions) {
        let epoch = versions.features_epoch();
        if epoch.is_some() && epoch >= self.epoch {
            self.epoch = epoch;
            self.levels.clone_from(versions.features());
        }
    }

    /// The finalized level of a feature such as `transaction.version`; 0 if there is none.
    #[must_use]
    pub fn level(&self, name: &str) -> i16 {
        self.levels.get(name).copied().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use ottla_protocol::messages::ApiVersionsResponse;
    use ottla_protocol::messages::api_versions::FinalizedFeatureKey;

    use super::*;

    fn said(epoch: i64, level: i16) -> BrokerVersions {
        let feature = FinalizedFeatureKey {
            name: "transaction.version".into(),
            max_version_level: level,
            ..Default::default()
        };
        BrokerVersions::from_wire(&ApiVersionsResponse {
            finalized_features: vec![feature],
            finalized_features_epoch: epoch,
            ..Default::default()
        })
    }

    #[track_caller]
    fn check(said: impl IntoIterator<Item = BrokerVersions>, expected: i16) {
        let mut features = Features::default();
        said.into_iter().for_each(|said| features.learn(&said));
        assert_eq!(features.level("transaction.version"), expected);
    }

    #[test]
    fn a_feature_that_nobody_finalized_has_level_0() {
        check([], 0);
        check([said(-1, 2)], 0);
    }

    #[test]
    fn the_newest_word_counts() {
        check([said(4, 1), said(5, 2)], 2);
        check([said(5, 2), said(6, 0)], 0);
    }

    #[test]
    fn a_broker_that_has_not_heard_of_a_change_is_passed_over() {
        check([said(5, 2), said(4, 1), said(-1, 1)], 2);
    }
}
