//! What the product knows and decides, without a clock, a file, a socket or a log.
//!
//! Time comes in as an argument. Everything here can be run again on the same input and gives
//! the same answer: reading a report, folding events into a [`fleet`], telling a deadline,
//! planning what is to be done.

pub mod ack;
pub mod advisory;
pub mod alert;
mod beside;
pub mod bundle;
pub mod calendar;
pub mod cross_check;
pub mod deadline;
pub mod delivery;
pub mod digest;
pub mod event;
pub mod evidence;
pub mod fleet;
pub mod forecast;
pub mod handover;
pub mod hashing;
pub mod instance;
pub mod message;
pub mod monitor;
pub mod on_prem;
pub mod overview;
pub mod pacing;
pub mod parts;
pub mod plan;
pub mod policy;
pub mod problem;
pub mod report;
pub mod retirement;
pub mod rum_file;
pub mod scrub;
pub mod settings;
pub mod shared;
pub mod show_license;
pub mod silence;
pub mod slp_file;
pub mod snapshot;
pub mod state;
pub mod status;
pub mod submission;
pub mod timeline;
pub mod violation;
pub mod window;
pub mod xml;
