//! The command line, one short file a verb.

pub mod check_config;
