//! A member of a classic group.

mod config;
mod error;
mod notice;

pub use config::{GroupConfig, OnClose};
pub use error::GroupError;
pub use notice::{GroupEvent, GroupNotice, LossReason, NoticeId};
