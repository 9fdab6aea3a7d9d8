//! The customer's own copy of what Cisco sees: who used how much of what at an instant, and how much of that is known.
//!
//! A [`Survey`] looks at one instant (`as_of`) over the window before it. What it rests on:
//!
//! * **Quantities are measured, or they are not there.** `quantity` is what a signed report covers at `as_of`; peak and
//!   average are of that part of the window which reports cover. What polls saw, and the last that was measured before
//!   `as_of`, stand in columns of their own. Nothing that was not measured is 0.
//! * **Reports are all those known now**, for a report that was collected later measures the past all the same.
//! * **State is as of `as_of`**: software, model, accounts, deadlines and reservations as the journal's fold had them
//!   then; what a tag is called, as any device said then or since. An instance that came into the fold later and that
//!   reports measure in the window has a row without its state; who it is, is told by the fold of now.
//! * **The inventory is today's**: sites, environments, tags, and the accounts that the operator states.
//!
//! The same ledger, inventory and arguments give the same snapshot, byte by byte; its number is derived from what it
//! says. Nothing in it tells when it was made but the collection of its newest report.

mod curve;
mod diff;
mod entitlement;
mod entry;
mod estate;
mod family;
mod form;
mod headroom;
mod lists;
mod names;
mod projection;
mod rollup;
mod row;
mod sums;
mod terms;
mod total;
mod uses;

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use curve::{Step, curve};
pub use diff::{Changed, Difference, Turned, difference};
pub use entitlement::{Entitlement, Milestones, TermState, earliest_start};
pub use estate::Survey;
pub use family::Family;
pub use form::{Form, NO_PARQUET};
pub use headroom::{EntitlementLine, Entitlements, Estimate, Growth, Headroom, Over, OverState, Unlisted};
pub use lists::{
    AboveTier, AccountDiffers, Came, Duplicate, Gone, GoneBecause, Held, Lists, Orphaned, OtherLicensing, Reporting,
    Silent, Whom,
};
pub use names::{Naming, OperatorNames, Tier, same_licence};
pub use projection::Projection;
pub use rollup::{By, RollUp, RollUps};
pub use row::{Detail, DetailRun, Entry, MeasuredState, NotedChange, Row, SourceReport};
pub use terms::{AllowedBy, AllowedTiers, GrowthRule, Terms};

use super::digest::Sha256;
use super::settings::words;

/// The version of all forms: goes up when a key or its meaning changes; keys may be added.
pub const SCHEMA_VERSION: u32 = 1;

/// The number of a snapshot: 32 hex digits of the SHA-256 of what it says. **signed**
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SnapshotId(pub String);

impl SnapshotId {
    pub fn of(digest: &Sha256) -> Self {
        SnapshotId(digest.to_string()[..32].to_owned())
    }
}

impl std::fmt::Display for SnapshotId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// What is said of a snapshot as a whole. **signed**
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Head {
    pub schema_version: u32,
    pub snapshot_id: SnapshotId,
    /// The snapshot of the same instant and window that this one stands in place of.
    pub corrects: Option<SnapshotId>,
    pub as_of: Timestamp,
    pub window_start: Timestamp,
    pub window_end: Timestamp,
    pub row_count: u64,
    /// Product instances and devices with a row.
    pub instances: u64,
    /// The share of rows that are measured at `as_of`, of those that should be; `null` where none should be.
    pub completeness: Option<f64>,
    /// Rows by how their quantity is known.
    pub measured_states: BTreeMap<MeasuredState, u64>,
    /// Reports that measure something of the window, and when the newest of them was collected.
    pub reports: u64,
    pub newest_report_collected: Option<Timestamp>,
    /// Before this instant the journal is no longer kept: what was only measured before may be missing.
    pub incomplete_before: Option<Timestamp>,
}

/// What is said of all rows together. **signed**
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Overall {
    pub roll_ups: Vec<RollUp>,
    pub lists: Lists,
    /// `None`: the operator names no file of them.
    pub entitlements: Option<Entitlements>,
}

/// A snapshot in its whole form. **signed**
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Whole {
    #[serde(flatten)]
    pub head: Head,
    pub roll_ups: Vec<RollUp>,
    /// Missing in those of the first release.
    #[serde(default)]
    pub lists: Lists,
    #[serde(default)]
    pub entitlements: Option<Entitlements>,
    pub rows: Vec<Entry>,
}

impl Whole {
    /// From when on a row stands for nothing any more: its instance is retired or replaced, or uses it no longer.
    pub fn gone(&self) -> impl Fn(&Row) -> Option<Timestamp> {
        let mut gone: BTreeMap<(&str, &str), Vec<&Gone>> = BTreeMap::new();
        for one in &self.lists.gone {
            gone.entry((&one.whom.pid, &one.whom.sn)).or_default().push(one);
        }
        move |row| {
            let own = gone.get(&(row.pid.as_deref()?, row.sn.as_deref()?))?;
            let same = |held: &Held| {
                held.entitlement_tag == row.entitlement_tag
                    && (row.entitlement_tag.is_some() || held.license_name == row.license_name)
            };
            own.iter().filter(|one| one.licences.iter().any(same)).map(|one| one.at).min()
        }
    }

    /// The rows of a licence, by its tag or its name, in a Smart or Virtual Account; not given: of all.
    pub fn of<'a>(&'a self, tag: Option<&'a str>, account: Option<&'a str>) -> impl Iterator<Item = &'a Entry> {
        let licence = move |row: &Row| {
            let named = |tag| {
                [row.entitlement_tag.as_ref().map(|own| own.0.as_ref()), row.license_name.as_deref()]
                    .contains(&Some(tag))
            };
            tag.is_none_or(named)
        };
        let within = move |row: &Row| {
            account.is_none_or(|own| {
                [&row.smart_account, &row.virtual_account].into_iter().flatten().any(|it| **it == *own)
            })
        };
        self.rows.iter().filter(move |entry| licence(&entry.row) && within(&entry.row))
    }
}

words!(MeasuredState {
    Measured = "measured",
    NotYetMeasured = "not-yet-measured",
    NothingToReport = "nothing-to-report",
    Stale = "stale",
    Reserved = "reserved",
    Unmeasurable = "unmeasurable",
});
words!(By {
    SmartAccount = "smart-account",
    VirtualAccount = "virtual-account",
    Site = "site",
    Environment = "environment",
    Entitlement = "entitlement",
});

#[cfg(test)]
mod tests;
