//! What changed from one snapshot to another, and the reports that tell it.
//!
//! Who is who goes by the UDI. Only a stack that the chassis left by which it was known goes on by its name, and that
//! chassis came. Of the reports between the two instants those are named that tell another quantity than the time
//! before, and the last; what is not known is no place to move to, and no tier.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

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
    let name = row.device.as_ref().map(|name| &*name.0).filter(|_| row.pid.is_none());
    (row.pid.as_deref(), row.sn.as_deref(), name)
}

fn licence(row: &Row) -> Licence<'_> {
    match &row.entitlement_tag {
        Some(tag) => (Some(&tag.0), None),
        None => (None, row.license_name.as_deref()),
    }
}

fn by_instance(whole: &Whole) -> Instances<'_> {
    let mut instances = Instances::new();
    for entry in &whole.rows {
        instances.entry(who(&entry.row)).or_default().insert(licence(&entry.row), entry);
    }
    instances
}

/// What is different in `second`, compared with `first`.
pub fn difference(first: &Whole, second: &Whole) -> Difference {
    let (before, mut after) = (by_instance(first), by_instance(second));
    for (known_as, goes_on_as) in stacks_that_go_on(&before, &after) {
        if let (Some(alone), Some(stack)) = (after.remove(&known_as), after.remove(&goes_on_as)) {
            after.insert(known_as, stack);
            after.insert(goes_on_as, alone);
        }
    }
    let between = (first.head.as_of, second.head.as_of);
    let none = BTreeMap::new();
    let mut changed = Vec::new();
    let everybody: BTreeSet<&Who<'_>> = before.keys().chain(after.keys()).collect();
    for one in everybody {
        let (old, new) = (before.get(one).unwrap_or(&none), after.get(one).unwrap_or(&none));
        let licences: BTreeSet<&Licence<'_>> = old.keys().chain(new.keys()).collect();
        for licence in licences {
            changed.extend(of_licence(old.get(licence).copied(), new.get(licence).copied(), between));
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

type Instances<'a> = BTreeMap<Who<'a>, BTreeMap<Licence<'a>, &'a Entry>>;

/// Stacks by the chassis that left them and stands alone in the second, and by the one under which they go on there.
fn stacks_that_go_on<'a>(before: &Instances<'a>, after: &Instances<'a>) -> Vec<(Who<'a>, Who<'a>)> {
    let row = |entries: &BTreeMap<Licence<'a>, &'a Entry>| entries.values().next().map(|entry| &entry.row);
    let new: BTreeMap<&str, Who<'_>> = after
        .iter()
        .filter(|(one, _)| !before.contains_key(*one))
        .filter_map(|(one, entries)| Some((&*row(entries)?.device.as_ref()?.0, *one)))
        .collect();
    let stacks = before.iter().filter_map(|(one, entries)| {
        let (old, alone) = (row(entries)?, row(after.get(one)?)?);
        let left = old.ha_role.is_some() && alone.ha_role.is_none() && old.device != alone.device;
        Some((*one, *new.get(&*old.device.as_ref()?.0).filter(|_| left)?))
    });
    stacks.collect()
}

/// The highest tier of which anything is used, as far as it is known.
fn tier(rows: &BTreeMap<Licence<'_>, &Entry>) -> Option<Tier> {
    let used = |row: &&Row| row.quantity.or(row.quantity_observed).or(row.quantity_last).is_some_and(|used| used > 0);
    rows.values().map(|entry| &entry.row).filter(used).filter_map(|row| row.tier).max()
}

fn of_licence(old: Option<&Entry>, new: Option<&Entry>, between: (Timestamp, Timestamp)) -> Option<Changed> {
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
        reports: telling(told, was, between),
        entitlement_tag: told.row.entitlement_tag.clone(),
        license_name: told.row.license_name.clone(),
        ..about(&told.row, what)
    })
}

/// The reports that tell how the quantity came to be what it is; where none of between the instants is here, the last.
fn telling(entry: &Entry, was: Option<u64>, (from, to): (Timestamp, Timestamp)) -> Vec<SourceReport> {
    let (from, to) = (from.min(to), from.max(to));
    let mut measured = entry.detail.runs.iter().filter_map(|run| Some((run, run.report_id?))).peekable();
    let (mut before, mut ids) = (was, BTreeSet::new());
    while let Some((run, id)) = measured.next() {
        let last = measured.peek().is_none_or(|(next, _)| next.start > to);
        let within = run.start <= to && run.end > from;
        if last || (within && before != Some(run.quantity)) {
            ids.insert(id);
        }
        // Of what was before the instants the first snapshot tells.
        before = if within || was.is_none() { Some(run.quantity) } else { before };
        if last {
            break;
        }
    }
    entry.detail.reports.iter().filter(|report| ids.contains(&report.report_id)).cloned().collect()
}

fn of_instance(old: &Row, new: &Row, was: Option<Tier>, is: Option<Tier>) -> Vec<Changed> {
    let account = |row: &Row| {
        let parts = [&row.smart_account, &row.virtual_account];
        let known = parts.iter().any(|part| part.is_some());
        let word = |part: &Option<Arc<str>>| part.as_deref().unwrap_or("-").to_owned();
        known.then(|| parts.map(word).join(" / "))
    };
    let site = |row: &Row| (!row.site.0.is_empty()).then(|| row.site.to_string());
    let tiers = (was.map(|tier| tier.to_string()), is.map(|tier| tier.to_string()));
    let facts = [
        (Turned::MovedAccount, account(old), account(new)),
        (Turned::MovedSite, site(old), site(new)),
        (Turned::ChangedTier, tiers.0, tiers.1),
    ];
    let known = |what: &Turned, before: &Option<String>, after: &Option<String>| match what {
        Turned::ChangedTier => before.is_some() && after.is_some(),
        Turned::MovedAccount => after.is_some(),
        Turned::MovedSite
        | Turned::Came
        | Turned::Went
        | Turned::Grew
        | Turned::Shrank
        | Turned::NowMeasured
        | Turned::NoLongerMeasured => true,
    };
    let differs = facts.into_iter().filter(|(what, before, after)| before != after && known(what, before, after));
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
