//! The properties of administrative calls.

use ottla_core::config::{Property, Table};

/// The properties that only administrative clients have. None has an effect so far.
pub static ADMIN: Table<()> = Table { role: "admin", properties: PROPERTIES };

const PROPERTIES: &[Property<()>] = &[Property::refused(
    "bootstrap.controllers",
    "this version asks brokers, not controllers; set bootstrap.servers",
)];
