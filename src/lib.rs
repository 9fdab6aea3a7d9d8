//! slp-collector: Cisco Smart Licensing Using Policy, from the device to Cisco and back.
//!
//! ```text
//! inward     collect ──▶ parse ──▶ keep ──▶ plan(now)            device → domain → ledger → domain
//! outward    plan ──▶ compose ──▶ seal ──▶ hand over             domain → exchange
//! homeward   read ack ──▶ match ──▶ acknowledge ──▶ deliver      exchange → domain → ledger → device ──▶ read back
//! watching   judge(now) ──▶ keep ──▶ tell                        domain → ledger → notify
//! ```
//!
//! [`domain`] is pure: no clock, no file, no socket. [`device`] is the only room that talks to
//! devices, [`ledger`] the only memory, [`exchange`] the only archive format; these three never
//! see each other. [`flow`] calls them in the order of the picture. [`notify`] tells people. The daemon and the
//! command line are two ways to call [`flow`].

#![forbid(unsafe_code)]

pub mod cli;
pub mod config;
pub mod control;
pub mod daemon;
pub mod device;
pub mod domain;
pub mod exchange;
pub mod flow;
pub mod http;
pub mod inspect;
pub mod ledger;
pub mod metrics;
pub mod notify;
pub mod receiver;
pub mod schedule;
pub mod secret;
pub mod tls;
pub mod upstream;
pub mod web;
