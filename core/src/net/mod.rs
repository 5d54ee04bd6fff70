//! The shell: runtime, links, and the [`Client`] that owns them.

mod anyone;
mod calls;
mod client;
mod dial;
mod drive;
mod link;
mod lookup;
mod race;
mod refresh;
mod route;
mod runtime;
mod shared;
mod timer;
mod watch;

pub use calls::{Answered, CallLink};
pub use client::{Client, SnapshotListener, Target, TopicUse};
pub use dial::{BoxStream, DialFuture, Dialer, Stream};
pub use link::{Link, LinkOptions, Purpose};
pub use runtime::{Runtime, RuntimeBuilder, Task};
