//! The fold of the journal into timelines: what every chassis measured, and what polls saw.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use super::company::{Company, Together};
use super::devices::{Devices, Sighted};
use super::named::Called;
use super::note::{Note, Reading, Saying, sayings};
use super::observed::{Licence, Observed, Sight};
use super::{Seconds, Skew, Timeline};
use crate::domain::event::Event;
use crate::domain::instance::{DeviceName, Udi};
use crate::domain::report::EntitlementTag;

/// How much of the past is of interest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reach {
    /// What ended before is kept only as far as it tells when was last measured.
    pub since: Seconds,
    /// Reports are counted that measure something from here on.
    pub counted: Seconds,
    /// Polls after it are left out: what was seen later tells nothing of it. Reports are taken whenever they were
    /// collected, for they measure the past.
    pub until: Seconds,
}

impl Reach {
    pub fn window(since: Seconds, until: Seconds) -> Reach {
        Reach { since, counted: since, until }
    }

    /// Keeps also what ended before the window, back to an instant: a term that began then is reckoned over.
    pub fn back_to(self, since: Seconds) -> Reach {
        Reach { since: self.since.min(since), ..self }
    }
}

/// What one chassis signed, and what it said when asked.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Chassis {
    timelines: Vec<(EntitlementTag, Timeline)>,
    sight: Sight,
    skews: Vec<Skew>,
    /// `None`: it was never seen but alone.
    company: Option<Box<Company>>,
    /// Some report of it names nobody, not even the chassis itself.
    tells_nobody: bool,
    reports: u64,
    newest_report: Option<Seconds>,
}

impl Chassis {
    pub fn timelines(&self) -> impl Iterator<Item = (&EntitlementTag, &Timeline)> {
        self.timelines.iter().map(|(tag, timeline)| (tag, timeline))
    }

    pub fn timeline(&self, tag: &EntitlementTag) -> Option<&Timeline> {
        self.timelines.iter().find(|(own, _)| own == tag).map(|(_, timeline)| timeline)
    }

    /// What its clock was from ours at polls, in the order of time: the first, and each that was another.
    pub fn skews(&self) -> &[Skew] {
        &self.skews
    }

    /// What polls saw up to `until`, where contact lasts.
    pub fn observed(&self, until: Seconds) -> impl Iterator<Item = (&Licence, Vec<Observed>)> {
        self.sight.licences(until)
    }

    /// Everybody with whom it ever was, each once.
    pub fn company(&self) -> BTreeSet<&Together> {
        self.company.iter().flat_map(|company| company.all()).collect()
    }

    /// Its reports that name no other tell so.
    pub fn tells_when_alone(&self) -> bool {
        !self.tells_nobody
    }

    /// That of it which is of the time with them; `None`: when it was alone.
    pub fn part(&self, wanted: impl Fn(Option<&Together>) -> bool) -> Chassis {
        let Some(company) = &self.company else { return self.clone() };
        let of = |(tag, timeline): &(EntitlementTag, Timeline)| {
            let own = timeline.part(|id| wanted(company.of(id)));
            (!own.sources().is_empty()).then(|| (tag.clone(), own))
        };
        Chassis {
            timelines: self.timelines.iter().filter_map(of).collect(),
            sight: self.sight.within(&company.times(&wanted)),
            skews: self.skews.clone(),
            tells_nobody: self.tells_nobody,
            ..Chassis::default()
        }
    }

    /// Takes the next thing that it signed or said, learned at that instant.
    pub fn take(&mut self, at: Seconds, note: Note, reach: Reach) {
        match note {
            Note::Report(tag, reading) => {
                let concerns = reading.span.is_some_and(|(start, end)| start <= reach.until && end >= reach.counted);
                if self.report(tag, reading, reach) && concerns {
                    self.reports += 1;
                    self.newest_report = self.newest_report.max(Some(at));
                }
            }
            Note::Again(tag, reading) => {
                let (id, object) = (reading.source.report, reading.source.object);
                if self.timelines.iter_mut().any(|(_, timeline)| timeline.forget(id, object)) {
                    self.report(tag, reading, reach);
                }
            }
            Note::Licences(told) => {
                if at <= reach.until {
                    self.sight.read(at, told, reach.since);
                }
            }
            // Like a report, it tells of the past too: a clock that is wrong was so before.
            Note::Clock(ahead) => {
                if self.skews.last().is_none_or(|last| last.ahead != ahead) {
                    self.skews.push(Skew { at, ahead });
                }
            }
        }
    }

    /// Takes what became of it by way of its device.
    pub fn sighted(&mut self, at: Seconds, what: Sighted, reach: Reach) {
        match what {
            Sighted::Lost => self.sight.lost(at, reach.since),
            Sighted::Restored => self.sight.restored(at),
            Sighted::Found(with) => self.company.get_or_insert_default().found(at, with),
        }
    }

    fn report(&mut self, tag: EntitlementTag, reading: Reading, reach: Reach) -> bool {
        let (id, with, tells_nobody) = (reading.source.report, reading.with.clone(), reading.tells_nobody);
        let at = self.timelines.iter().position(|(own, _)| *own == tag).unwrap_or_else(|| {
            self.timelines.push((tag, Timeline::default()));
            self.timelines.len() - 1
        });
        // What is long past tells of each company apart when it was last measured.
        let since = if with.is_some() || self.company.is_some() { Seconds::MIN } else { reach.since };
        let taken = self.timelines[at].1.add(reading, since);
        if taken {
            self.tells_nobody |= tells_nobody;
            if with.is_some() || self.company.is_some() {
                self.company.get_or_insert_default().report(id, with);
            }
        }
        taken
    }
}

/// Some of the chassis that signed or said something.
#[derive(Clone, Debug, Default)]
pub struct Part(pub BTreeMap<Udi, Chassis>);

impl Part {
    /// How many of their reports measure something of the window, and when the newest of them was collected.
    pub fn reports(&self) -> (u64, Option<Seconds>) {
        let reports = self.0.values().map(|chassis| chassis.reports).sum();
        (reports, self.0.values().filter_map(|chassis| chassis.newest_report).max())
    }
}

/// What is kept of the use of licences cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unreadable(pub String);

/// What is known of the use of licences, to be had part by part: all of it at once may be more than fits.
pub trait Chronicle: Sync {
    /// The chassis of a stretch of UDIs.
    fn stretch(&self, from: Bound<&Udi>, to: Bound<&Udi>) -> Result<Part, Unreadable>;

    /// Those of the named ones that signed or said something.
    fn named(&self, chassis: &BTreeSet<&Udi>) -> Result<Part, Unreadable>;

    /// Chassis that were together at any time, by their reports or by polls.
    fn companies(&self) -> BTreeSet<&Together>;

    /// The device that these were found to be together, the last one.
    fn name_of(&self, together: &[Udi]) -> Option<&DeviceName>;

    /// What tags are called.
    fn called(&self) -> &Called;
}

/// All that is known of the use of licences, in memory.
#[derive(Clone, Debug, Default)]
pub struct Consumption {
    chassis: BTreeMap<Udi, Chassis>,
    devices: Devices,
    companies: BTreeSet<Together>,
    called: Called,
    reach: Reach,
}

impl Consumption {
    /// Nothing known yet.
    pub fn new(reach: Reach) -> Consumption {
        Consumption { reach, ..Consumption::default() }
    }

    /// Takes the next event of the journal.
    pub fn take(&mut self, event: &Event) {
        let Consumption { chassis, devices, companies, called, reach } = self;
        let (at, reach) = (event.at.as_second(), *reach);
        sayings(event, &mut |saying| match saying {
            Saying::Chassis(udi, note) => {
                companies.extend(note.with().cloned());
                chassis.entry(udi).or_default().take(at, note, reach);
            }
            Saying::Device(device, what) => {
                companies.extend(what.with().cloned());
                devices.take(at, &device, what, reach, &mut |udi, at, what| {
                    chassis.entry(udi).or_default().sighted(at, what, reach);
                });
            }
            Saying::Listed(tag, feature) => called.listed(&tag, &feature),
            Saying::Answered(licence) => called.answered(&licence),
        });
    }
}

impl Chronicle for Consumption {
    fn stretch(&self, from: Bound<&Udi>, to: Bound<&Udi>) -> Result<Part, Unreadable> {
        let within = self.chassis.range::<Udi, _>((from, to));
        Ok(Part(within.map(|(udi, chassis)| (udi.clone(), chassis.clone())).collect()))
    }

    fn named(&self, chassis: &BTreeSet<&Udi>) -> Result<Part, Unreadable> {
        let known = chassis.iter().filter_map(|udi| self.chassis.get_key_value(*udi));
        Ok(Part(known.map(|(udi, chassis)| (udi.clone(), chassis.clone())).collect()))
    }

    fn companies(&self) -> BTreeSet<&Together> {
        self.companies.iter().collect()
    }

    fn name_of(&self, together: &[Udi]) -> Option<&DeviceName> {
        self.devices.name_of(together)
    }

    fn called(&self) -> &Called {
        &self.called
    }
}
