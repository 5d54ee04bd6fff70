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
    clippy::disallowed_methods,
    clippy::future_not_send,
    reason = "a suite says what failed by panicking, lives on real time, and in one thread"
)]

mod admin;
mod clients;
mod connect;
mod consume;
mod coordinators;
mod exactly_once;
mod failover;
mod groups;
#[cfg(feature = "containers")]
mod interop;
mod lessons;
mod metadata;
mod nearby;
mod produce;
mod transactions;

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
            produce:
                a_record_is_where_its_acknowledgement_says
                every_codec_brings_back_what_went_in
                without_acknowledgement_there_is_no_offset
                the_leaders_acknowledgement_is_enough_if_asked_for
                a_batch_too_large_for_the_topic_is_split
                a_record_too_large_for_the_topic_comes_back
                a_topic_that_does_not_exist_is_an_error_in_time;
            consume:
                what_was_produced_is_consumed_in_order
                every_codec_is_read_as_it_was_written
                a_consumer_goes_on_where_it_is_told_to
                behind_the_newest_only_what_comes_later_is_read;
            groups:
                two_members_share_the_partitions_by_range
                two_members_share_the_partitions_in_turn
                two_members_share_the_partitions_and_keep_them
                two_members_share_the_partitions_step_by_step
                a_member_that_closes_hands_its_partitions_over
                a_group_goes_on_where_it_committed
                closing_commits_what_was_processed
                committing_before_processing_is_at_most_once
                committing_after_processing_is_at_least_once
                committing_automatically_is_at_least_once;
            transactions:
                what_is_committed_is_read_and_what_is_aborted_is_not
                a_newer_producer_of_an_id_fences_the_older_at_once
                a_group_goes_on_where_transactions_committed
                a_transaction_that_takes_too_long_is_aborted_and_the_next_goes;
            admin:
                a_topic_is_created_grown_and_deleted
                a_setting_is_changed_and_seen
                offsets_are_listed_and_records_deleted
                the_offsets_of_a_group_are_altered_and_its_lag_told;
            exactly_once:
                a_killed_copier_is_replaced_at_once;
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
                a_dead_coordinator_is_looked_up_again
                nothing_acknowledged_is_lost_with_its_leader
                nothing_acknowledged_is_lost_when_leaders_move
                without_its_near_replica_a_consumer_reads_from_the_leader
                a_rolling_restart_stalls_no_partition
                each_record_is_copied_once_though_brokers_are_killed;
        }
    };
}

/// What needs a broker that fails on command, or tells what it was asked.
macro_rules! with_faults {
    ($backend:expr) => {
        on! {
            $backend, Exclusive,
            lessons:
                a_lost_answer_writes_twice_without_idempotence
                a_lost_answer_writes_once_with_idempotence
                a_retry_is_overtaken_with_several_in_flight_and_no_idempotence
                a_retry_is_not_overtaken_with_one_in_flight
                a_retry_is_not_overtaken_with_idempotence;
            nearby:
                the_near_replica_is_read_from
                a_near_replica_that_comes_back_is_read_from_again;
        }
    };
}

/// What needs the clients of others, which come in the image of Kafka and as kcat.
#[cfg(feature = "containers")]
macro_rules! with_other_clients {
    ($backend:expr) => {
        on! {
            $backend, Shared,
            interop:
                java_reads_what_we_write_in_every_codec
                librdkafka_reads_what_we_write_in_every_codec
                we_read_what_java_writes_in_every_codec
                we_read_what_librdkafka_writes_in_every_codec
                a_group_of_three_clients_that_ours_leads
                a_group_of_three_clients_that_ours_follows;
        }
    };
}

mod embedded {
    use super::*;

    everywhere! { Backend::Embedded }
    with_three_brokers! { Backend::Embedded }
    with_faults! { Backend::Embedded }
    #[cfg(feature = "containers")]
    with_other_clients! { Backend::Embedded }
}

#[cfg(feature = "containers")]
mod one_container {
    use super::*;

    everywhere! { Backend::Containers(1) }
    with_other_clients! { Backend::Containers(1) }
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
