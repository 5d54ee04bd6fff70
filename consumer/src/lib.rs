//! The consumer: fetching, groups, assignors, commits.
