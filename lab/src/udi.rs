//! Who a box is: the product id and serial number that Cisco calls its UDI, and its place among the members.

use serde::{Deserialize, Serialize};

/// A product id and a serial number, with the member names the reports use.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Udi {
    #[serde(rename = "udi_pid")]
    pub pid: String,
    #[serde(rename = "udi_serial_number")]
    pub sn: String,
}

impl Udi {
    pub fn new(pid: impl Into<String>, sn: impl Into<String>) -> Udi {
        Udi { pid: pid.into(), sn: sn.into() }
    }
}

impl std::fmt::Display for Udi {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PID:{},SN:{}", self.pid, self.sn)
    }
}

/// What a chassis does in a stack or a pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Role {
    Active,
    Standby,
    Member,
}

/// One chassis of a product instance. A single box has one member, the active one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Member {
    pub role: Role,
    #[serde(rename = "sudi")]
    pub udi: Udi,
}
