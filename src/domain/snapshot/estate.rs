//! The survey itself: which instances and devices there are, and in which order their rows come.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::{Bound, ControlFlow};

use jiff::{SignedDuration, Timestamp};

use super::names::{Names, Namings, OperatorNames};
use super::rollup::completeness;
use super::row::{Detail, Entry, MeasuredState, Row};
use super::sums::Sums;
use super::terms::Terms;
use super::uses::Use;
use super::{Head, Overall, SCHEMA_VERSION, SnapshotId};
use crate::domain::fleet::{Fleet, Instance};
use crate::domain::instance::{DeviceName, Udi};
use crate::domain::parts;
use crate::domain::plan::{Settings, Watched, watched_as};
use crate::domain::status::Open;
use crate::domain::timeline::{Chassis, Chronicle, History, Seconds, Together, Unreadable};

/// Instances of a part: few enough that several parts are small, and enough that a part is worth its way.
const PART: usize = 128;

/// What a snapshot is made of, and as of when.
pub struct Survey<'a> {
    pub consumption: &'a dyn Chronicle,
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

    /// What is said of all rows together; each passes by, instance by instance in the order of their UDIs, then the
    /// devices that were never reached by name: the same each time. `make` is done part by part by several threads, `seen`
    /// gets in order what it made. The head has no number yet.
    pub fn overall<T: Send>(
        &self,
        make: impl Fn(&[Entry]) -> T + Sync,
        mut seen: impl FnMut(T),
    ) -> Result<(Head, Overall), Unreadable> {
        let mut states: BTreeMap<MeasuredState, u64> = BTreeMap::new();
        let (mut rows, mut reports, mut newest) = (0, 0, None);
        let mut sums = Sums::of(self);
        let looks_back = sums.looks_back();
        let make = |mut laid: Laid| {
            let made = make(&laid.entries);
            // What follows adds up rows, and what they rest on is long.
            laid.entries.iter_mut().for_each(|entry| entry.detail = Detail::default());
            (made, laid)
        };
        self.parts(looks_back, make, |(made, laid)| {
            seen(made);
            rows += laid.entries.len() as u64;
            reports += laid.reports.0;
            newest = newest.max(laid.reports.1);
            for entry in &laid.entries {
                *states.entry(entry.row.measured_state).or_default() += 1;
            }
            self.add(&mut sums, laid);
        })?;
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
        Ok((head, overall))
    }

    fn add(&self, sums: &mut Sums<'a>, laid: Laid) {
        let mut rows = laid.entries.iter().zip(&laid.beside);
        for passing in &laid.instances {
            let Passing { udi, plain, gone, rows: count, past } = passing;
            let Some(udi) = udi else {
                rows.by_ref().take(*count).for_each(|(entry, _)| sums.unreached(&entry.row));
                continue;
            };
            past.iter().for_each(|(row, history)| sums.past(row, history, *gone));
            if *count > 0 {
                sums.next_instance();
                for (entry, (history, stated)) in rows.by_ref().take(*count) {
                    sums.row(self, &entry.row, history, *stated, *gone);
                }
                sums.instance(self, self.subject(udi), plain);
            }
        }
    }

    fn parts<T: Send>(
        &self,
        looks_back: bool,
        make: impl Fn(Laid) -> T + Sync,
        mut take: impl FnMut(T),
    ) -> Result<(), Unreadable> {
        let names = Names::of([self.then, self.now], self.consumption.called(), self.names);
        let elsewhere = self.elsewhere()?;
        // Those that came later too: what they told has its place in some part.
        let mut known: Vec<&Udi> = self.then.instances.keys().collect();
        if !std::ptr::eq(self.then, self.now) {
            known.extend(self.now.instances.keys());
            known.sort_unstable();
            known.dedup();
        }
        let bounds = known.into_iter().step_by(PART).skip(1);
        let from = std::iter::once(Bound::Unbounded).chain(bounds.clone().map(Bound::Included));
        let to = bounds.map(Bound::Excluded).chain(std::iter::once(Bound::Unbounded));
        let mut ended = Ok(());
        let lay = |(from, to)| self.lay(from, to, &elsewhere, &names, looks_back).map(&make);
        parts::in_order(from.zip(to), lay, |made| {
            ended = made.map(&mut take);
            if ended.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
        ended?;
        let never = self.watched.iter().filter(|device| self.never_reached(&device.name));
        let rows: Vec<Row> = never.map(|device| self.unreached(device)).collect();
        for some in rows.chunks(PART) {
            let mut laid = Laid::default();
            for row in some {
                let plain = row.clone();
                laid.instances.push(Passing { udi: None, plain, gone: None, rows: 1, past: Vec::new() });
                laid.entries.push(Entry { row: row.clone(), detail: Detail::default() });
                laid.beside.push((History::default(), None));
            }
            take(make(laid));
        }
        Ok(())
    }

    /// The instances of a stretch of UDIs; `looks_back`: those too that were gone before the window.
    fn lay(
        &self,
        from: Bound<&Udi>,
        to: Bound<&Udi>,
        elsewhere: &Elsewhere,
        names: &Names<'_>,
        looks_back: bool,
    ) -> Result<Laid, Unreadable> {
        let own = self.consumption.stretch(from, to)?;
        let at_home = own.0.iter().filter(|(udi, _)| !elsewhere.who.contains(udi));
        let mut chassis: BTreeMap<&Udi, Vec<(&Udi, &Chassis)>> =
            at_home.map(|(udi, chassis)| (udi, vec![(udi, chassis)])).collect();
        for (instance, others) in elsewhere.of.range::<Udi, _>((from, to)) {
            let of = chassis.entry(instance).or_default();
            of.extend(others.iter().map(|(udi, chassis)| (udi, chassis)));
            of.sort_unstable_by_key(|(udi, _)| *udi);
        }
        let known = self.then.instances.range::<Udi, _>((from, to)).map(|(udi, _)| udi);
        let every: BTreeSet<&Udi> = known.chain(chassis.keys().copied()).collect();
        let open = Open::default();
        let mut laid = Laid { reports: own.reports(), ..Laid::default() };
        let mut namings = Namings::new();
        for udi in every {
            let subject = self.subject(udi);
            let of = chassis.get(udi).map(Vec::as_slice).unwrap_or_default();
            let mut uses = self.uses(subject, of, names);
            let gone = subject.then.and_then(|instance| instance.retired.as_ref()).map(|retired| retired.at);
            let there = self.is_there(gone, &uses);
            if uses.is_empty() || !(there || looks_back) {
                continue;
            }
            let uncertain = self.clock_uncertainty(of);
            let plain = Row { clock_uncertainty_seconds: uncertain, ..self.plain(subject, &open) };
            let (mut past, mut rows) = (Vec::new(), 0);
            for one in &mut uses {
                let entry = self.entry(subject, one, &plain, (names, &mut namings), there);
                let history = std::mem::take(&mut one.history);
                if there {
                    rows += 1;
                    laid.entries.push(entry);
                    laid.beside.push((history, one.stated));
                } else {
                    past.push((entry.row, history));
                }
            }
            laid.instances.push(Passing { udi: Some(udi.clone()), plain, gone, rows, past });
        }
        Ok(laid)
    }

    /// The chassis that are not, or not with all that they signed, of the instance that stands where they do: those that
    /// told something before another became the one by which the instance is known, and those that went together with
    /// others and are apart from them.
    fn elsewhere(&self) -> Result<Elsewhere, Unreadable> {
        let mut with: BTreeMap<&Udi, Vec<&Together>> = BTreeMap::new();
        let aliases = self.then.aliases.keys().chain(self.now.aliases.keys());
        let of_many = self.then.instances.iter().filter(|(_, instance)| !instance.members.is_empty());
        with.extend(aliases.chain(of_many.map(|(udi, _)| udi)).map(|udi| (udi, Vec::new())));
        for together in self.consumption.companies() {
            together.iter().for_each(|udi| with.entry(udi).or_default().push(together));
        }
        let away = |(udi, with): &(&Udi, Vec<&Together>)| {
            let own = self.known_as(udi);
            own != *udi
                || *own != self.whose(udi, std::slice::from_ref(udi))
                || with.iter().any(|with| *own != self.whose(udi, with))
        };
        let away: BTreeSet<&Udi> = with.into_iter().filter(away).map(|(udi, _)| udi).collect();
        let mut elsewhere = Elsewhere::default();
        if !away.is_empty() {
            for (udi, chassis) in self.consumption.named(&away)?.0 {
                for (whose, part) in self.apart(&udi, chassis) {
                    elsewhere.of.entry(whose).or_default().push((udi.clone(), part));
                }
                elsewhere.who.insert(udi);
            }
        }
        Ok(elsewhere)
    }

    /// A chassis, with whose it is; in parts where it signed for others than those to whom it belongs.
    fn apart(&self, udi: &Udi, chassis: Chassis) -> Vec<(Udi, Chassis)> {
        let own = self.known_as(udi);
        let alone = if chassis.tells_when_alone() { self.whose(udi, std::slice::from_ref(udi)) } else { own.clone() };
        let mut of: BTreeMap<Udi, BTreeSet<Option<&Together>>> = BTreeMap::from([(alone, BTreeSet::from([None]))]);
        for together in chassis.company() {
            of.entry(self.whose(udi, together)).or_default().insert(Some(together));
        }
        if of.keys().all(|whose| whose == own) {
            return vec![(own.clone(), chassis)];
        }
        let part = |(whose, with): (Udi, BTreeSet<Option<&Together>>)| {
            (whose, chassis.part(|together| with.contains(&together)))
        };
        of.into_iter().map(part).collect()
    }

    /// Who it is as of the instant, else who it is now.
    fn known_as<'u>(&self, udi: &'u Udi) -> &'u Udi
    where
        'a: 'u,
    {
        self.then.resolve(udi).or_else(|| self.now.resolve(udi)).map_or(udi, |instance| &instance.udi)
    }

    /// Whose a report is that names these chassis: of the instance that has most of them and fewest others; of two with
    /// as many, the one by whose name they went together, else the signer's.
    fn whose(&self, signer: &Udi, together: &[Udi]) -> Udi {
        let own = self.known_as(signer);
        let name = self.consumption.name_of(together);
        let known = together.iter().flat_map(|udi| [self.then.resolve(udi), self.now.resolve(udi)]).flatten();
        let fits = |instance: &&'a Instance| {
            let chassis: BTreeSet<&Udi> = instance.chassis().collect();
            let shared = chassis.iter().filter(|udi| together.contains(udi)).count();
            let named = name.is_some() && instance.device.as_ref() == name;
            (shared, Reverse(chassis.len()), named, instance.udi == *own, Reverse(&instance.udi))
        };
        known.max_by(|a, b| fits(a).cmp(&fits(b))).map_or(own, |instance| &instance.udi).clone()
    }

    fn subject<'u>(&self, udi: &'u Udi) -> Subject<'u>
    where
        'a: 'u,
    {
        let then = self.then.instances.get(udi).map(|instance| &**instance);
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

/// What chassis told that do not stand where their instance does.
#[derive(Default)]
struct Elsewhere {
    who: BTreeSet<Udi>,
    /// By the instance whose it is.
    of: BTreeMap<Udi, Vec<(Udi, Chassis)>>,
}

/// A part as it is laid out.
#[derive(Default)]
struct Laid {
    instances: Vec<Passing>,
    entries: Vec<Entry>,
    /// Of each entry: its whole history, and the count that the device states.
    beside: Vec<(History, Option<u64>)>,
    /// How many reports measure something of the window, and when the newest was collected.
    reports: (u64, Option<Seconds>),
}

/// An instance, or a device that was never reached, with so many of the entries.
struct Passing {
    udi: Option<Udi>,
    plain: Row,
    gone: Option<Timestamp>,
    rows: usize,
    /// Rows of one that was gone before the window.
    past: Vec<(Row, History)>,
}
