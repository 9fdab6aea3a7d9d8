//! The one integration binary; a module a subject.

mod config;
mod ledger;
mod supply_chain;
mod unit_file;
