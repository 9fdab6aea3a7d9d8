//! Everything that is said of all rows together, made while they go by.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::Overall;
use super::estate::{Subject, Survey};
use super::headroom::{Tally, expected};
use super::lists::{About, Listing};
use super::rollup::RollUps;
use super::row::Row;
use super::terms::Terms;
use crate::domain::instance::{DeviceName, Udi};
use crate::domain::timeline::{History, Run};

/// Roll-ups, lists, and what was bought.
pub(super) struct Sums<'a> {
    roll_ups: RollUps,
    listing: Listing,
    tally: Option<Tally<'a>>,
    terms: &'a Terms,
    /// Instances that are several devices of the inventory.
    listed_as: BTreeMap<&'a Udi, Vec<&'a DeviceName>>,
}

impl<'a> Sums<'a> {
    pub(super) fn of(survey: &Survey<'a>) -> Sums<'a> {
        let (from, to) = (survey.from(), survey.to());
        let mut told: Vec<(&Udi, &DeviceName)> = survey
            .watched
            .iter()
            .filter_map(|device| Some((&survey.then.told_by(&device.name)?.udi, &device.name)))
            .collect();
        told.sort_unstable();
        let several = told.chunk_by(|one, other| one.0 == other.0).filter(|same| same.len() > 1);
        let listed_as = several.filter_map(|same| Some((same.first()?.0, same.iter().map(|one| one.1).collect())));
        Sums {
            roll_ups: RollUps::new(from, to),
            listing: Listing::new(survey.window_start(), survey.as_of, survey.terms.silent_after),
            tally: Tally::of(survey.terms, from, survey.as_of),
            terms: survey.terms,
            listed_as: listed_as.collect(),
        }
    }

    /// The rows that follow are of another instance.
    pub(super) fn next_instance(&mut self) {
        self.roll_ups.next_instance();
    }

    /// Takes a row of an instance that is there.
    pub(super) fn row(
        &mut self,
        survey: &Survey<'_>,
        row: &Row,
        history: &History,
        stated: Option<u64>,
        gone: Option<Timestamp>,
    ) {
        let within = || history.within(survey.from(), survey.to());
        self.roll_ups.add(row, within().filter(Run::is_measured));
        if let Some(tally) = &mut self.tally {
            tally.add(row, history, true, gone);
        }
        // Known to be used no more: by a report, by a poll, or by the device's own word.
        let unused = match row.quantity.or(row.quantity_observed) {
            Some(used) => used == 0,
            None => stated == Some(0),
        };
        let lasted = |run: &Run| run.value > 0 && run.start < run.end;
        let used = within().filter(lasted).last().filter(|_| unused);
        let ended = used.and_then(|run| Timestamp::from_second(run.end).ok());
        let expected = if unused { Some(0) } else { expected(row) };
        self.listing.row(row, expected, self.terms.allowed(row, survey.as_of), ended);
    }

    /// Takes a row of an instance that was gone before the window: only a term reaches so far back.
    pub(super) fn past(&mut self, row: &Row, history: &History, gone: Option<Timestamp>) {
        if let Some(tally) = &mut self.tally {
            tally.add(row, history, false, gone);
        }
    }

    /// Does anything reach further back than the window?
    pub(super) fn looks_back(&self) -> bool {
        self.tally.is_some()
    }

    /// The rows so far are all of this instance.
    pub(super) fn instance(&mut self, survey: &Survey<'_>, subject: Subject<'_>, plain: &Row) {
        let Subject { udi, then, any, device } = subject;
        let told = then.and_then(|instance| instance.state.as_ref());
        let accounts = device.zip(told).map(|(device, state)| (device.account.clone(), state.account()));
        let retired = then.and_then(|instance| instance.retired.as_ref());
        let listed_as = self.listed_as.get(udi).map(Vec::as_slice).unwrap_or_default();
        let about = About {
            udi,
            first_seen: any.map(|any| any.first_seen),
            last_seen: survey.last_seen(subject),
            in_inventory: device.is_some(),
            accounts: accounts.filter(|(inventory, told)| inventory.contradicts(told)),
            retired: retired.map(|retired| (retired.at, retired.replaced_by.clone())),
            listed_as: listed_as.iter().map(|name| (*name).clone()).collect(),
            known: then.is_some(),
        };
        self.listing.instance(about, plain);
    }

    /// Takes the row of a device that was never reached.
    pub(super) fn unreached(&mut self, row: &Row) {
        self.roll_ups.next_instance();
        self.roll_ups.add(row, std::iter::empty());
    }

    /// How many instances and devices went by, and all that is said of them.
    pub(super) fn end(self) -> (u64, Overall) {
        let instances = self.roll_ups.instances();
        let entitlements = self.tally.map(Tally::end);
        (instances, Overall { roll_ups: self.roll_ups.end(), lists: self.listing.end(), entitlements })
    }
}

impl Survey<'_> {
    /// The last sign of life up to the instant, as far as one is on record: an answer, a state, a report. Of a device
    /// that is polled and that nobody knows to be lost, only an answer counts: a state that stays the same is no news.
    fn last_seen(&self, subject: Subject<'_>) -> Option<Timestamp> {
        let instance = subject.then?;
        let name = instance.device.as_ref();
        let lost = name.and_then(|name| self.then.devices.get(name)?.trouble.as_ref()).map(|trouble| trouble.since);
        let contact = name.and_then(|name| self.now.contacts.get(name)).copied();
        let answered = match (contact, lost) {
            // What came after the instant tells only that it was lost before.
            (Some(contact), Some(lost)) if contact > self.as_of => Some(lost),
            (Some(contact), _) => Some(contact.min(self.as_of)),
            (None, Some(lost)) => Some(lost),
            (None, None) if subject.device.is_some_and(|device| device.within_reach) => return None,
            (None, None) => None,
        };
        let told = instance.state_read.max(instance.last_collected).max(Some(instance.first_seen));
        answered.max(told)
    }
}
