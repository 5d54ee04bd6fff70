//! Suites that hold the whole workspace together; see `tests/`.
