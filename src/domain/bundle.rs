//! What goes into a bundle: the reports that are owed, by instance and account.

use std::collections::HashSet;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::deadline;
use super::fleet::{AnswerStatus, Fleet, Instance, OwedReport};
use super::instance::{Account, DeviceName, Site, Udi};
use super::plan::{Settings, Watched, watched_as};
use super::report::{ReportId, ReportType};
use super::settings::Reporter;
use super::state::DeviceState;

/// Which of the owed reports a bundle takes.
///
/// To have been in an earlier bundle excludes none: that one may be lost, and only an answer ends what is owed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Selection {
    /// `None`: every site.
    pub site: Option<Site>,
    /// Smart or Virtual Account by name; `None`: every account.
    pub account: Option<String>,
    /// Only of instances that are due so soon, or overdue.
    pub due_within: Option<SignedDuration>,
    /// Also reports whose answer is in the house and only waits to reach its device: Cisco would call them duplicates.
    pub all: bool,
    /// Also reports that an earlier exchange of somebody else probably settled.
    pub include_presumed: bool,
    /// Also reports that are not licence counts.
    pub include_telemetry: bool,
}

impl Selection {
    /// Does it take what stands at this site, in these accounts?
    pub fn covers(&self, site: &Site, account: &Account) -> bool {
        let named = |name: &String| {
            [&account.smart_account, &account.virtual_account].into_iter().flatten().any(|own| **own == **name)
        };
        self.site.as_ref().is_none_or(|wanted| wanted == site) && self.account.as_ref().is_none_or(named)
    }

    /// Is the instance due soon enough? One that nothing is known of is in no hurry.
    pub fn hurries(
        &self,
        instance: Option<&Instance>,
        device: Option<&Watched>,
        settings: &Settings,
        at: Timestamp,
    ) -> bool {
        let Some(within) = self.due_within else { return true };
        let lead = device.map_or(SignedDuration::ZERO, |device| device.exchange_lead);
        let due = instance.and_then(|instance| deadline::standing(instance, lead, &settings.rules, at).due);
        due.is_some_and(|due| due.duration_since(at) <= within)
    }
}

/// The accounts of an instance: the operator's word first, then the device's own.
pub fn account(device: Option<&Watched>, instance: Option<&Instance>) -> Account {
    let told = instance.and_then(|instance| instance.state.as_ref()).map(DeviceState::account);
    let (stated, told) = (device.map(|device| device.account.clone()).unwrap_or_default(), told.unwrap_or_default());
    Account {
        smart_account: stated.smart_account.or(told.smart_account),
        virtual_account: stated.virtual_account.or(told.virtual_account),
    }
}

/// What one instance contributes.
#[derive(Clone, Debug, PartialEq)]
pub struct Contribution<'a> {
    pub udi: &'a Udi,
    pub device: Option<&'a DeviceName>,
    pub site: &'a Site,
    pub account: Account,
    /// In the order of their ids.
    pub reports: Vec<&'a OwedReport>,
}

/// Everything owed that the selection takes, in the order of UDIs. Only where the collector is
/// the one who reports; an instance whose device left the inventory still owes.
pub fn owed<'a>(
    fleet: &'a Fleet,
    watched: &'a [Watched],
    settings: &Settings,
    selection: &Selection,
    at: Timestamp,
) -> Vec<Contribution<'a>> {
    let answered = if selection.all { HashSet::new() } else { answered(fleet) };
    let mut contributions = Vec::new();
    for instance in fleet.instances.values() {
        let device = instance.device.as_ref().and_then(|name| watched_as(watched, name));
        if device.is_some_and(|device| device.reporter != Reporter::Collector) {
            continue;
        }
        let site = device.map_or(&instance.site, |device| &device.site);
        let account = account(device, Some(instance));
        if !selection.covers(site, &account) || !selection.hurries(Some(instance), device, settings, at) {
            continue;
        }
        let taken = |owed: &&OwedReport| {
            (selection.include_presumed || !owed.presumed_acknowledged)
                && (selection.include_telemetry || owed.report_type == ReportType::Entitlement)
                && !answered.contains(&(&owed.udi, owed.report_id))
        };
        let mut reports: Vec<&OwedReport> = instance.owed.iter().filter(taken).collect();
        if reports.is_empty() {
            continue;
        }
        reports.sort_by(|a, b| (a.report_id, &a.udi).cmp(&(b.report_id, &b.udi)));
        let device = instance.device.as_ref();
        contributions.push(Contribution { udi: &instance.udi, device, site, account, reports });
    }
    contributions
}

/// The reports whose answer is here and is on its way to the device.
fn answered(fleet: &Fleet) -> HashSet<(&Udi, ReportId)> {
    let on_its_way = fleet.answers.values().filter(|answer| match answer.status {
        AnswerStatus::AwaitingDelivery | AnswerStatus::AwaitingHandImport | AnswerStatus::Unconfirmed => true,
        AnswerStatus::Quarantined { .. } | AnswerStatus::Confirmed(_) | AnswerStatus::Failed { .. } => false,
    });
    let reports = on_its_way.filter_map(|answer| answer.udi.as_ref().map(|udi| (udi, &answer.reports)));
    reports.flat_map(|(udi, reports)| reports.iter().map(move |id| (udi, *id))).collect()
}

#[cfg(test)]
mod tests;
