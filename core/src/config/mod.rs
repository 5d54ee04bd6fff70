//! Settings: the typed ones that all roles share, and how those of every role are read from text.
//!
//! A role has a typed structure, such as [`ClientConfig`], and a [`Table`] with a row for each
//! property. [`Properties`] gathers text from files, the environment and code; a table makes typed
//! settings of it, with everything that is wrong at once. The rows are also the reference,
//! `CONFIGURATION.md`.

mod client;
mod error;
mod java;
mod nearest;
mod properties;
mod property;
mod reference;
mod secret;
mod table;
#[cfg(test)]
mod tests;
pub mod value;

pub use client::{ClientConfig, MetadataRecovery, SecurityProtocol};
pub use error::{ConfigError, ConfigProblem, ConfigWarning};
pub use properties::{Origin, Properties};
pub use property::{Alias, Checked, Fate, Importance, Parsed, Property, Row, Set, Table};
pub use reference::{Explanation, section};
pub use secret::Secret;
pub use table::CLIENT;

/// How a row gets its value into a field of the typed settings: with a function that parses it.
#[doc(hidden)]
#[macro_export]
macro_rules! set_field {
    ($field:ident, $parse:path) => {
        |config, text| {
            config.$field = $parse(text)?;
            Ok(())
        }
    };
}
