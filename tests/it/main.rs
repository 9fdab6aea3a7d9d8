//! The one integration binary; a module a subject.

mod architecture;
// Skips and seeds are printed.
#![allow(clippy::print_stdout)]

mod config;
mod ledger;
mod reading;
mod supply_chain;
mod support;
mod tls;
mod unit_file;
