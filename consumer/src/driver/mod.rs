//! The shell: what connects the machines to brokers and to the application.

pub mod group;
