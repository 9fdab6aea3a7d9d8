//! What the operator says of how licences may be used: how long silence lasts, which tiers are allowed, what was bought.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::Tier;
use super::entitlement::{Entitlement, TermState};
use super::row::Row;
use crate::domain::instance::Site;
use crate::domain::settings::words;

/// The operator's word, beside the inventory.
#[derive(Clone, Debug, PartialEq)]
pub struct Terms {
    /// So long without a sign of life, and an instance is a candidate for decommissioning.
    pub silent_after: SignedDuration,
    pub allowed: AllowedTiers,
    pub growth: GrowthRule,
    /// `None`: no file of them is named.
    pub entitlements: Option<Vec<Entitlement>>,
}

impl Default for Terms {
    fn default() -> Self {
        Terms {
            silent_after: SignedDuration::from_hours(90 * 24),
            allowed: AllowedTiers::default(),
            growth: GrowthRule::default(),
            entitlements: None,
        }
    }
}

/// Over how many percent of what is entitled a True Forward comes before its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GrowthRule {
    /// In the first six months of a term.
    pub early_percent: u32,
    /// In the whole term, where the entitlement has no growth allowance of its own.
    pub term_percent: u32,
}

impl Default for GrowthRule {
    fn default() -> Self {
        GrowthRule { early_percent: 105, term_percent: 115 }
    }
}

/// The highest tier that may be used, by place and by account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AllowedTiers {
    /// Of devices without a site of their own.
    pub elsewhere: Option<Tier>,
    pub sites: BTreeMap<Site, Tier>,
    /// By the name of a Smart or Virtual Account.
    pub accounts: BTreeMap<String, Tier>,
}

/// Who says which tier is allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AllowedBy {
    Site,
    Account,
    /// The highest tier that runs for the account.
    Entitlements,
}
words!(AllowedBy { Site = "site", Account = "account", Entitlements = "entitlements" });

impl Terms {
    /// The lowest tier that anybody allows a row, and who; `None` where nobody says.
    pub(super) fn allowed(&self, row: &Row, as_of: Timestamp) -> Option<(Tier, AllowedBy)> {
        let site = match self.allowed.sites.get(&row.site) {
            Some(tier) => Some(*tier),
            None if row.site.0.is_empty() => self.allowed.elsewhere,
            None => None,
        };
        let accounts = [&row.smart_account, &row.virtual_account].into_iter().flatten();
        let account = accounts.filter_map(|name| self.allowed.accounts.get(&**name)).min().copied();
        let running = self.entitlements.iter().flatten().filter(|one| one.state_at(as_of) == TermState::Running);
        let bought = running.filter(|one| one.is_of(row)).filter_map(|one| one.tier).max();
        let said = [(site, AllowedBy::Site), (account, AllowedBy::Account), (bought, AllowedBy::Entitlements)];
        said.into_iter().filter_map(|(tier, by)| Some((tier?, by))).min()
    }
}
