//! A licence as a device uses it.

use serde::Serialize;

/// The four rows of a policy. A licence belongs to one of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Class {
    Perpetual,
    Subscription,
    Enforced,
    Export,
}

/// A licence a device knows. With `count` 0 it is known and not in use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Licence {
    /// The ISO 19770-2 tag that reports carry.
    pub tag: String,
    /// The short name that operators type, such as `dna-advantage`.
    pub name: String,
    pub class: Class,
    pub count: u32,
}

impl Licence {
    pub fn new(tag: impl Into<String>, name: impl Into<String>, class: Class, count: u32) -> Licence {
        Licence { tag: tag.into(), name: name.into(), class, count }
    }

    /// True for either of the two names a licence goes by.
    pub fn is(&self, word: &str) -> bool {
        self.name == word || self.tag == word
    }
}
