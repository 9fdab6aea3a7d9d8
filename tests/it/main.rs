//! The one integration binary; a module a subject.

mod config;
mod ledger;
mod reading;
mod supply_chain;
mod support;
mod unit_file;
