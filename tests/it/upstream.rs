//! Servers that reports go to by their API, each played by the lab.

pub mod cssm;
mod kill;
mod on_prem;
