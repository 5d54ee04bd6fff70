//! Rules of the house that neither the compiler nor clippy can check: which crate may import which,
//! what the dependency tree may hold, how long a file may grow. A rule with an exception names it,
//! with the reason, beside the rule.
//!
//! Every check reads the workspace and returns complaints; a complaint says what to do. The checks
//! are tried on made-up workspaces too, so that none passes because it looks at nothing.
#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a check that cannot read the workspace has nothing better to do than fail"
)]

mod arrows;
mod dependencies;
mod determinism;
mod documents;
mod file_lengths;
mod house;
mod manifests;
mod purity;
mod spdx;
mod unsafe_code;
