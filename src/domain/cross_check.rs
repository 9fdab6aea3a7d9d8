//! What an upstream knows of the fleet against what is known here.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::instance::{Account, Udi};

/// A product instance as an upstream knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    pub udi: Udi,
    pub account: Account,
    pub last_contact: Option<Timestamp>,
    pub host: Option<String>,
}

/// One thing on which an upstream and we do not agree. **stored**
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    pub udi: Udi,
    pub about: About,
}

/// What it is about. **stored**
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum About {
    /// The upstream knows it, we do not.
    OnlyThere,
    /// We know it, the upstream does not.
    OnlyHere,
    /// When it was last in touch.
    Contact {
        there: Option<Timestamp>,
        here: Option<Timestamp>,
    },
    Account {
        there: Account,
        here: Account,
    },
}
