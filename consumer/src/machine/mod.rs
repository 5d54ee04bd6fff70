//! What decides, told the time: no socket, no task, no clock.

pub mod assignor;
pub mod commit;
pub mod membership;
