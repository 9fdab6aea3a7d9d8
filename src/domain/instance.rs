//! Who: product instances by their UDI, devices by the name the operator gave them.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Unique device identifier of a product instance: product id and serial number. **stored**
///
/// The identity under which licences are counted. Cisco prints it `PID:…,SN:…`. Every report names it, so that what is
/// cloned shares its text.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Udi {
    pub pid: Arc<str>,
    pub sn: Arc<str>,
}

impl Udi {
    pub fn new(pid: impl AsRef<str>, sn: impl AsRef<str>) -> Self {
        Udi { pid: pid.as_ref().into(), sn: sn.as_ref().into() }
    }
}

impl fmt::Display for Udi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PID:{},SN:{}", self.pid, self.sn)
    }
}

/// The text is no UDI.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a UDI such as PID:C9300-24T,SN:FOC0000T001, got {0:?}")]
pub struct NotAUdi(String);

impl FromStr for Udi {
    type Err = NotAUdi;

    /// Reads the form that Cisco and `Display` write; a blank after the comma is fine.
    fn from_str(text: &str) -> Result<Self, NotAUdi> {
        let parts = text.trim().strip_prefix("PID:").and_then(|rest| rest.split_once(','));
        let read = parts.and_then(|(pid, rest)| Some((pid.trim(), rest.trim().strip_prefix("SN:")?.trim())));
        match read {
            Some((pid, sn)) if !pid.is_empty() && !sn.is_empty() => Ok(Udi::new(pid, sn)),
            _ => Err(NotAUdi(text.chars().take(80).collect())),
        }
    }
}

/// What a chassis is within its HA pair or stack. **stored**
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    Active,
    Standby,
    Member,
}

impl Role {
    /// Reads the role as devices print it (`Active`, `Standby`, `Member`; any case).
    pub fn read(text: &str) -> Option<Role> {
        let lower = text.trim().to_ascii_lowercase();
        match lower.as_str() {
            "active" => Some(Role::Active),
            "standby" => Some(Role::Standby),
            "member" => Some(Role::Member),
            _ => None,
        }
    }
}

/// One chassis of an HA pair or stack. **stored**
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    pub role: Role,
    pub udi: Udi,
}

/// The operator's name for a device, as in the inventory. **stored**
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DeviceName(pub Arc<str>);

impl fmt::Display for DeviceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<&str> for DeviceName {
    fn from(name: &str) -> Self {
        DeviceName(name.into())
    }
}

impl From<String> for DeviceName {
    fn from(name: String) -> Self {
        DeviceName(name.into())
    }
}

/// The operator's name for a place that shares people, windows and a courier. **stored**
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Site(pub Arc<str>);

impl From<&str> for Site {
    fn from(name: &str) -> Self {
        Site(name.into())
    }
}

impl From<String> for Site {
    fn from(name: String) -> Self {
        Site(name.into())
    }
}

impl fmt::Display for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Smart Account and Virtual Account as a device or an answer states them. **stored**
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Account {
    pub smart_account: Option<Arc<str>>,
    pub virtual_account: Option<Arc<str>>,
}

impl Account {
    /// Do both name a Smart Account or a Virtual Account, and not the same? What only one of them names is no quarrel.
    pub fn contradicts(&self, other: &Account) -> bool {
        let differs = |a: &Option<Arc<str>>, b: &Option<Arc<str>>| {
            let both = a.as_deref().zip(b.as_deref());
            both.is_some_and(|(a, b)| !a.trim().eq_ignore_ascii_case(b.trim()))
        };
        differs(&self.smart_account, &other.smart_account) || differs(&self.virtual_account, &other.virtual_account)
    }
}

impl fmt::Display for Account {
    /// `Smart / Virtual`, with `-` for what is not known.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = |name| Option::unwrap_or(name, "-");
        write!(f, "{} / {}", word(self.smart_account.as_deref()), word(self.virtual_account.as_deref()))
    }
}
