//! What the operator says of violations: kinds that are off, severities, and how long is long.

use std::collections::{BTreeMap, BTreeSet};

use jiff::SignedDuration;

use super::{Kind, Severity};
use crate::domain::instance::Site;

/// The operator's word on violations, for everybody and for sites that have their own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    pub everywhere: SiteRules,
    /// Complete: what a site does not say itself is that of everybody.
    pub sites: BTreeMap<Site, SiteRules>,
}

impl Rules {
    /// What holds at a site.
    pub fn of(&self, site: &Site) -> &SiteRules {
        // Few configurations have sites with rules of their own, and a fleet has many instances.
        if self.sites.is_empty() { &self.everywhere } else { self.sites.get(site).unwrap_or(&self.everywhere) }
    }
}

/// What holds at one site.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SiteRules {
    /// Kinds that are not looked for.
    pub off: BTreeSet<Kind>,
    /// Kinds whose severity is another than [`Kind::severity`].
    pub severity: BTreeMap<Kind, Severity>,
    /// So long after a hand-over without an answer, and the ACK is missing.
    pub ack_missing_after: SignedDuration,
    /// So long without collecting what the device has, and collection is stale.
    pub collection_stale_after: SignedDuration,
    /// The name of the policy that every instance is to have; `None`: that of the majority.
    pub expected_policy: Option<String>,
}

impl Default for SiteRules {
    fn default() -> Self {
        SiteRules {
            off: BTreeSet::new(),
            severity: BTreeMap::new(),
            ack_missing_after: SignedDuration::from_hours(14 * 24),
            collection_stale_after: SignedDuration::from_hours(7 * 24),
            expected_policy: None,
        }
    }
}

impl SiteRules {
    pub fn is_on(&self, kind: Kind) -> bool {
        !self.off.contains(&kind)
    }

    /// How severe a kind is here; `found` is what it is where nobody says otherwise.
    pub fn severity(&self, kind: Kind, found: Severity) -> Severity {
        self.severity.get(&kind).copied().unwrap_or(found)
    }
}
