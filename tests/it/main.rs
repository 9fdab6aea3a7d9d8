//! The one integration binary; a module a subject.

mod architecture;
mod config;
mod ledger;
mod reading;
mod supply_chain;
mod support;
mod tls;
mod unit_file;
