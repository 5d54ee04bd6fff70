//! Reading, processing and writing exactly once, on the embedded broker and on paused time.
#![expect(clippy::unwrap_used, reason = "a test bed that does not stand up is a failed test")]

mod bed;
mod faults;
mod groups;
