//! What the client promises, tried on real clusters: every test is written once and runs on each
//! backend that can do what it needs.
//!
//! ```text
//! cargo test -p ottla-integration-tests --test suites                          embedded brokers
//! … --features containers -- one_container        Apache Kafka, one broker
//! … --features containers -- three_containers     Apache Kafka, three brokers that may be killed
//! KAFKA_BOOTSTRAP_SERVERS=host:port … --features external -- external
//! ```
#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a suite says what failed by panicking, and lives on real time"
)]

mod clients;
mod connect;
mod coordinators;
mod failover;
mod metadata;

use ottla_integration_tests::{Access, Backend, run};

/// Tests of those suites, on one backend.
macro_rules! on {
    ($backend:expr, $access:ident, $($suite:ident: $($test:ident)+;)+) => {
        $(mod $suite {
            use super::*;

            $(#[test]
            fn $test() {
                run($backend, Access::$access, crate::$suite::$test);
            })+
        })+
    };
}

/// What any cluster can do, and leaves it as it was.
macro_rules! everywhere {
    ($backend:expr) => {
        on! {
            $backend, Shared,
            connect:
                any_bootstrap_server_names_every_broker
                a_dead_bootstrap_server_is_passed_over
                with_nobody_listening_the_error_names_who_was_asked
                a_broker_that_does_not_exist_is_an_error_before_the_deadline
                the_cluster_is_the_same_by_every_way;
            metadata:
                a_topic_is_known_with_its_leaders
                an_unknown_topic_is_said_to_be_unknown
                an_impossible_topic_name_is_said_to_be_one
                a_topic_that_is_created_later_is_found;
            coordinators:
                a_group_has_one_coordinator_whoever_asks;
        }
    };
}

/// What needs three brokers, and hurts them.
macro_rules! with_three_brokers {
    ($backend:expr) => {
        on! {
            $backend, Exclusive,
            failover:
                a_moved_leader_is_noticed_and_its_epoch_is_newer
                a_killed_broker_costs_no_call
                a_frozen_broker_hides_no_topic
                a_dead_coordinator_is_looked_up_again;
        }
    };
}

mod embedded {
    use super::*;

    everywhere! { Backend::Embedded }
    with_three_brokers! { Backend::Embedded }
}

#[cfg(feature = "containers")]
mod one_container {
    use super::*;

    everywhere! { Backend::Containers(1) }
}

#[cfg(feature = "containers")]
mod three_containers {
    use super::*;

    everywhere! { Backend::Containers(3) }
    with_three_brokers! { Backend::Containers(3) }
}

#[cfg(feature = "external")]
mod external {
    use super::*;

    everywhere! { Backend::External }
}
