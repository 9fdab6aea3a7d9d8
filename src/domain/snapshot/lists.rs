//! Whom a reckoning has to look at, beside quantities: silent, orphaned, counted twice, elsewhere, above their tier.
//!
//! An instance is listed once in a list, with what it uses. Lists hold nothing but instances that stand in the rows, but
//! for those that are gone.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::rollup::millionth;
use super::row::Row;
use super::terms::AllowedBy;
use super::{Family, Tier};
use crate::domain::instance::{Account, DeviceName, Site, Udi};
use crate::domain::report::EntitlementTag;
use crate::domain::settings::{Reporter, words};
use crate::domain::state::Model;

/// All lists. **signed**
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Lists {
    /// So long without a sign of life makes one silent.
    pub silent_after_days: f64,
    /// Candidates for decommissioning, in the order of instances, as all lists are.
    pub silent: Vec<Silent>,
    /// Known, not retired, and no device of the inventory.
    pub orphaned: Vec<Orphaned>,
    /// Two devices of the inventory that are one instance.
    pub duplicates: Vec<Duplicate>,
    /// The device says another account than the inventory.
    pub account_differs: Vec<AccountDiffers>,
    pub above_tier: Vec<AboveTier>,
    /// Under reservation, or of a licensing model before Smart Licensing Using Policy.
    pub other_licensing: Vec<OtherLicensing>,
    /// First seen in the window.
    pub came: Vec<Came>,
    pub gone: Vec<Gone>,
    pub reporters: Vec<Reporting>,
}

impl Lists {
    /// How many each list has, but for who reports; those that are empty are left out.
    pub fn sizes(&self) -> Vec<(String, usize)> {
        let sizes = [
            ("silent", self.silent.len()),
            ("orphaned", self.orphaned.len()),
            ("duplicates", self.duplicates.len()),
            ("account differs", self.account_differs.len()),
            ("above tier", self.above_tier.len()),
            ("other licensing", self.other_licensing.len()),
            ("came", self.came.len()),
            ("gone", self.gone.len()),
        ];
        sizes.into_iter().filter(|(_, size)| *size > 0).map(|(list, size)| (list.to_owned(), size)).collect()
    }
}

/// Who it is, and where. **signed**
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Whom {
    pub device: Option<DeviceName>,
    pub pid: Arc<str>,
    pub sn: Arc<str>,
    pub site: Site,
    pub smart_account: Option<Arc<str>>,
    pub virtual_account: Option<Arc<str>>,
}

impl Whom {
    pub(super) fn of(udi: &Udi, row: &Row) -> Whom {
        Whom {
            device: row.device.clone(),
            pid: udi.pid.clone(),
            sn: udi.sn.clone(),
            site: row.site.clone(),
            smart_account: row.smart_account.clone(),
            virtual_account: row.virtual_account.clone(),
        }
    }
}

/// A licence of an instance. **signed**
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Held {
    pub entitlement_tag: Option<EntitlementTag>,
    pub license_name: Option<String>,
    pub family: Option<Family>,
    pub tier: Option<Tier>,
    /// Measured at `as_of`.
    pub quantity: Option<u64>,
    /// Else what polls saw then, else what was measured last.
    pub quantity_expected: Option<u64>,
    pub quantity_reserved: Option<u64>,
    pub first_seen: Option<Timestamp>,
}

/// **signed**
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Silent {
    #[serde(flatten)]
    pub whom: Whom,
    /// The last sign of life, at the latest.
    pub last_seen: Timestamp,
    pub days: f64,
    pub licences: Vec<Held>,
}

/// **signed**
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Orphaned {
    #[serde(flatten)]
    pub whom: Whom,
    pub first_seen: Timestamp,
    pub licences: Vec<Held>,
}

/// **signed**
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Duplicate {
    #[serde(flatten)]
    pub whom: Whom,
    /// The entries of the inventory; it is counted once all the same.
    pub devices: Vec<DeviceName>,
}

/// **signed**
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AccountDiffers {
    #[serde(flatten)]
    pub whom: Whom,
    /// It counts here.
    pub inventory: Account,
    pub device_says: Account,
}

/// **signed**
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AboveTier {
    #[serde(flatten)]
    pub whom: Whom,
    pub allowed: Tier,
    pub allowed_by: AllowedBy,
    /// Those above it, of which any is in use.
    pub licences: Vec<Held>,
}

/// **signed**
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OtherLicensing {
    #[serde(flatten)]
    pub whom: Whom,
    pub model: Model,
    pub licences: Vec<Held>,
}

/// **signed**
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Came {
    #[serde(flatten)]
    pub whom: Whom,
    /// The instance itself was not known before; else only these licences of it.
    pub new_instance: bool,
    pub licences: Vec<Held>,
}

/// **signed**
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Gone {
    #[serde(flatten)]
    pub whom: Whom,
    pub because: GoneBecause,
    /// When it was retired, or up to when any of the licences was used.
    pub at: Timestamp,
    /// Who stands in for it.
    pub replaced_by: Option<Udi>,
    pub licences: Vec<Held>,
}

/// Why it counts no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GoneBecause {
    /// A person said so.
    Retired,
    Replaced,
    /// The instance is there and uses these licences no more.
    NoLongerUsed,
}
words!(GoneBecause { Retired = "retired", Replaced = "replaced", NoLongerUsed = "no-longer-used" });

/// How many instances of a site somebody reports. **signed**
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reporting {
    /// `null`: no device of the inventory.
    pub reporter: Option<Reporter>,
    pub site: Site,
    pub instances: u64,
    /// Of whose licences anything is measured at `as_of`.
    pub measured: u64,
}

/// What else is known of an instance, beside its rows.
pub(super) struct About<'a> {
    pub(super) udi: &'a Udi,
    pub(super) first_seen: Option<Timestamp>,
    pub(super) last_seen: Option<Timestamp>,
    pub(super) in_inventory: bool,
    /// What the inventory says and what the device says, where that differs.
    pub(super) accounts: Option<(Account, Account)>,
    /// When, and who stands in for it.
    pub(super) retired: Option<(Timestamp, Option<Udi>)>,
    /// All entries of the inventory that are this instance, where there are several.
    pub(super) listed_as: Vec<DeviceName>,
    /// Known as of the instant, and not only by reports that came later.
    pub(super) known: bool,
}

/// Makes the lists while rows go by.
pub(super) struct Listing {
    lists: Lists,
    reporters: BTreeMap<(Option<Reporter>, Site), (u64, u64)>,
    from: Timestamp,
    as_of: Timestamp,
    silent_after: jiff::SignedDuration,
    /// Of the instance that goes by.
    rows: Vec<Passing>,
}

struct Passing {
    held: Held,
    measured: bool,
    allowed: Option<(Tier, AllowedBy)>,
    /// It was used in the window and is not now: up to when.
    ended: Option<Timestamp>,
}

impl Listing {
    pub(super) fn new(from: Timestamp, as_of: Timestamp, silent_after: jiff::SignedDuration) -> Listing {
        let lists = Lists { silent_after_days: days(silent_after), ..Lists::default() };
        Listing { lists, reporters: BTreeMap::new(), from, as_of, silent_after, rows: Vec::new() }
    }

    /// Takes a row of the instance that [`instance`](Self::instance) then ends.
    pub(super) fn row(
        &mut self,
        row: &Row,
        expected: Option<u64>,
        allowed: Option<(Tier, AllowedBy)>,
        ended: Option<Timestamp>,
    ) {
        let held = Held {
            entitlement_tag: row.entitlement_tag.clone(),
            license_name: row.license_name.clone(),
            family: row.family,
            tier: row.tier,
            quantity: row.quantity,
            quantity_expected: expected,
            quantity_reserved: row.quantity_reserved,
            first_seen: row.first_seen,
        };
        self.rows.push(Passing { held, measured: row.quantity.is_some(), allowed, ended });
    }

    /// The rows so far are all of this instance. `plain` is what is not about a licence.
    pub(super) fn instance(&mut self, about: About<'_>, plain: &Row) {
        let rows = std::mem::take(&mut self.rows);
        let whom = || Whom::of(about.udi, plain);
        let is_licence = |held: &Held| held.entitlement_tag.is_some() || held.license_name.is_some();
        let some = |wanted: &dyn Fn(&Passing) -> bool| -> Vec<Held> {
            let wanted = rows.iter().filter(|row| is_licence(&row.held) && wanted(row));
            wanted.map(|row| row.held.clone()).collect()
        };
        let all = || some(&|_| true);
        let in_use = |row: &Passing| row.held.quantity_expected.is_some_and(|used| used > 0);
        if let Some((at, replaced_by)) = about.retired {
            if at >= self.from {
                let because = if replaced_by.is_some() { GoneBecause::Replaced } else { GoneBecause::Retired };
                self.lists.gone.push(Gone { whom: whom(), because, at, replaced_by, licences: all() });
            }
            return;
        }
        let reporting = self.reporters.entry((plain.reporter, plain.site.clone())).or_default();
        reporting.0 += 1;
        reporting.1 += u64::from(rows.iter().any(|row| row.measured));
        if let Some(ended) = rows.iter().filter_map(|row| row.ended).max() {
            let licences = some(&|row| row.ended.is_some());
            let because = GoneBecause::NoLongerUsed;
            self.lists.gone.push(Gone { whom: whom(), because, at: ended, replaced_by: None, licences });
        }
        if let Some(last_seen) = about.last_seen {
            let silent = self.as_of.duration_since(last_seen);
            if silent >= self.silent_after {
                self.lists.silent.push(Silent { whom: whom(), last_seen, days: days(silent), licences: all() });
            }
        }
        if !about.in_inventory && about.known {
            let first_seen = about.first_seen.unwrap_or(self.as_of);
            self.lists.orphaned.push(Orphaned { whom: whom(), first_seen, licences: all() });
        }
        if about.listed_as.len() > 1 {
            self.lists.duplicates.push(Duplicate { whom: whom(), devices: about.listed_as });
        }
        if let Some((inventory, device_says)) = about.accounts {
            self.lists.account_differs.push(AccountDiffers { whom: whom(), inventory, device_says });
        }
        let above = |row: &Passing| row.held.tier.zip(row.allowed).is_some_and(|(tier, (most, _))| tier > most);
        let lowest = rows.iter().filter(|row| above(row) && in_use(row)).filter_map(|row| row.allowed).min();
        if let Some((allowed, allowed_by)) = lowest {
            let licences = some(&|row| above(row) && in_use(row));
            self.lists.above_tier.push(AboveTier { whom: whom(), allowed, allowed_by, licences });
        }
        let reserved = |row: &Passing| row.held.quantity_reserved.is_some();
        let other = match plain.model {
            Model::SpecificLicenseReservation
            | Model::PermanentLicenseReservation
            | Model::ClassicSmartLicensing
            | Model::Traditional
            | Model::Disabled => true,
            Model::Slp | Model::Unknown => rows.iter().any(reserved),
        };
        if other {
            self.lists.other_licensing.push(OtherLicensing { whom: whom(), model: plain.model, licences: all() });
        }
        let new = |at: Option<Timestamp>| at.is_some_and(|at| at >= self.from);
        let came = some(&|row| new(row.held.first_seen) && in_use(row));
        let new_instance = new(about.first_seen) && rows.iter().all(|row| new(row.held.first_seen));
        if !came.is_empty() || new_instance {
            self.lists.came.push(Came { whom: whom(), new_instance, licences: came });
        }
    }

    pub(super) fn end(self) -> Lists {
        let reporting = |((reporter, site), (instances, measured))| Reporting { reporter, site, instances, measured };
        Lists { reporters: self.reporters.into_iter().map(reporting).collect(), ..self.lists }
    }
}

fn days(time: jiff::SignedDuration) -> f64 {
    millionth(time.as_secs_f64() / 86_400.0)
}
