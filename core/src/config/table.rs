//! The properties that every role has.

use std::time::Duration;

use crate::set_field;

use super::value::{
    addresses, boolean, choice, millis, millis_or_never, optional, positive_millis_or_never,
    system_bytes, wire_millis, within,
};
use super::{
    Alias, Checked, ClientConfig, ConfigError, ConfigProblem, Importance, MetadataRecovery, Parsed,
    Properties, Property, SecurityProtocol, Table,
};
use Importance::{High, Low, Medium};

/// The properties that every role has.
pub static CLIENT: Table<ClientConfig> = Table { role: "client", properties: PROPERTIES };

impl ClientConfig {
    /// Reads the settings that every role has, and checks them together.
    #[must_use]
    pub fn parse(properties: &Properties) -> Parsed<Self> {
        let mut parsed = CLIENT.read(properties);
        if parsed.config.bootstrap_servers.is_empty() && !names_servers(&parsed) {
            parsed.problems.push(ConfigProblem::Missing {
                name: "bootstrap.servers",
                why: "a client must know where to begin, such as localhost:9092",
            });
        }
        fit_together(&mut parsed);
        parsed
    }

    /// Reads the settings that every role has.
    ///
    /// # Errors
    ///
    /// [`ConfigError`], with everything that is wrong with them.
    pub fn from_properties(properties: &Properties) -> Result<Checked<Self>, ConfigError> {
        Self::parse(properties).finish()
    }
}

/// Whether somebody tried: what is wrong with it is among the problems already.
fn names_servers(parsed: &Parsed<ClientConfig>) -> bool {
    parsed.set.contains("bootstrap.servers")
}

/// A default gives way to what somebody set; two that were both set must fit.
fn fit_together(parsed: &mut Parsed<ClientConfig>) {
    let set = parsed.set.clone();
    let config = &mut parsed.config;
    let pairs = [
        (
            config.reconnect_backoff,
            &mut config.reconnect_backoff_max,
            ["reconnect.backoff.ms", "reconnect.backoff.max.ms"],
        ),
        (
            config.retry_backoff,
            &mut config.retry_backoff_max,
            ["retry.backoff.ms", "retry.backoff.max.ms"],
        ),
        (
            config.socket_connection_setup_timeout,
            &mut config.socket_connection_setup_timeout_max,
            ["socket.connection.setup.timeout.ms", "socket.connection.setup.timeout.max.ms"],
        ),
        (
            config.request_timeout,
            &mut config.default_api_timeout,
            ["request.timeout.ms", "default.api.timeout.ms"],
        ),
    ];
    let mut conflicts = Vec::new();
    for (least, most, [least_name, most_name]) in pairs {
        if least <= *most {
            continue;
        }
        if set.contains(most_name) {
            let (least, most) = (least.as_millis(), most.as_millis());
            conflicts.push(format!("{most_name}={most} must be at least {least_name}={least}"));
        } else {
            *most = least;
        }
    }
    for conflict in conflicts {
        parsed.refuse(true, conflict);
    }
}

type Setting = Property<ClientConfig>;

const PROPERTIES: &[Setting] = &[
    Setting::new(
        "bootstrap.servers",
        "",
        High,
        "Where the first connections go: `host:port`, separated by commas. The rest of the cluster \
         is learnt from whichever answers.",
        set_field!(bootstrap_servers, addresses),
    )
    .alias(&[Alias::of("metadata.broker.list")]),
    Setting::new(
        "client.id",
        "ottla",
        Medium,
        "What this client calls itself to brokers: it is in their logs, metrics and quotas. Java \
         counts its instances where it is not set.",
        |config, text| {
            config.client_id = text.to_owned();
            Ok(())
        },
    ),
    Setting::new(
        "client.rack",
        "",
        Low,
        "The rack, or zone, of this client: replicas there are preferred to fetch from.",
        |config, text| {
            config.client_rack = optional(text);
            Ok(())
        },
    )
    .kip(392),
    Setting::new(
        "security.protocol",
        "PLAINTEXT",
        Medium,
        "How connections are secured. This version speaks PLAINTEXT only.",
        set_field!(security_protocol, security_protocol),
    ),
    Setting::new(
        "request.timeout.ms",
        "30000",
        Medium,
        "How long a request may wait for its answer. An unanswered one closes its connection.",
        set_field!(request_timeout, wire_millis),
    )
    .alias(&[Alias::of("socket.timeout.ms")]),
    Setting::new(
        "default.api.timeout.ms",
        "60000",
        Medium,
        "How long a call may take with all its attempts, unless it is given a timeout of its own.",
        set_field!(default_api_timeout, wire_millis),
    )
    .kip(266),
    Setting::new(
        "socket.connection.setup.timeout.ms",
        "10000",
        Medium,
        "How long a connection may take to come up. Doubles with each failure.",
        set_field!(socket_connection_setup_timeout, wire_millis),
    )
    .kip(601),
    Setting::new(
        "socket.connection.setup.timeout.max.ms",
        "30000",
        Medium,
        "The longest that a connection may take to come up.",
        set_field!(socket_connection_setup_timeout_max, wire_millis),
    )
    .kip(601),
    Setting::new(
        "reconnect.backoff.ms",
        "50",
        Low,
        "The wait before connecting to a broker again. Doubles with each failure.",
        set_field!(reconnect_backoff, millis),
    ),
    Setting::new(
        "reconnect.backoff.max.ms",
        "1000",
        Low,
        "The longest wait before connecting to a broker again.",
        set_field!(reconnect_backoff_max, millis),
    )
    .kip(144),
    Setting::new(
        "retry.backoff.ms",
        "100",
        Low,
        "The wait before asking again. Doubles with each failure.",
        set_field!(retry_backoff, millis),
    )
    .kip(580),
    Setting::new(
        "retry.backoff.max.ms",
        "1000",
        Low,
        "The longest wait before asking again.",
        set_field!(retry_backoff_max, millis),
    )
    .kip(580),
    Setting::new(
        "connections.max.idle.ms",
        "540000",
        Medium,
        "How long a connection may stay unused; -1 or 0 for ever. Below the brokers' 600000, so that \
         this side closes first. Java takes 0 for no time at all.",
        set_field!(connections_max_idle, positive_millis_or_never),
    ),
    Setting::new(
        "allow.auto.create.topics",
        "false",
        Medium,
        "Whether a topic that does not exist is made by asking for it, where brokers allow it. \
         Java's default is true, which turns a mistyped name into a topic.",
        set_field!(allow_auto_create_topics, boolean),
    )
    .kip(361),
    Setting::new(
        "metadata.max.age.ms",
        "300000",
        Low,
        "How old metadata may become before it is asked for again, though nothing went wrong.",
        set_field!(metadata_max_age, millis_or_never),
    )
    .alias(&[Alias::of("topic.metadata.refresh.interval.ms")]),
    Setting::new(
        "metadata.max.idle.ms",
        "300000",
        Low,
        "How long a topic that nobody uses stays in the metadata; 5000 at least.",
        |config, text| {
            let millis = within(text, 5_000..=i64::MAX.unsigned_abs(), "milliseconds")?;
            config.metadata_max_idle = Duration::from_millis(millis);
            Ok(())
        },
    )
    .kip(526),
    Setting::new(
        "metadata.recovery.strategy",
        "rebootstrap",
        Low,
        "What to do when no known broker answers: `rebootstrap` starts over from \
         bootstrap.servers, `none` keeps trying the known ones.",
        set_field!(metadata_recovery_strategy, recovery),
    )
    .kip(899),
    Setting::new(
        "metadata.recovery.rebootstrap.trigger.ms",
        "300000",
        Low,
        "How long metadata may stay without an answer before starting over. When every known \
         broker has failed, that is not waited for.",
        set_field!(metadata_recovery_rebootstrap_trigger, millis),
    )
    .kip(1102),
    Setting::new(
        "metadata.cluster.check.enable",
        "true",
        Low,
        "Whether to check that each connection reached the right broker of the right cluster.",
        set_field!(metadata_cluster_check_enable, boolean),
    )
    .kip(1242),
    Setting::new(
        "send.buffer.bytes",
        "-1",
        Medium,
        "The socket's send buffer; -1 leaves it to the system. Java's default is 131072, which \
         slows long links down.",
        set_field!(send_buffer, system_bytes),
    )
    .alias(&[Alias::of("socket.send.buffer.bytes")]),
    Setting::new(
        "receive.buffer.bytes",
        "-1",
        Medium,
        "The socket's receive buffer; -1 leaves it to the system. Java's default is 32768 or \
         65536.",
        set_field!(receive_buffer, system_bytes),
    )
    .alias(&[Alias::of("socket.receive.buffer.bytes")]),
    Setting::new(
        "receive.message.max.bytes",
        "104857600",
        Medium,
        "The largest answer that is accepted. librdkafka's name; Java has no such bound.",
        |config, text| {
            config.max_response = within(text, 1_024..=i32::MAX as usize, "bytes")?;
            Ok(())
        },
    ),
    Setting::ignored(
        "client.dns.lookup",
        "each address that a name stands for is tried, as with use_all_dns_ips",
    ),
    Setting::ignored(
        "bootstrap.resolve.timeout.ms",
        "names are looked up when a connection is made, and again for each one",
    ),
    Setting::ignored(
        "retries",
        "attempts are not counted; delivery.timeout.ms and default.api.timeout.ms bound them",
    )
    .alias(&[Alias::of("message.send.max.retries")]),
    Setting::ignored("enable.metrics.push", METRICS),
    Setting::ignored("auto.include.jmx.reporter", METRICS),
    Setting::ignored("metric.reporters", METRICS),
    Setting::ignored("metrics.num.samples", METRICS),
    Setting::ignored("metrics.recording.level", METRICS),
    Setting::ignored("metrics.sample.window.ms", METRICS),
    Setting::refused(
        "config.providers",
        "values are taken as they are written; put secrets into the environment or a file of \
         properties",
    ),
    Setting::refused("interceptor.classes", "Java classes cannot be loaded"),
    Setting::refused("security.providers", "Java classes cannot be loaded"),
    Setting::refused("sasl.client.callback.handler.class", SASL),
    Setting::refused("sasl.jaas.config", SASL).secret(),
    Setting::refused("sasl.kerberos.kinit.cmd", SASL),
    Setting::refused("sasl.kerberos.min.time.before.relogin", SASL),
    Setting::refused("sasl.kerberos.service.name", SASL),
    Setting::refused("sasl.kerberos.ticket.renew.jitter", SASL),
    Setting::refused("sasl.kerberos.ticket.renew.window.factor", SASL),
    Setting::refused("sasl.login.callback.handler.class", SASL),
    Setting::refused("sasl.login.class", SASL),
    Setting::refused("sasl.login.connect.timeout.ms", SASL),
    Setting::refused("sasl.login.read.timeout.ms", SASL),
    Setting::refused("sasl.login.refresh.buffer.seconds", SASL),
    Setting::refused("sasl.login.refresh.min.period.seconds", SASL),
    Setting::refused("sasl.login.refresh.window.factor", SASL),
    Setting::refused("sasl.login.refresh.window.jitter", SASL),
    Setting::refused("sasl.login.retry.backoff.max.ms", SASL),
    Setting::refused("sasl.login.retry.backoff.ms", SASL),
    Setting::refused("sasl.mechanism", SASL).alias(&[Alias::of("sasl.mechanisms")]),
    Setting::refused("sasl.username", SASL),
    Setting::refused("sasl.password", SASL).secret(),
    Setting::refused("sasl.oauthbearer.allow.unverified.audience", SASL),
    Setting::refused("sasl.oauthbearer.allow.unverified.issuer", SASL),
    Setting::refused("sasl.oauthbearer.assertion.algorithm", SASL),
    Setting::refused("sasl.oauthbearer.assertion.claim.aud", SASL),
    Setting::refused("sasl.oauthbearer.assertion.claim.exp.seconds", SASL),
    Setting::refused("sasl.oauthbearer.assertion.claim.iss", SASL),
    Setting::refused("sasl.oauthbearer.assertion.claim.jti.include", SASL),
    Setting::refused("sasl.oauthbearer.assertion.claim.nbf.seconds", SASL),
    Setting::refused("sasl.oauthbearer.assertion.claim.sub", SASL),
    Setting::refused("sasl.oauthbearer.assertion.file", SASL),
    Setting::refused("sasl.oauthbearer.assertion.private.key.file", SASL),
    Setting::refused("sasl.oauthbearer.assertion.private.key.passphrase", SASL).secret(),
    Setting::refused("sasl.oauthbearer.assertion.template.file", SASL),
    Setting::refused("sasl.oauthbearer.client.credentials.client.id", SASL),
    Setting::refused("sasl.oauthbearer.client.credentials.client.secret", SASL).secret(),
    Setting::refused("sasl.oauthbearer.clock.skew.seconds", SASL),
    Setting::refused("sasl.oauthbearer.expected.audience", SASL),
    Setting::refused("sasl.oauthbearer.expected.issuer", SASL),
    Setting::refused("sasl.oauthbearer.header.urlencode", SASL),
    Setting::refused("sasl.oauthbearer.jwks.endpoint.refresh.ms", SASL),
    Setting::refused("sasl.oauthbearer.jwks.endpoint.retry.backoff.max.ms", SASL),
    Setting::refused("sasl.oauthbearer.jwks.endpoint.retry.backoff.ms", SASL),
    Setting::refused("sasl.oauthbearer.jwks.endpoint.url", SASL),
    Setting::refused("sasl.oauthbearer.jwt.retriever.class", SASL),
    Setting::refused("sasl.oauthbearer.jwt.validator.class", SASL),
    Setting::refused("sasl.oauthbearer.scope", SASL),
    Setting::refused("sasl.oauthbearer.scope.claim.name", SASL),
    Setting::refused("sasl.oauthbearer.sub.claim.name", SASL),
    Setting::refused("sasl.oauthbearer.token.endpoint.url", SASL),
    Setting::refused("sasl.kerberos.keytab", SASL),
    Setting::refused("sasl.kerberos.principal", SASL),
    Setting::refused("sasl.oauthbearer.assertion.jwt.template.file", SASL),
    Setting::refused("sasl.oauthbearer.assertion.private.key.pem", SASL).secret(),
    Setting::refused("sasl.oauthbearer.client.id", SASL),
    Setting::refused("sasl.oauthbearer.client.secret", SASL).secret(),
    Setting::refused("sasl.oauthbearer.config", SASL).secret(),
    Setting::refused("sasl.oauthbearer.extensions", SASL),
    Setting::refused("sasl.oauthbearer.grant.type", SASL),
    Setting::refused("sasl.oauthbearer.metadata.authentication.type", SASL),
    Setting::refused("sasl.oauthbearer.method", SASL),
    Setting::refused("enable.sasl.oauthbearer.unsecure.jwt", SASL),
    Setting::refused("https.ca.location", SASL),
    Setting::refused("https.ca.pem", SASL),
    Setting::refused("ssl.ca.certificate.stores", TLS),
    Setting::refused("ssl.ca.location", TLS),
    Setting::refused("ssl.ca.pem", TLS),
    Setting::refused("ssl.certificate.location", TLS),
    Setting::refused("ssl.certificate.pem", TLS),
    Setting::refused("ssl.cipher.suites", TLS),
    Setting::refused("ssl.crl.location", TLS),
    Setting::refused("ssl.curves.list", TLS),
    Setting::refused("ssl.enabled.protocols", TLS),
    Setting::refused("ssl.endpoint.identification.algorithm", TLS),
    Setting::refused("ssl.engine.factory.class", TLS),
    Setting::refused("ssl.engine.id", TLS),
    Setting::refused("ssl.engine.location", TLS),
    Setting::refused("ssl.key.location", TLS),
    Setting::refused("ssl.key.password", TLS).secret(),
    Setting::refused("ssl.key.pem", TLS).secret(),
    Setting::refused("ssl.keymanager.algorithm", TLS),
    Setting::refused("ssl.keystore.certificate.chain", TLS).secret(),
    Setting::refused("ssl.keystore.key", TLS).secret(),
    Setting::refused("ssl.keystore.location", TLS),
    Setting::refused("ssl.keystore.password", TLS).secret(),
    Setting::refused("ssl.keystore.type", TLS),
    Setting::refused("ssl.protocol", TLS),
    Setting::refused("ssl.provider", TLS),
    Setting::refused("ssl.providers", TLS),
    Setting::refused("ssl.secure.random.implementation", TLS),
    Setting::refused("ssl.sigalgs.list", TLS),
    Setting::refused("ssl.trustmanager.algorithm", TLS),
    Setting::refused("ssl.truststore.certificates", TLS).secret(),
    Setting::refused("ssl.truststore.location", TLS),
    Setting::refused("ssl.truststore.password", TLS).secret(),
    Setting::refused("ssl.truststore.type", TLS),
    Setting::refused("enable.ssl.certificate.verification", TLS),
    Setting::ignored("api.version.request", "brokers are always asked what they speak"),
    Setting::ignored("broker.address.family", "all addresses of a name are tried"),
    Setting::ignored("broker.version.fallback", "brokers are always asked what they speak"),
    Setting::ignored("debug", LOGGING),
    // With a dot as it comes from the environment, where `_` stands for one.
    Setting::ignored("log_level", LOGGING).alias(&[Alias::of("log.level")]),
    Setting::ignored("log.connection.close", LOGGING),
    Setting::ignored("statistics.interval.ms", METRICS),
    Setting::ignored("socket.keepalive.enable", "a request that is not answered finds dead peers"),
    Setting::ignored("socket.nagle.disable", "it is always disabled"),
    Setting::ignored("topic.metadata.refresh.sparse", "only topics in use are asked for"),
    Setting::ignored(
        "topic.metadata.refresh.fast.interval.ms",
        "retry.backoff.ms is the distance between refreshes",
    ),
    Setting::ignored(
        "topic.metadata.propagation.max.ms",
        "a topic that was known and is denied is believed gone after 30 seconds",
    ),
    Setting::ignored("topic.metadata.refresh.fast.cnt", NO_LONGER),
    Setting::ignored("socket.blocking.max.ms", NO_LONGER),
    Setting::ignored("reconnect.backoff.jitter.ms", NO_LONGER),
    Setting::ignored("api.version.fallback.ms", "brokers are always asked what they speak"),
    Setting::ignored(
        "api.version.request.timeout.ms",
        "socket.connection.setup.timeout.ms is for the first answer, too",
    ),
    Setting::ignored("broker.address.ttl", "names are looked up for each connection"),
    Setting::ignored("builtin.features", "Cargo's features say what is built in"),
    Setting::ignored("enable.random.seed", "a seed is drawn for each client"),
    Setting::ignored("enabled_events", "what happens is told by calls, not by a queue of events"),
    Setting::ignored("internal.termination.signal", "no thread has to be interrupted"),
    Setting::ignored("log.queue", LOGGING),
    Setting::ignored("log.thread.name", LOGGING),
    Setting::ignored("socket.max.fails", "a request that is not answered closes its connection"),
    Setting::refused("plugin.library.paths", "libraries cannot be loaded"),
    Setting::refused("topic.blacklist", "subscribe to a pattern that leaves these topics out"),
];

const NO_LONGER: &str = "librdkafka has no use for it any more, either";

const METRICS: &str = "this version has no metrics of its own";
const LOGGING: &str = "logs go through the tracing crate; set its filter";
const SASL: &str = "this version has no authentication; only security.protocol=PLAINTEXT works";
const TLS: &str = "this version has no TLS; only security.protocol=PLAINTEXT works";

fn recovery(text: &str) -> Result<MetadataRecovery, String> {
    let choices =
        [("none", MetadataRecovery::None), ("rebootstrap", MetadataRecovery::Rebootstrap)];
    choice(text, &choices)
}

/// A protocol that is not there yet is told apart from one that does not exist.
fn security_protocol(text: &str) -> Result<SecurityProtocol, String> {
    let name = text.to_ascii_uppercase();
    match name.as_str() {
        "SSL" | "SASL_PLAINTEXT" | "SASL_SSL" => {
            Err("is not in this version; only PLAINTEXT is".into())
        }
        _ => choice(text, &[("PLAINTEXT", SecurityProtocol::Plaintext)]),
    }
}
