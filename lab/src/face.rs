//! The ways a device can be reached. Today one: HTTPS, with Cisco's licensing service and RESTCONF on it.

pub mod certificate;
pub mod counters;
pub mod http;
pub mod netconf;
mod page;
mod restconf;
mod rpc;
mod smartlic;
pub mod station;
