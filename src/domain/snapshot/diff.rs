//! What changed from one snapshot to another, and the reports that tell it.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Entry, Row, SnapshotId, SourceReport, Tier, Whole};
use crate::domain::report::EntitlementTag;
use crate::domain::settings::words;

/// What turned out different.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Turned {
    /// The licence of the instance is in the second only.
    Came,
    /// In the first only.
    Went,
    /// Measured in both, and more in the second.
    Grew,
    Shrank,
    /// Not measured in the first.
    NowMeasured,
    /// Not measured in the second.
    NoLongerMeasured,
    MovedAccount,
    MovedSite,
    /// The highest tier that the instance uses.
    ChangedTier,
}
words!(Turned {
    Came = "came",
    Went = "went",
    Grew = "grew",
    Shrank = "shrank",
    NowMeasured = "now-measured",
    NoLongerMeasured = "no-longer-measured",
    MovedAccount = "moved-account",
    MovedSite = "moved-site",
    ChangedTier = "changed-tier",
});

/// One difference.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Changed {
    pub what: Turned,
    pub device: Option<String>,
    pub pid: Option<String>,
    pub sn: Option<String>,
    /// `null` for what is about the instance.
    pub entitlement_tag: Option<EntitlementTag>,
    pub license_name: Option<String>,
    /// A quantity, an account, a site or a tier.
    pub before: Option<String>,
    pub after: Option<String>,
    /// The reports behind the quantity after, else before.
    pub reports: Vec<SourceReport>,
}

/// All differences, in the order of instances and licences.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Difference {
    pub from: SnapshotId,
    pub to: SnapshotId,
    pub from_as_of: Timestamp,
    pub to_as_of: Timestamp,
    pub changed: Vec<Changed>,
}

/// Who it is, whatever it is called: its UDI, else the device's name.
type Who<'a> = (Option<&'a str>, Option<&'a str>, Option<&'a str>);
type Licence<'a> = (Option<&'a str>, Option<&'a str>);

fn who(row: &Row) -> Who<'_> {
    let name = row.device.as_ref().map(|name| name.0.as_str()).filter(|_| row.pid.is_none());
    (row.pid.as_deref(), row.sn.as_deref(), name)
}

fn licence(row: &Row) -> Licence<'_> {
    match &row.entitlement_tag {
        Some(tag) => (Some(&tag.0), None),
        None => (None, row.license_name.as_deref()),
    }
}

fn by_instance(whole: &Whole) -> BTreeMap<Who<'_>, BTreeMap<Licence<'_>, &Entry>> {
    let mut instances: BTreeMap<Who<'_>, BTreeMap<Licence<'_>, &Entry>> = BTreeMap::new();
    for entry in &whole.rows {
        instances.entry(who(&entry.row)).or_default().insert(licence(&entry.row), entry);
    }
    instances
}

/// What is different in `second`, compared with `first`.
pub fn difference(first: &Whole, second: &Whole) -> Difference {
    let (before, after) = (by_instance(first), by_instance(second));
    let none = BTreeMap::new();
    let mut changed = Vec::new();
    let everybody: BTreeSet<&Who<'_>> = before.keys().chain(after.keys()).collect();
    for one in everybody {
        let (old, new) = (before.get(one).unwrap_or(&none), after.get(one).unwrap_or(&none));
        let licences: BTreeSet<&Licence<'_>> = old.keys().chain(new.keys()).collect();
        for licence in licences {
            changed.extend(of_licence(old.get(licence).copied(), new.get(licence).copied()));
        }
        if let (Some(old_row), Some(new_row)) = (old.values().next(), new.values().next()) {
            changed.extend(of_instance(&old_row.row, &new_row.row, tier(old), tier(new)));
        }
    }
    Difference {
        from: first.head.snapshot_id.clone(),
        to: second.head.snapshot_id.clone(),
        from_as_of: first.head.as_of,
        to_as_of: second.head.as_of,
        changed,
    }
}

/// The highest tier of which anything is used, as far as it is known.
fn tier(rows: &BTreeMap<Licence<'_>, &Entry>) -> Option<Tier> {
    let used = |row: &&Row| row.quantity.or(row.quantity_observed).or(row.quantity_last).is_some_and(|used| used > 0);
    rows.values().map(|entry| &entry.row).filter(used).filter_map(|row| row.tier).max()
}

fn of_licence(old: Option<&Entry>, new: Option<&Entry>) -> Option<Changed> {
    let quantity = |entry: Option<&Entry>| entry.and_then(|entry| entry.row.quantity);
    // A row without a licence says that there is none.
    let is_one = |entry: &&Entry| licence(&entry.row) != (None, None);
    let (was, is) = (quantity(old), quantity(new));
    let what = match (old.filter(is_one), new.filter(is_one)) {
        (None, None) => return None,
        (None, Some(_)) => Turned::Came,
        (Some(_), None) => Turned::Went,
        (Some(_), Some(_)) => match (was, is) {
            (Some(was), Some(is)) if was < is => Turned::Grew,
            (Some(was), Some(is)) if was > is => Turned::Shrank,
            (None, Some(_)) => Turned::NowMeasured,
            (Some(_), None) => Turned::NoLongerMeasured,
            (None, None) | (Some(_), Some(_)) => return None,
        },
    };
    let told = if is.is_some() { new.or(old) } else { old.or(new) }?;
    Some(Changed {
        before: was.map(|was| was.to_string()),
        after: is.map(|is| is.to_string()),
        reports: told.detail.reports.clone(),
        entitlement_tag: told.row.entitlement_tag.clone(),
        license_name: told.row.license_name.clone(),
        ..about(&told.row, what)
    })
}

fn of_instance(old: &Row, new: &Row, was: Option<Tier>, is: Option<Tier>) -> Vec<Changed> {
    let account = |row: &Row| {
        let parts = [&row.smart_account, &row.virtual_account];
        let known = parts.iter().any(|part| part.is_some());
        let word = |part: &Option<String>| part.clone().unwrap_or_else(|| "-".to_owned());
        known.then(|| parts.map(word).join(" / "))
    };
    let site = |row: &Row| (!row.site.0.is_empty()).then(|| row.site.0.clone());
    let tiers = (was.map(|tier| tier.to_string()), is.map(|tier| tier.to_string()));
    let facts = [
        (Turned::MovedAccount, account(old), account(new)),
        (Turned::MovedSite, site(old), site(new)),
        (Turned::ChangedTier, tiers.0, tiers.1),
    ];
    let differs = facts.into_iter().filter(|(_, before, after)| before != after);
    differs.map(|(what, before, after)| Changed { before, after, ..about(new, what) }).collect()
}

fn about(row: &Row, what: Turned) -> Changed {
    Changed {
        what,
        device: row.device.as_ref().map(ToString::to_string),
        pid: row.pid.clone(),
        sn: row.sn.clone(),
        entitlement_tag: None,
        license_name: None,
        before: None,
        after: None,
        reports: Vec::new(),
    }
}
