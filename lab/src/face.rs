//! The ways a device can be reached: HTTPS with Cisco's licensing service, RESTCONF and NX-API on it, SSH with the command
//! line and two ways to copy files, and an SSH port for NETCONF.

pub mod certificate;
pub mod counters;
pub mod door;
pub mod hostkey;
pub mod http;
pub mod netconf;
mod nxapi;
mod page;
mod restconf;
mod rpc;
mod scp;
mod sftp;
mod shell;
mod smartlic;
pub mod ssh;
pub mod station;
pub mod subsystem;

use serde::Serialize;

/// A port of a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Way {
    Https,
    Ssh,
    Netconf,
}

impl Way {
    pub const ALL: [Way; 3] = [Way::Https, Way::Ssh, Way::Netconf];

    pub fn named(name: &str) -> Option<Way> {
        match name {
            "https" => Some(Way::Https),
            "ssh" => Some(Way::Ssh),
            "netconf" => Some(Way::Netconf),
            _ => None,
        }
    }
}
