//! The survey itself: which instances and devices there are, and in which order their rows come.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use jiff::{SignedDuration, Timestamp};

use super::names::{Names, OperatorNames};
use super::rollup::completeness;
use super::row::{Detail, Entry, MeasuredState, Row};
use super::sums::Sums;
use super::terms::Terms;
use super::uses::Use;
use super::{Head, Overall, SCHEMA_VERSION, SnapshotId};
use crate::domain::fleet::{Fleet, Instance};
use crate::domain::instance::{DeviceName, Udi};
use crate::domain::plan::{Settings, Watched, watched_as};
use crate::domain::status::Open;
use crate::domain::timeline::{Chassis, Consumption, Seconds, Together};

/// What a snapshot is made of, and as of when.
pub struct Survey<'a> {
    pub consumption: &'a Consumption,
    /// The fold as of `as_of`.
    pub then: &'a Fleet,
    /// The fold of now: who signed reports that came later, and when devices last answered.
    pub now: &'a Fleet,
    /// In the order of names.
    pub watched: &'a [Watched],
    pub settings: &'a Settings,
    pub names: &'a OperatorNames,
    pub terms: &'a Terms,
    /// In whole seconds.
    pub as_of: Timestamp,
    pub window: SignedDuration,
    /// The journal is kept from here on only.
    pub incomplete_before: Option<Timestamp>,
}

/// What of a chassis is of which instance.
type Parts<'a> = BTreeMap<&'a Udi, Vec<(&'a Udi, Chassis)>>;

/// An instance, by whichever fold knows it.
#[derive(Clone, Copy)]
pub(super) struct Subject<'a> {
    pub(super) udi: &'a Udi,
    /// As of the instant; `None`: it was not known yet.
    pub(super) then: Option<&'a Instance>,
    /// By any fold.
    pub(super) any: Option<&'a Instance>,
    pub(super) device: Option<&'a Watched>,
}

impl<'a> Survey<'a> {
    pub(super) fn to(&self) -> Seconds {
        self.as_of.as_second()
    }

    pub(super) fn from(&self) -> Seconds {
        self.window_start().as_second()
    }

    pub(super) fn window_start(&self) -> Timestamp {
        self.as_of.checked_sub(self.window).unwrap_or(Timestamp::MIN)
    }

    /// What is said of all rows together; each passes by, in the order of [`each`](Self::each). The head has no number yet.
    pub fn overall(&self, seen: &mut dyn FnMut(&Entry)) -> (Head, Overall) {
        let mut states: BTreeMap<MeasuredState, u64> = BTreeMap::new();
        let mut rows = 0;
        let mut sums = Sums::of(self);
        let _ = self.visit(Some(&mut sums), &mut |entry| {
            rows += 1;
            *states.entry(entry.row.measured_state).or_default() += 1;
            seen(entry);
            ControlFlow::Continue(())
        });
        let (reports, newest) = self.consumption.reports();
        let (instances, overall) = sums.end();
        let head = Head {
            schema_version: SCHEMA_VERSION,
            snapshot_id: SnapshotId(String::new()),
            corrects: None,
            as_of: self.as_of,
            window_start: self.window_start(),
            window_end: self.as_of,
            row_count: rows,
            instances,
            completeness: completeness(&states),
            measured_states: states,
            reports,
            newest_report_collected: newest.and_then(|at| Timestamp::from_second(at).ok()),
            incomplete_before: self.incomplete_before,
        };
        (head, overall)
    }

    /// Every row, instance by instance in the order of their UDIs, then the devices that were never reached by name.
    /// The same rows each time.
    pub fn each(&self, visit: &mut dyn FnMut(&Entry) -> ControlFlow<()>) {
        let _ = self.visit(None, visit);
    }

    fn visit(
        &self,
        mut sums: Option<&mut Sums<'a>>,
        visit: &mut dyn FnMut(&Entry) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        let names = Names::of([self.then, self.now], self.consumption, self.names);
        let parts = self.parts();
        let chassis = self.chassis(&parts);
        let open = Open::default();
        let every: BTreeSet<&Udi> = self.then.instances.keys().chain(chassis.keys().copied()).collect();
        for udi in every {
            let subject = self.subject(udi);
            let of = chassis.get(udi).map(Vec::as_slice).unwrap_or_default();
            let uses = self.uses(subject, of, &names);
            let gone = subject.then.and_then(|instance| instance.retired.as_ref()).map(|retired| retired.at);
            let there = self.is_there(gone, &uses);
            if uses.is_empty() || !(there || sums.as_ref().is_some_and(|sums| sums.looks_back())) {
                continue;
            }
            let uncertain = self.clock_uncertainty(of);
            let plain = Row { clock_uncertainty_seconds: uncertain, ..self.plain(subject, &open) };
            if !there {
                for one in &uses {
                    let row = self.entry(subject, one, &plain, &names).row;
                    sums.iter_mut().for_each(|sums| sums.past(&row, one, gone));
                }
                continue;
            }
            sums.iter_mut().for_each(|sums| sums.next_instance());
            for one in &uses {
                let entry = self.entry(subject, one, &plain, &names);
                sums.iter_mut().for_each(|sums| sums.row(self, &entry.row, one, gone));
                visit(&entry)?;
            }
            sums.iter_mut().for_each(|sums| sums.instance(self, subject, &plain));
        }
        for device in self.watched.iter().filter(|device| self.never_reached(&device.name)) {
            let row = self.unreached(device);
            sums.iter_mut().for_each(|sums| sums.unreached(&row));
            visit(&Entry { row, detail: Detail::default() })?;
        }
        ControlFlow::Continue(())
    }

    /// The chassis of each instance, or what of them is its own.
    fn chassis<'p>(&self, parts: &'p Parts<'a>) -> BTreeMap<&'a Udi, Vec<(&'a Udi, &'p Chassis)>>
    where
        'a: 'p,
    {
        let mut of: BTreeMap<&Udi, Vec<(&Udi, &Chassis)>> = BTreeMap::new();
        for (udi, chassis) in self.consumption.each() {
            match parts.get(udi) {
                Some(parts) => parts.iter().for_each(|(whose, part)| of.entry(whose).or_default().push((udi, part))),
                None => of.entry(self.known_as(udi)).or_default().push((udi, chassis)),
            }
        }
        of
    }

    /// Chassis that signed for others than those to whom they belong, in parts.
    fn parts(&self) -> Parts<'a> {
        let apart = |(udi, chassis): (&'a Udi, &'a Chassis)| {
            let own = self.known_as(udi);
            let company = chassis.company();
            if company.is_empty() && self.then.instances.get(udi).is_some_and(|own| own.members.is_empty()) {
                return None;
            }
            let alone = if chassis.tells_when_alone() { self.whose(udi, std::slice::from_ref(udi)) } else { own };
            let mut of: BTreeMap<&Udi, BTreeSet<Option<&Together>>> = BTreeMap::from([(alone, BTreeSet::from([None]))]);
            for together in company {
                of.entry(self.whose(udi, together)).or_default().insert(Some(together));
            }
            if of.keys().all(|whose| *whose == own) {
                return None;
            }
            let part = |(whose, with): (&'a Udi, BTreeSet<Option<&Together>>)| {
                (whose, chassis.part(|together| with.contains(&together)))
            };
            Some((udi, of.into_iter().map(part).collect()))
        };
        self.consumption.each().filter_map(apart).collect()
    }

    /// Who it is as of the instant, else who it is now.
    fn known_as(&self, udi: &'a Udi) -> &'a Udi {
        self.then.resolve(udi).or_else(|| self.now.resolve(udi)).map_or(udi, |instance| &instance.udi)
    }

    /// Whose a report is that names these chassis: of the instance that has most of them and fewest others; of two with
    /// as many, the one by whose name they went together, else the signer's.
    fn whose(&self, signer: &'a Udi, together: &[Udi]) -> &'a Udi {
        let own = self.known_as(signer);
        let name = self.consumption.name_of(together);
        let known = together.iter().flat_map(|udi| [self.then.resolve(udi), self.now.resolve(udi)]).flatten();
        let fits = |instance: &&'a Instance| {
            let chassis: BTreeSet<&Udi> = instance.chassis().collect();
            let shared = chassis.iter().filter(|udi| together.contains(udi)).count();
            let named = name.is_some() && instance.device.as_ref() == name;
            (shared, Reverse(chassis.len()), named, instance.udi == *own, Reverse(&instance.udi))
        };
        known.max_by(|a, b| fits(a).cmp(&fits(b))).map_or(own, |instance| &instance.udi)
    }

    fn subject(&self, udi: &'a Udi) -> Subject<'a> {
        let then = self.then.instances.get(udi).map(Box::as_ref);
        let any = then.or_else(|| self.now.resolve(udi));
        let device = any.and_then(|instance| instance.device.as_ref());
        Subject { udi, then, any, device: device.and_then(|name| watched_as(self.watched, name)) }
    }

    fn never_reached(&self, device: &DeviceName) -> bool {
        let known = |fleet: &Fleet| fleet.told_by(device).is_some();
        !known(self.then) && !known(self.now)
    }

    /// Gone before the window, and nothing in it was measured: that is history.
    fn is_there(&self, gone: Option<Timestamp>, uses: &[Use<'_>]) -> bool {
        let past = gone.is_some_and(|gone| gone < self.window_start());
        !past || uses.iter().any(|one| one.history.within(self.from(), self.to()).any(|run| run.is_measured()))
    }
}
