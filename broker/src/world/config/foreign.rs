//! The broker settings of Apache Kafka 4.4.0 that this broker has no use for, by their names alone.
//!
//! They are not described: a number of threads or the folder of a log, told by a broker that has
//! neither, would be made up. Their names count, so that what Kafka refuses to change is refused, and
//! so that a setting that was copied from a real broker's file is not called unknown.

/// What is known of a broker setting that this broker has no use for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Foreign {
    /// It stands while the broker runs.
    ReadOnly(&'static str),
    /// Likewise, and it is a list.
    ReadOnlyList(&'static str),
    /// It can be changed while the broker runs.
    Dynamic(&'static str),
}

impl Foreign {
    /// The setting of this name, if it is one of these.
    #[must_use]
    pub fn find(name: &str) -> Option<Self> {
        let within = |names: &'static [&'static str]| names.iter().copied().find(|n| *n == name);
        let read_only = within(READ_ONLY).map(Self::ReadOnly);
        let list = || within(READ_ONLY_LISTS).map(Self::ReadOnlyList);
        read_only.or_else(list).or_else(|| within(DYNAMIC).map(Self::Dynamic))
    }

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::ReadOnly(name) | Self::ReadOnlyList(name) | Self::Dynamic(name) => name,
        }
    }
}

/// Those that stand while the broker runs and are no lists.
#[rustfmt::skip]
const READ_ONLY: &[&str] = &[
    "add.partitions.to.txn.retry.backoff.max.ms", "add.partitions.to.txn.retry.backoff.ms",
    "alter.config.policy.class.name", "alter.log.dirs.replication.quota.window.num",
    "alter.log.dirs.replication.quota.window.size.seconds", "authorizer.class.name",
    "auto.leader.rebalance.enable", "broker.heartbeat.interval.ms", "broker.id",
    "broker.session.timeout.ms", "client.quota.callback.class",
    "connection.failed.authentication.delay.ms", "controlled.shutdown.enable",
    "controller.quorum.append.linger.ms", "controller.quorum.auto.join.enable",
    "controller.quorum.election.backoff.max.ms", "controller.quorum.election.timeout.ms",
    "controller.quorum.fetch.max.bytes", "controller.quorum.fetch.snapshot.max.bytes",
    "controller.quorum.fetch.timeout.ms", "controller.quorum.request.timeout.ms",
    "controller.quorum.retry.backoff.ms", "controller.quota.window.num",
    "controller.quota.window.size.seconds", "controller.socket.timeout.ms",
    "create.topic.policy.class.name", "delegation.token.expiry.check.interval.ms",
    "delegation.token.expiry.time.ms", "delegation.token.max.lifetime.ms",
    "delegation.token.secret.key", "delete.records.purgatory.purge.interval.requests",
    "fetch.purgatory.purge.interval.requests", "group.consumer.max.assignment.interval.ms",
    "group.consumer.max.heartbeat.interval.ms", "group.consumer.max.session.timeout.ms",
    "group.consumer.migration.policy", "group.consumer.min.assignment.interval.ms",
    "group.consumer.min.heartbeat.interval.ms", "group.consumer.min.session.timeout.ms",
    "group.coordinator.append.linger.ms", "group.coordinator.background.threads",
    "group.coordinator.threads", "group.share.delivery.count.limit",
    "group.share.heartbeat.interval.ms", "group.share.max.assignment.interval.ms",
    "group.share.max.delivery.count.limit", "group.share.max.heartbeat.interval.ms",
    "group.share.max.partition.max.record.locks", "group.share.max.record.lock.duration.ms",
    "group.share.max.session.timeout.ms", "group.share.max.share.sessions",
    "group.share.max.size", "group.share.min.assignment.interval.ms",
    "group.share.min.delivery.count.limit", "group.share.min.heartbeat.interval.ms",
    "group.share.min.partition.max.record.locks", "group.share.min.record.lock.duration.ms",
    "group.share.min.session.timeout.ms", "group.share.partition.max.record.locks",
    "group.share.record.lock.duration.ms", "group.share.session.timeout.ms",
    "group.streams.heartbeat.interval.ms", "group.streams.initial.rebalance.delay.ms",
    "group.streams.max.assignment.interval.ms", "group.streams.max.heartbeat.interval.ms",
    "group.streams.max.session.timeout.ms", "group.streams.max.size",
    "group.streams.max.standby.replicas", "group.streams.min.assignment.interval.ms",
    "group.streams.min.heartbeat.interval.ms", "group.streams.min.session.timeout.ms",
    "group.streams.num.standby.replicas", "group.streams.session.timeout.ms",
    "group.streams.topology.description.plugin.class", "initial.broker.registration.timeout.ms",
    "inter.broker.listener.name", "kafka.metrics.polling.interval.secs",
    "leader.imbalance.check.interval.seconds", "log.cleaner.enable", "log.dir.failure.timeout.ms",
    "log.flush.offset.checkpoint.interval.ms", "log.flush.scheduler.interval.ms",
    "log.flush.start.offset.checkpoint.interval.ms", "max.request.partition.size.limit",
    "metadata.log.dir", "metadata.log.max.record.bytes.between.snapshots",
    "metadata.log.max.snapshot.interval.ms", "metadata.log.segment.bytes",
    "metadata.log.segment.ms", "metadata.max.idle.interval.ms", "metadata.max.retention.bytes",
    "metadata.max.retention.ms", "metrics.num.samples", "metrics.recording.level",
    "metrics.sample.window.ms", "node.id", "num.replica.alter.log.dirs.threads",
    "offsets.commit.timeout.ms", "offsets.load.buffer.size", "offsets.topic.compression.codec",
    "offsets.topic.segment.bytes", "producer.purgatory.purge.interval.requests",
    "queued.max.request.bytes", "queued.max.requests", "quota.window.num",
    "quota.window.size.seconds", "remote.log.manager.copy.quota.window.num",
    "remote.log.manager.copy.quota.window.size.seconds",
    "remote.log.manager.fetch.quota.window.num",
    "remote.log.manager.fetch.quota.window.size.seconds", "remote.log.manager.task.interval.ms",
    "remote.log.manager.thread.pool.size", "remote.log.metadata.custom.metadata.max.bytes",
    "remote.log.metadata.manager.class.name", "remote.log.metadata.manager.class.path",
    "remote.log.metadata.manager.impl.prefix", "remote.log.metadata.manager.listener.name",
    "remote.log.reader.max.pending.tasks", "remote.log.storage.manager.class.name",
    "remote.log.storage.manager.class.path", "remote.log.storage.manager.impl.prefix",
    "remote.log.storage.system.enable", "replica.fetch.backoff.ms", "replica.fetch.max.bytes",
    "replica.fetch.min.bytes", "replica.fetch.response.max.bytes", "replica.fetch.wait.max.ms",
    "replica.high.watermark.checkpoint.interval.ms", "replica.socket.receive.buffer.bytes",
    "replica.socket.timeout.ms", "replication.quota.window.num",
    "replication.quota.window.size.seconds", "sasl.client.callback.handler.class",
    "sasl.login.callback.handler.class", "sasl.login.class", "sasl.login.connect.timeout.ms",
    "sasl.login.read.timeout.ms", "sasl.login.retry.backoff.max.ms",
    "sasl.login.retry.backoff.ms", "sasl.mechanism.controller.protocol",
    "sasl.oauthbearer.allow.unverified.audience", "sasl.oauthbearer.allow.unverified.issuer",
    "sasl.oauthbearer.assertion.algorithm", "sasl.oauthbearer.assertion.claim.aud",
    "sasl.oauthbearer.assertion.claim.exp.seconds", "sasl.oauthbearer.assertion.claim.iss",
    "sasl.oauthbearer.assertion.claim.jti.include",
    "sasl.oauthbearer.assertion.claim.nbf.seconds", "sasl.oauthbearer.assertion.claim.sub",
    "sasl.oauthbearer.assertion.file", "sasl.oauthbearer.assertion.private.key.file",
    "sasl.oauthbearer.assertion.private.key.passphrase",
    "sasl.oauthbearer.assertion.template.file", "sasl.oauthbearer.client.credentials.client.id",
    "sasl.oauthbearer.client.credentials.client.secret", "sasl.oauthbearer.clock.skew.seconds",
    "sasl.oauthbearer.expected.issuer", "sasl.oauthbearer.jwks.endpoint.refresh.ms",
    "sasl.oauthbearer.jwks.endpoint.retry.backoff.max.ms",
    "sasl.oauthbearer.jwks.endpoint.retry.backoff.ms", "sasl.oauthbearer.jwks.endpoint.url",
    "sasl.oauthbearer.jwt.retriever.class", "sasl.oauthbearer.jwt.validator.class",
    "sasl.oauthbearer.scope", "sasl.oauthbearer.scope.claim.name",
    "sasl.oauthbearer.sub.claim.name", "sasl.oauthbearer.token.endpoint.url",
    "sasl.server.callback.handler.class", "sasl.server.max.receive.size",
    "security.inter.broker.protocol", "security.providers", "share.coordinator.append.linger.ms",
    "share.coordinator.load.buffer.size",
    "share.coordinator.snapshot.update.records.per.snapshot",
    "share.coordinator.state.topic.compression.codec", "share.coordinator.state.topic.min.isr",
    "share.coordinator.state.topic.num.partitions",
    "share.coordinator.state.topic.replication.factor",
    "share.coordinator.state.topic.segment.bytes", "share.coordinator.threads",
    "share.coordinator.write.timeout.ms", "share.fetch.purgatory.purge.interval.requests",
    "socket.connection.setup.timeout.max.ms", "socket.connection.setup.timeout.ms",
    "socket.listen.backlog.size", "socket.receive.buffer.bytes", "socket.send.buffer.bytes",
    "ssl.allow.dn.changes", "ssl.allow.san.changes", "ssl.principal.mapping.rules",
    "telemetry.max.bytes", "transaction.abort.timed.out.transaction.cleanup.interval.ms",
    "transaction.remove.expired.transaction.cleanup.interval.ms",
    "transaction.state.log.load.buffer.size", "transaction.state.log.min.isr",
    "transaction.state.log.segment.bytes",
];

/// Those that stand while the broker runs and are lists.
#[rustfmt::skip]
const READ_ONLY_LISTS: &[&str] = &[
    "advertised.listeners", "controller.listener.names", "controller.quorum.bootstrap.servers",
    "controller.quorum.voters", "early.start.listeners", "group.coordinator.rebalance.protocols",
    "group.share.assignors", "group.streams.assignors",
    "group.streams.rack.aware.assignment.tags", "kafka.metrics.reporters", "log.dir", "log.dirs",
    "process.roles", "sasl.oauthbearer.expected.audience",
];

/// Those that can be changed while the broker runs.
#[rustfmt::skip]
const DYNAMIC: &[&str] = &[
    "background.threads", "config.providers", "cordoned.log.dirs",
    "errors.deadletterqueue.auto.create.topics.enable",
    "errors.deadletterqueue.topic.name.prefix", "follower.fetch.last.tiered.offset.enable",
    "group.consumer.assignment.interval.ms", "group.coordinator.cached.buffer.max.bytes",
    "group.share.assignment.interval.ms", "group.streams.assignment.interval.ms",
    "listener.security.protocol.map", "listeners", "log.cleaner.backoff.ms",
    "log.cleaner.dedupe.buffer.size", "log.cleaner.io.buffer.load.factor",
    "log.cleaner.io.buffer.size", "log.cleaner.io.max.bytes.per.second", "log.cleaner.threads",
    "log.local.retention.bytes", "log.local.retention.ms", "log.remote.copy.lag.bytes",
    "log.remote.copy.lag.ms", "max.connection.creation.rate", "max.connections",
    "max.connections.per.ip", "max.connections.per.ip.overrides",
    "metric.reporters", "num.io.threads", "num.network.threads",
    "num.recovery.threads.per.data.dir", "num.replica.fetchers", "principal.builder.class",
    "remote.fetch.max.wait.ms", "remote.list.offsets.request.timeout.ms",
    "remote.log.index.file.cache.total.size.bytes", "remote.log.manager.copier.thread.pool.size",
    "remote.log.manager.copy.max.bytes.per.second",
    "remote.log.manager.expiration.thread.pool.size",
    "remote.log.manager.fetch.max.bytes.per.second",
    "remote.log.manager.follower.thread.pool.size", "remote.log.reader.threads",
    "sasl.enabled.mechanisms", "sasl.jaas.config", "sasl.kerberos.kinit.cmd",
    "sasl.kerberos.min.time.before.relogin", "sasl.kerberos.principal.to.local.rules",
    "sasl.kerberos.service.name", "sasl.kerberos.ticket.renew.jitter",
    "sasl.kerberos.ticket.renew.window.factor", "sasl.login.refresh.buffer.seconds",
    "sasl.login.refresh.min.period.seconds", "sasl.login.refresh.window.factor",
    "sasl.login.refresh.window.jitter", "sasl.mechanism.inter.broker.protocol",
    "share.coordinator.cached.buffer.max.bytes", "ssl.cipher.suites", "ssl.client.auth",
    "ssl.enabled.protocols", "ssl.endpoint.identification.algorithm", "ssl.engine.factory.class",
    "ssl.key.password", "ssl.keymanager.algorithm", "ssl.keystore.certificate.chain",
    "ssl.keystore.key", "ssl.keystore.location", "ssl.keystore.password", "ssl.keystore.type",
    "ssl.protocol", "ssl.provider", "ssl.secure.random.implementation",
    "ssl.trustmanager.algorithm", "ssl.truststore.certificates", "ssl.truststore.location",
    "ssl.truststore.password", "ssl.truststore.type",
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::world::config::BROKER_KEYS;

    #[test]
    fn no_setting_is_both_of_use_and_of_none() {
        let foreign = [READ_ONLY, READ_ONLY_LISTS, DYNAMIC].concat();
        let known: Vec<&str> = BROKER_KEYS.iter().map(|key| key.name).collect();
        let all: BTreeSet<&str> = [&foreign[..], &known].concat().into_iter().collect();
        assert_eq!(all.len(), foreign.len() + known.len(), "each is named once");
        assert_eq!(all.len(), DESCRIBED);
        for name in foreign {
            assert_eq!(Foreign::find(name).map(Foreign::name), Some(name));
        }
        for name in known {
            assert_eq!(Foreign::find(name), None, "{name}");
        }
    }

    /// The settings that a broker of Apache Kafka 4.4.0 describes.
    const DESCRIBED: usize = 350;
}
