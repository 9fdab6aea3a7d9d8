//! The register in figures: how each obligation stands at an instant, and what that adds up to by site.
//!
//! Less than the rows of [`status`](super::status), so that a hundred thousand of them can be kept: what counts,
//! sorts and pages. Made in pieces, so that nobody waits for the fold as long as the whole takes.

use std::collections::{BTreeMap, HashSet};
use std::ops::Range;

use jiff::{SignedDuration, Timestamp};

use super::cross_check::Counts;
use super::deadline::{self, Contact, ObligationState};
use super::delivery;
use super::fleet::{Fleet, HandoverStage, Instance, Upstream};
use super::instance::{DeviceName, Site, Udi};
use super::plan::{Settings, Watched, watched_as};
use super::settings::Word;
use super::submission::Gate;
use super::violation::{Kind, Severity};

/// How everything stood at one instant.
#[derive(Clone, Debug, PartialEq)]
pub struct Overview {
    pub at: Timestamp,
    /// One a device of the inventory and one an instance that is no longer in it, soonest deadline first.
    pub entries: Vec<Entry>,
    pub sites: BTreeMap<Site, Tally>,
    /// The violations that are not resolved.
    pub violations: BTreeMap<(Site, Kind, Severity), usize>,
    /// What each upstream last told, by name.
    pub upstreams: BTreeMap<String, Read>,
    pub answers: Queue,
    pub handovers: Waiting,
    /// Records of the fold.
    pub records: u64,
    shown: HashSet<Udi>,
}

/// A reading of an upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Read {
    pub at: Timestamp,
    pub counts: Counts,
    pub certificate_until: Option<Timestamp>,
}

/// Snapshots that the receiver has not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Waiting {
    /// Tried again by themselves.
    pub owed: usize,
    /// A person must ask.
    pub refused: usize,
}

impl Waiting {
    fn of(fleet: &Fleet) -> Waiting {
        let mut waiting = Waiting::default();
        for handover in fleet.handovers.values() {
            match handover.stage {
                HandoverStage::Owed { .. } => waiting.owed += 1,
                HandoverStage::Refused { .. } => waiting.refused += 1,
                HandoverStage::Taken { .. } => {}
            }
        }
        waiting
    }
}

/// Answers that are not on their devices yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Queue {
    /// Brought by the plan, sooner or later.
    pub under_way: usize,
    /// Somebody must carry them.
    pub by_hand: usize,
    /// Nobody knows whose they are.
    pub quarantined: usize,
}

impl Queue {
    fn of(fleet: &Fleet, watched: &[Watched], settings: &Settings) -> Queue {
        let mut queue = Queue::default();
        for (key, answer) in fleet.answers.iter().filter(|(_, answer)| !answer.is_settled()) {
            let Some(udi) = &key.udi else {
                queue.quarantined += 1;
                continue;
            };
            let device = fleet.resolve(udi).and_then(|instance| watched_as(watched, instance.device.as_ref()?));
            if delivery::by_hand(device, answer, settings) {
                queue.by_hand += 1;
            } else {
                queue.under_way += 1;
            }
        }
        queue
    }
}

/// How one obligation stood.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    pub who: Who,
    pub state: ObligationState,
    pub contact: Contact,
    /// Was the newest poll answered? `None` where nobody polls.
    pub up: Option<bool>,
    pub due: Option<Timestamp>,
    pub leave_by: Option<Timestamp>,
    pub last_ack: Option<Timestamp>,
    pub last_contact: Option<Timestamp>,
}

/// Whose entry it is.
#[derive(Clone, Debug, PartialEq)]
pub enum Who {
    /// The device at this place of the inventory.
    Listed(usize),
    /// An instance that is no longer in the inventory.
    Gone(Box<Gone>),
}

#[derive(Clone, Debug, PartialEq)]
pub struct Gone {
    pub udi: Udi,
    /// Its device's name, unless the inventory gives that to another now.
    pub device: Option<DeviceName>,
    pub site: Site,
}

/// What the obligations of one site add up to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tally {
    /// By state, in the order of [`ObligationState::ALL`].
    pub states: [usize; ObligationState::ALL.len()],
    /// By contact, in the order of [`Contact::ALL`]; of the inventory's devices.
    pub contacts: [usize; Contact::ALL.len()],
    /// Devices whose newest poll was not answered.
    pub down: usize,
    pub due: Option<Timestamp>,
    pub leave_by: Option<Timestamp>,
}

impl Overview {
    /// The whole, in one piece.
    pub fn of(fleet: &Fleet, watched: &[Watched], settings: &Settings, now: Timestamp) -> Overview {
        let mut overview = Overview::begun(now);
        overview.add(fleet, watched, 0..watched.len(), settings);
        overview.finish(fleet, watched, settings);
        overview
    }

    /// Nothing yet.
    pub fn begun(now: Timestamp) -> Overview {
        let (sites, violations) = (BTreeMap::new(), BTreeMap::new());
        let (entries, upstreams, answers, handovers, shown) = Default::default();
        Overview { at: now, entries, sites, violations, upstreams, answers, handovers, records: 0, shown }
    }

    /// Takes in this part of the inventory.
    pub fn add(&mut self, fleet: &Fleet, watched: &[Watched], part: Range<usize>, settings: &Settings) {
        for (at, device) in watched.iter().enumerate().take(part.end).skip(part.start) {
            let instance = fleet.of_device(&device.name);
            if let Some(instance) = instance {
                self.shown.insert(instance.udi.clone());
            }
            let last_contact = fleet.contacts.get(&device.name).copied();
            let trouble = fleet.devices.get(&device.name).is_some_and(|known| known.trouble.is_some());
            let contact = deadline::contact(last_contact, settings.stale_after, self.at);
            let up = device.within_reach.then_some(last_contact.is_some() && !trouble);
            // The obligation of one that is retired ended, although somebody still lists the device.
            let owing = instance.filter(|instance| instance.retired.is_none());
            let mut entry = self.entry(Who::Listed(at), owing, device.exchange_lead, settings);
            (entry.contact, entry.up, entry.last_contact) = (contact, up, last_contact);
            let tally = self.tally(&device.site);
            tally.take(&entry);
            tally.contacts[contact as usize] += 1;
            tally.down += usize::from(up == Some(false));
            self.entries.push(entry);
        }
    }

    /// Takes in what no part of the inventory showed, and sorts.
    pub fn finish(&mut self, fleet: &Fleet, watched: &[Watched], settings: &Settings) {
        let gone = |instance: &&Instance| !self.shown.contains(&instance.udi) && instance.retired.is_none();
        let gone: Vec<&Instance> = fleet.instances.values().map(|one| &**one).filter(gone).collect();
        let mut named: HashSet<&DeviceName> = HashSet::new();
        for instance in gone {
            let listed = |name: &DeviceName| watched_as(watched, name).is_some();
            let name = instance.device.as_ref().filter(|name| !listed(name) && named.insert(name));
            let who = Gone { udi: instance.udi.clone(), device: name.cloned(), site: instance.site.clone() };
            let entry = self.entry(Who::Gone(Box::new(who)), Some(instance), SignedDuration::ZERO, settings);
            self.tally(&instance.site).take(&entry);
            self.entries.push(entry);
        }
        let known = |gate: &Gate| Some((gate.upstream.clone(), fleet.upstreams.get(&gate.upstream)?));
        let read = |(name, known): (String, &Upstream)| {
            let Upstream { read, facts } = known;
            (name, Read { at: *read, counts: facts.counts, certificate_until: facts.certificate_until })
        };
        self.upstreams = settings.gates.iter().filter_map(known).map(read).collect();
        for violation in fleet.violations.values().filter(|violation| violation.resolved.is_none()) {
            let found = &violation.found;
            *self.violations.entry((found.site.clone(), found.kind, found.severity)).or_default() += 1;
        }
        self.answers = Queue::of(fleet, watched, settings);
        self.handovers = Waiting::of(fleet);
        self.records = fleet.records();
        self.shown = HashSet::new();
        self.entries.sort_by_cached_key(|entry| (entry.due.is_none(), entry.due, entry.order()));
    }

    /// How many stand in each state, in the order of [`ObligationState::ALL`].
    pub fn totals(&self) -> [usize; ObligationState::ALL.len()] {
        let mut totals = [0; ObligationState::ALL.len()];
        for tally in self.sites.values() {
            totals.iter_mut().zip(tally.states).for_each(|(total, count)| *total += count);
        }
        totals
    }

    fn entry(&self, who: Who, instance: Option<&Instance>, lead: SignedDuration, settings: &Settings) -> Entry {
        let standing = instance.map(|instance| deadline::standing(instance, lead, &settings.rules, self.at));
        let state = instance.and_then(|instance| instance.state.as_ref());
        Entry {
            who,
            state: standing.as_ref().map_or(ObligationState::Unknown, |standing| standing.state),
            contact: Contact::Never,
            up: None,
            due: standing.as_ref().and_then(|standing| standing.due),
            leave_by: standing.as_ref().and_then(|standing| standing.leave_by),
            last_ack: state.and_then(|state| state.usage_reporting.last_ack.as_ref()).and_then(|stamp| stamp.utc),
            last_contact: None,
        }
    }

    fn tally(&mut self, site: &Site) -> &mut Tally {
        if !self.sites.contains_key(site) {
            self.sites.insert(site.clone(), Tally::default());
        }
        self.sites.get_mut(site).expect("it was put there")
    }
}

impl Entry {
    /// Among those due at one instant: in the order of the inventory, then those that are gone.
    fn order(&self) -> (usize, Option<Udi>) {
        match &self.who {
            Who::Listed(at) => (*at, None),
            Who::Gone(gone) => (usize::MAX, Some(gone.udi.clone())),
        }
    }

    pub fn site<'a>(&'a self, watched: &'a [Watched]) -> Option<&'a Site> {
        match &self.who {
            Who::Listed(at) => watched.get(*at).map(|device| &device.site),
            Who::Gone(gone) => Some(&gone.site),
        }
    }
}

impl Tally {
    fn take(&mut self, entry: &Entry) {
        let sooner = |known: Option<Timestamp>, new: Option<Timestamp>| known.into_iter().chain(new).min();
        self.states[entry.state as usize] += 1;
        self.due = sooner(self.due, entry.due);
        self.leave_by = sooner(self.leave_by, entry.leave_by);
    }
}
