//! The manual: what is promised, and how to use it. Every program in it compiles.
//!
//! | page | answers |
//! |---|---|
//! | [`quick_start`] | how do I send and read? |
//! | [`delivery`] | what is guaranteed: can a record be lost, doubled or reordered? |
//! | [`groups`] | how do several programs share a topic, and when is what committed? |
//! | [`errors`] | what went wrong, and what do I do? |
//! | [`configuration`] | where do settings come from? |

pub mod configuration;
pub mod delivery;
pub mod errors;
pub mod groups;
pub mod quick_start;
