//! One device of the inventory, with everything that its site and the defaults say filled in.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::tz::TimeZone;

use super::place::Ports;
use crate::domain::digest::Sha256;
use crate::domain::instance::{Account, DeviceName, Site};
use crate::domain::settings::{Access, Mode, Os, Reporter, Trust};
use crate::domain::window::Windows;

/// A device as the operator lists it, complete.
#[derive(Clone, Debug, PartialEq)]
pub struct Device {
    pub name: DeviceName,
    /// `None` only where `access` is [`Access::ByHand`].
    pub address: Option<Address>,
    pub ports: Ports,
    /// `None`: found out at the first contact.
    pub os: Option<Os>,
    pub access: Access,
    /// Empty for a device without a site.
    pub site: Site,
    /// The name of a credential; `None` only where `access` is [`Access::ByHand`].
    pub credential: Option<Arc<str>>,
    pub mode: Mode,
    pub reporter: Reporter,
    pub trust: Trust,
    /// The SHA-256 of its certificate; given only where `trust` is [`Trust::Pinned`].
    pub pin: Option<Box<Sha256>>,
    /// The SHA-256 of its SSH host key, as OpenSSH takes it.
    pub host_key: Option<Box<Sha256>>,
    /// Also SSH algorithms that nobody should use any more.
    pub legacy: bool,
    /// The name of a set of command lines.
    pub commands: Option<String>,
    /// Given wherever `trust` is [`Trust::Ca`].
    pub ca_file: Option<PathBuf>,
    pub account: Account,
    pub exchange_lead: Duration,
    /// In which it prints times that name no zone.
    pub timezone: Option<TimeZone>,
    /// When the plan may write to it.
    pub windows: Windows,
    /// The operator's word, such as `production`.
    pub environment: Option<Arc<str>>,
    pub tags: Vec<String>,
    /// Its line in the inventory.
    pub line: usize,
}

impl Device {
    /// `host:port` of HTTPS; `None` for a device without an address.
    pub fn authority(&self) -> Option<String> {
        self.authority_at(self.ports.https)
    }

    /// The address alone, as a URL writes it; empty for a device without one.
    pub fn host(&self) -> String {
        match &self.address {
            Some(Address::Ip(IpAddr::V6(address))) => format!("[{address}]"),
            Some(address @ (Address::Ip(IpAddr::V4(_)) | Address::Name(_))) => address.to_string(),
            None => String::new(),
        }
    }

    /// [`authority`](Self::authority) with another port.
    pub fn authority_at(&self, port: u16) -> Option<String> {
        self.address.as_ref().map(|_| format!("{}:{port}", self.host()))
    }

    /// Can it be polled, or does a person carry everything?
    pub fn within_reach(&self) -> bool {
        match self.access {
            Access::Auto | Access::Rest | Access::Ssh | Access::Netconf | Access::Restconf | Access::NxApi => true,
            Access::ByHand => false,
        }
    }
}

/// Where a device answers.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Address {
    Ip(IpAddr),
    /// In lower case.
    Name(String),
}

impl Address {
    /// Reads an address or a host name; a port or a URL is not one.
    pub fn parse(text: &str) -> Option<Address> {
        if let Some(inner) = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            return inner.parse::<Ipv6Addr>().ok().map(|address| Address::Ip(address.into()));
        }
        if let Ok(address) = text.parse() {
            return Some(Address::Ip(address));
        }
        let label = |label: &str| {
            let edges = label.starts_with('-') || label.ends_with('-');
            let known = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
            !label.is_empty() && label.len() <= 63 && !edges && label.bytes().all(known)
        };
        let name = text.strip_suffix('.').unwrap_or(text);
        // What ends in digits is an address with a slip in it.
        let digits = name.rsplit('.').next().is_none_or(|last| last.bytes().all(|byte| byte.is_ascii_digit()));
        let good = !digits && name.len() <= 253 && name.split('.').all(label);
        good.then(|| Address::Name(name.to_ascii_lowercase()))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Ip(address) => address.fmt(f),
            Address::Name(name) => f.write_str(name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_hosts_and_nothing_more() {
        for (text, read) in [
            ("192.0.2.7", "192.0.2.7"),
            ("2001:DB8::1", "2001:db8::1"),
            ("[2001:db8::1]", "2001:db8::1"),
            ("Edge-01.Example.COM", "edge-01.example.com"),
            ("edge_01", "edge_01"),
            ("edge.example.com.", "edge.example.com"),
        ] {
            assert_eq!(Address::parse(text).map(|address| address.to_string()).as_deref(), Some(read));
        }
        for text in
            ["", ".", "192.0.2", "192.0.2.300", "192.0.2.7:443", "https://edge", "edge/01", "-edge", "a..b", "ed ge"]
        {
            assert_eq!(Address::parse(text), None, "{text}");
        }
    }
}
