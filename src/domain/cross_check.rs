//! What an upstream knows of the fleet against what is known here.
//!
//! [`compare`] joins the two by UDI, members of a pair or stack counting as their instance, and tells four things:
//!
//! * **account**: the upstream has it in another Smart or Virtual Account than the inventory or the device names;
//! * **contact**: the upstream last heard of it more than [`Scope::tolerance`] before it acknowledged something to it
//!   here. A bundle that was handed over counts as soon as it has been under way for as long, for a courier takes days;
//! * **only here**: it was acknowledged once, so Cisco knows it, and this upstream does not list it;
//! * **only there**: the upstream lists an instance of a product family that is polled here, and nobody here knows it;
//!   or one that was retired here and was in touch there since.
//!
//! A product family is the product id up to the first `-` or `/` (`C9300-48T` is of `C9300`, `ISR4331/K9` of
//! `ISR4331`): an account has phones and firewalls too, and this collector has no word on them. What an upstream does
//! not tell makes no difference.

mod in_use;

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::bundle;
use super::fleet::{Fleet, Instance};
use super::instance::{Account, Udi};
use super::plan::{Watched, watched_as};
use super::settings::{Reporter, words};
use super::submission::Route;

pub use self::in_use::InUse;

/// So many differences of one read are kept on record; their number is kept whole, and all are in the read's object.
pub const KEPT: usize = 1_000;

/// The usual tolerance of [`Scope`]: longer than the usual way of a bundle to the portal.
pub const TOLERANCE: SignedDuration = SignedDuration::from_hours(14 * 24);

/// What an upstream lists of one product instance. **stored**
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    pub udi: Udi,
    pub account: Account,
    pub last_contact: Option<Timestamp>,
    pub host: Option<String>,
}

/// What an upstream can know, and how exact one is with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    /// Only instances for which this one reports are looked for there; `None`: all, for all end at Cisco.
    pub reporter: Option<Reporter>,
    /// The accounts that were read; none: all. An instance of another one is not looked for there.
    pub routes: Vec<Route>,
    /// The name and the domain of Smart Accounts: devices and people use either.
    pub smart_accounts: Vec<(String, String)>,
    pub tolerance: SignedDuration,
}

impl Scope {
    fn holds(&self, device: Option<&Watched>, account: &Account) -> bool {
        let reporter = self.reporter.is_none_or(|wanted| device.is_some_and(|device| device.reporter == wanted));
        let read = self.routes.is_empty() || self.routes.iter().any(|route| route.takes(account));
        reporter && (read || account.smart_account.is_none())
    }

    /// An account there, its Smart Account named as it is here where that means the same one.
    fn in_our_words(&self, there: &Account, here: &Account) -> Account {
        let own = here.smart_account.as_ref().zip(there.smart_account.as_ref());
        let means = |(own, told): &(&Arc<str>, &Arc<str>)| {
            let both = |(name, domain): &(String, String)| {
                (same(name, own) || same(domain, own)) && (same(name, told) || same(domain, told))
            };
            self.smart_accounts.iter().any(both)
        };
        let smart_account = own.filter(means).map(|(own, _)| own.clone()).or_else(|| there.smart_account.clone());
        Account { smart_account, virtual_account: there.virtual_account.clone() }
    }
}

/// One thing on which an upstream and we do not agree. **stored**
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Difference {
    pub about: About,
    pub udi: Udi,
    /// When it was first found, as long as it was found again each time since.
    pub since: Timestamp,
}

/// What it is about; what is surest comes first. **stored**
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum About {
    Account {
        there: Account,
        here: Account,
    },
    /// When it was last in touch.
    Contact {
        there: Option<Timestamp>,
        here: Option<Timestamp>,
    },
    /// We know it, the upstream does not.
    OnlyHere,
    /// The upstream knows it, we do not.
    OnlyThere,
}

/// The four kinds of difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    Account,
    Contact,
    OnlyHere,
    OnlyThere,
}
words!(Kind { Account = "account", Contact = "contact", OnlyHere = "only-here", OnlyThere = "only-there" });

impl About {
    pub fn kind(&self) -> Kind {
        match self {
            About::Account { .. } => Kind::Account,
            About::Contact { .. } => Kind::Contact,
            About::OnlyHere => Kind::OnlyHere,
            About::OnlyThere => Kind::OnlyThere,
        }
    }
}

/// So many differences of each kind. **stored**
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    pub account: u64,
    pub contact: u64,
    pub only_here: u64,
    pub only_there: u64,
}

impl Counts {
    pub fn of<'a>(differences: impl IntoIterator<Item = &'a Difference>) -> Counts {
        let mut counts = Counts::default();
        for difference in differences {
            match difference.about.kind() {
                Kind::Account => counts.account += 1,
                Kind::Contact => counts.contact += 1,
                Kind::OnlyHere => counts.only_here += 1,
                Kind::OnlyThere => counts.only_there += 1,
            }
        }
        counts
    }

    pub fn by_kind(&self) -> [(Kind, u64); 4] {
        [
            (Kind::Account, self.account),
            (Kind::Contact, self.contact),
            (Kind::OnlyHere, self.only_here),
            (Kind::OnlyThere, self.only_there),
        ]
    }

    pub fn total(&self) -> u64 {
        self.by_kind().into_iter().map(|(_, count)| count).sum()
    }
}

/// Where the upstream and we do not agree, in the order of kinds and then of UDIs, whatever the order of `seen`.
///
/// `watched` is in the order of names. An instance that the upstream lists more than once is in touch when any of its
/// entries is, and in the right account when any is.
pub fn compare(fleet: &Fleet, watched: &[Watched], seen: &[Seen], scope: &Scope, now: Timestamp) -> Vec<Difference> {
    let families: HashSet<String> = fleet
        .instances
        .values()
        .filter(|instance| instance.retired.is_none())
        .flat_map(|instance| instance.chassis())
        .map(|udi| family(&udi.pid))
        .collect();
    let mut listed: BTreeMap<&Udi, (&Instance, Listed<'_>)> = BTreeMap::new();
    let mut found: Vec<(About, Udi)> = Vec::new();
    for seen in seen {
        match fleet.resolve(&seen.udi) {
            Some(instance) => {
                let (_, entry) = listed.entry(&instance.udi).or_insert_with(|| (instance, Listed::default()));
                entry.take(seen);
            }
            None if families.contains(&family(&seen.udi.pid)) => found.push((About::OnlyThere, seen.udi.clone())),
            None => {}
        }
    }
    for (instance, entry) in listed.values() {
        if let Some(retired) = &instance.retired {
            if entry.contact.is_some_and(|contact| contact > retired.at) {
                found.push((About::OnlyThere, instance.udi.clone()));
            }
            continue;
        }
        let device = instance.device.as_ref().and_then(|name| watched_as(watched, name));
        let account = bundle::account(device, Some(instance));
        if let Some(there) = entry.elsewhere(&account, scope) {
            found.push((About::Account { there, here: account }, instance.udi.clone()));
        }
        let here = carried(instance, scope.tolerance, now);
        let older = |there: Timestamp| here.is_some_and(|here| here.duration_since(there) > scope.tolerance);
        if let Some(there) = entry.contact.filter(|there| older(*there)) {
            found.push((About::Contact { there: Some(there), here }, instance.udi.clone()));
        }
    }
    for instance in fleet.instances.values() {
        let known = acknowledged(instance).is_some() || !instance.acknowledged.is_empty();
        if instance.retired.is_some() || !known || listed.contains_key(&instance.udi) {
            continue;
        }
        let device = instance.device.as_ref().and_then(|name| watched_as(watched, name));
        if scope.holds(device, &bundle::account(device, Some(instance))) {
            found.push((About::OnlyHere, instance.udi.clone()));
        }
    }
    let mut differences: Vec<Difference> =
        found.into_iter().map(|(about, udi)| Difference { about, udi, since: now }).collect();
    differences.sort_unstable();
    differences.dedup();
    differences
}

/// Differences found again keep the day on which they were found first.
pub fn carry(before: &[Difference], found: &mut [Difference]) {
    let before: BTreeMap<(&Udi, Kind), &Difference> =
        before.iter().map(|difference| ((&difference.udi, difference.about.kind()), difference)).collect();
    for difference in found {
        let again = before.get(&(&difference.udi, difference.about.kind())).filter(|before| {
            match (&before.about, &difference.about) {
                (About::Account { there: before, .. }, About::Account { there, .. }) => before == there,
                (before, now) => before.kind() == now.kind(),
            }
        });
        if let Some(before) = again {
            difference.since = before.since;
        }
    }
}

/// All entries of one instance.
#[derive(Default)]
struct Listed<'a> {
    contact: Option<Timestamp>,
    accounts: Vec<&'a Account>,
}

impl<'a> Listed<'a> {
    fn take(&mut self, seen: &'a Seen) {
        self.contact = self.contact.max(seen.last_contact);
        if !self.accounts.contains(&&seen.account) {
            self.accounts.push(&seen.account);
        }
    }

    /// An account that is not ours, where none is ours: the first by name, whatever came first.
    fn elsewhere(&self, here: &Account, scope: &Scope) -> Option<Account> {
        let there = || self.accounts.iter().map(|there| scope.in_our_words(there, here));
        there().min().filter(|_| there().all(|there| there.contradicts(here)))
    }
}

/// When something of it is known to have reached Cisco, or must have by now.
fn carried(instance: &Instance, under_way: SignedDuration, now: Timestamp) -> Option<Timestamp> {
    let arrived = |at: &Timestamp| now.duration_since(*at) > under_way;
    acknowledged(instance).max(instance.last_handed_over.filter(arrived))
}

/// When it was last acknowledged, as far as the device or the record tells.
fn acknowledged(instance: &Instance) -> Option<Timestamp> {
    let state = instance.state.as_ref();
    let last = state.and_then(|state| state.usage_reporting.last_ack.as_ref()?.utc);
    last.max(instance.last_acknowledged)
}

fn family(pid: &str) -> String {
    pid.split(['-', '/']).next().unwrap_or_default().trim().to_ascii_uppercase()
}

fn same(a: &str, b: &str) -> bool {
    a.trim().eq_ignore_ascii_case(b.trim())
}

#[cfg(test)]
mod tests;
