//! The consumer: fetching, groups, assignors, commits.
pub mod listener;
pub mod machine;
