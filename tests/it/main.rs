//! The one integration binary; a module a subject.

// Skips and seeds are printed.
#![allow(clippy::print_stdout)]

mod architecture;
mod cli;
mod config;
mod daemon;
mod exchange;
mod fleet_loop;
mod fuzz;
mod homeward;
mod kill;
mod lab_ssh;
mod lab_texts;
mod laws;
mod ledger;
mod life;
mod netconf;
mod notify;
mod nxapi;
mod probe;
mod reading;
mod reckoning;
mod recordings;
mod rehearse;
mod restconf;
mod scenario;
mod show_license;
mod snapshot;
mod ssh;
mod ssh_fakenos;
mod ssh_impostor;
mod supply_chain;
mod support;
mod telling;
mod timeline;
mod tls;
mod unit_file;
mod upstream;
mod violation;
mod watching;
