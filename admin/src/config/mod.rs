//! The settings of administrative calls: those of the client, and what Java has beside them.

mod table;

pub use table::ADMIN;
