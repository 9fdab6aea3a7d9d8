//! Servers that reports go to by their API, each played by the lab.

mod cssm;
mod on_prem;
