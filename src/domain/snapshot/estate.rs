//! The survey itself: which rows there are, and what stands in them.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use jiff::{SignedDuration, Timestamp};

use super::names::{Names, Naming, OperatorNames};
use super::rollup::{RollUps, completeness, millionth};
use super::row::{Detail, DetailRun, Entry, MeasuredState, NotedChange, Row, SourceReport};
use super::{Head, SCHEMA_VERSION, SnapshotId};
use crate::domain::bundle;
use crate::domain::deadline::ObligationState;
use crate::domain::fleet::{Fleet, Instance};
use crate::domain::instance::{DeviceName, Udi};
use crate::domain::plan::{Settings, Watched, watched_as};
use crate::domain::report::EntitlementTag;
use crate::domain::state::{DeviceState, License, Model, Reservation};
use crate::domain::status::{self, Open};
use crate::domain::timeline::{
    self, Chassis, Consumption, History, Licence, Observed, Origin, Run, Seconds, Skew, Timeline, What,
};

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
    /// In whole seconds.
    pub as_of: Timestamp,
    pub window: SignedDuration,
    /// The journal is kept from here on only.
    pub incomplete_before: Option<Timestamp>,
}

/// An instance, by whichever fold knows it.
#[derive(Clone, Copy)]
struct Subject<'a> {
    udi: &'a Udi,
    /// As of the instant; `None`: it was not known yet.
    then: Option<&'a Instance>,
    /// By any fold.
    any: Option<&'a Instance>,
    device: Option<&'a Watched>,
}

/// One licence of an instance.
#[derive(Default)]
struct Use<'a> {
    tag: Option<EntitlementTag>,
    timelines: Vec<(&'a Udi, &'a Timeline)>,
    history: History,
    said: Naming,
    /// The count that the device states as of the instant.
    stated: Option<u64>,
    reserved: Option<u64>,
}

impl<'a> Survey<'a> {
    fn to(&self) -> Seconds {
        self.as_of.as_second()
    }

    fn from(&self) -> Seconds {
        self.window_start().as_second()
    }

    fn window_start(&self) -> Timestamp {
        self.as_of.checked_sub(self.window).unwrap_or(Timestamp::MIN)
    }

    /// The head and the roll-ups; `digest` makes the number out of the rows and the head without one.
    pub fn head(&self, roll_ups: &mut RollUps, seen: &mut dyn FnMut(&Entry)) -> Head {
        let mut states: BTreeMap<MeasuredState, u64> = BTreeMap::new();
        let mut rows = 0;
        let _ = self.visit(Some(roll_ups), &mut |entry| {
            rows += 1;
            *states.entry(entry.row.measured_state).or_default() += 1;
            seen(entry);
            ControlFlow::Continue(())
        });
        let (reports, newest) = self.consumption.reports();
        Head {
            schema_version: SCHEMA_VERSION,
            snapshot_id: SnapshotId(String::new()),
            corrects: None,
            as_of: self.as_of,
            window_start: self.window_start(),
            window_end: self.as_of,
            row_count: rows,
            instances: roll_ups.instances(),
            completeness: completeness(&states),
            measured_states: states,
            reports,
            newest_report_collected: newest.and_then(|at| Timestamp::from_second(at).ok()),
            incomplete_before: self.incomplete_before,
        }
    }

    /// Every row, instance by instance in the order of their UDIs, then the devices that were never reached by name.
    /// The same rows each time.
    pub fn each(&self, visit: &mut dyn FnMut(&Entry) -> ControlFlow<()>) {
        let _ = self.visit(None, visit);
    }

    fn visit(
        &self,
        mut roll_ups: Option<&mut RollUps>,
        visit: &mut dyn FnMut(&Entry) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        let names = Names::of([self.then, self.now], self.names);
        let chassis = self.chassis();
        let open = Open::default();
        let every: BTreeSet<&Udi> = self.then.instances.keys().chain(chassis.keys().copied()).collect();
        for udi in every {
            let subject = self.subject(udi);
            let of = chassis.get(udi).map(Vec::as_slice).unwrap_or_default();
            let uses = self.uses(subject, of, &names);
            if uses.is_empty() || !self.is_there(subject, &uses) {
                continue;
            }
            if let Some(roll_ups) = roll_ups.as_deref_mut() {
                roll_ups.next_instance();
            }
            let uncertain = self.clock_uncertainty(of);
            let plain = Row { clock_uncertainty_seconds: uncertain, ..self.plain(subject, &open) };
            for one in &uses {
                let entry = self.entry(subject, one, &plain, &names);
                if let Some(roll_ups) = roll_ups.as_deref_mut() {
                    let measured = one.history.within(self.from(), self.to()).filter(Run::is_measured);
                    roll_ups.add(&entry.row, measured);
                }
                visit(&entry)?;
            }
        }
        for device in self.watched.iter().filter(|device| self.never_reached(&device.name)) {
            let row = self.unreached(device);
            if let Some(roll_ups) = roll_ups.as_deref_mut() {
                roll_ups.next_instance();
                roll_ups.add(&row, std::iter::empty());
            }
            visit(&Entry { row, detail: Detail::default() })?;
        }
        ControlFlow::Continue(())
    }

    /// The chassis of each instance, by who it is as of the instant, else by who it is now.
    fn chassis(&self) -> BTreeMap<&'a Udi, Vec<(&'a Udi, &'a Chassis)>> {
        let mut of: BTreeMap<&Udi, Vec<(&Udi, &Chassis)>> = BTreeMap::new();
        for (udi, chassis) in self.consumption.each() {
            let known = self.then.resolve(udi).or_else(|| self.now.resolve(udi));
            of.entry(known.map_or(udi, |instance| &instance.udi)).or_default().push((udi, chassis));
        }
        of
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
    fn is_there(&self, subject: Subject<'_>, uses: &[Use<'_>]) -> bool {
        let retired = subject.then.and_then(|instance| instance.retired.as_ref());
        let gone = retired.is_some_and(|retired| retired.at < self.window_start());
        !gone || uses.iter().any(|one| one.history.within(self.from(), self.to()).any(|run| run.is_measured()))
    }

    /// The licences of an instance as of the instant; one without anything, where it is known and has none.
    fn uses(&self, subject: Subject<'a>, chassis: &[(&'a Udi, &'a Chassis)], names: &Names<'_>) -> Vec<Use<'a>> {
        let state = subject.then.and_then(|instance| instance.state.as_ref());
        let until = self.seen_until(subject);
        let mut seen: BTreeMap<Licence, Vec<Vec<Observed>>> = BTreeMap::new();
        for (_, chassis) in chassis {
            for (licence, observed) in chassis.observed(until) {
                if !observed.is_empty() {
                    seen.entry(licence.clone()).or_default().push(observed);
                }
            }
        }
        let mut licenses: Vec<&License> = state.iter().flat_map(|state| &state.licenses).collect();
        let mut reserved: Vec<&Reservation> = state.iter().flat_map(|state| &state.reserved).collect();
        let mut uses = Vec::new();
        let tags: BTreeSet<&EntitlementTag> =
            chassis.iter().flat_map(|(_, chassis)| chassis.timelines()).map(|(tag, _)| tag).collect();
        for tag in tags {
            let timelines: Vec<(&Udi, &Timeline)> =
                chassis.iter().filter_map(|(udi, chassis)| Some((*udi, chassis.timeline(tag)?))).collect();
            let stated = licenses.iter().filter_map(|one| one.name.clone());
            let held = reserved.iter().filter_map(|one| one.name.clone());
            let called: BTreeSet<String> = seen.keys().filter_map(name_of).chain(stated).chain(held).collect();
            let called = names.name_of(tag, called.iter().map(String::as_str));
            let own = |licence: &Licence| match licence {
                Licence::Tag(own) => own == tag,
                Licence::Name(name) => called == Some(name),
            };
            let mine: Vec<Licence> = seen.keys().filter(|licence| own(licence)).cloned().collect();
            let observed: Vec<Vec<Observed>> = mine.iter().filter_map(|one| seen.remove(one)).flatten().collect();
            let of = |name: &Option<String>, stated: &Option<EntitlementTag>| match stated
                .as_ref()
                .filter(|stated| stated.0.starts_with("regid."))
            {
                Some(stated) => stated == tag,
                None => name.as_deref().is_some_and(|name| called == Some(name)),
            };
            let stated = taken(&mut licenses, |one| of(&one.name, &one.entitlement_tag));
            let held = taken(&mut reserved, |one| of(&one.name, &one.entitlement_tag));
            uses.push(Use {
                tag: Some(tag.clone()),
                history: self.history(&timelines, &observed),
                timelines,
                said: said(&stated, &held),
                stated: sum(stated.iter().map(|one| one.count)),
                reserved: sum(held.iter().map(|one| one.count)),
            });
        }
        // Measured only after the instant: it was not there yet.
        uses.retain(|one| {
            let begun = one.timelines.iter().filter_map(|(_, timeline)| timeline.first()).min();
            begun.is_some_and(|begun| begun <= self.to()) || one.stated.is_some() || one.reserved.is_some()
        });
        while let Some(license) = licenses.first().copied() {
            let key = Licence::of(license);
            let stated = taken(&mut licenses, |one| std::ptr::eq(*one, license) || Licence::of(one) == key);
            let observed = key.as_ref().and_then(|key| seen.remove(key)).unwrap_or_default();
            let of = |one: &&Reservation| one.name.is_some() && one.name == license.name;
            let held = taken(&mut reserved, of);
            let history = self.history(&[], &observed);
            let used = |run: Run| run.value > 0;
            if license.in_use() || !held.is_empty() || history.within(self.from(), self.to()).any(used) {
                uses.push(Use {
                    tag: tag_of(key),
                    history,
                    said: said(&stated, &held),
                    stated: sum(stated.iter().map(|one| one.count)),
                    reserved: sum(held.iter().map(|one| one.count)),
                    ..Use::default()
                });
            }
        }
        while let Some(first) = reserved.first().copied() {
            let held = taken(&mut reserved, |one| {
                std::ptr::eq(*one, first) || (one.name == first.name && one.entitlement_tag == first.entitlement_tag)
            });
            let tag = first.entitlement_tag.clone().filter(|tag| tag.0.starts_with("regid."));
            let reserved = sum(held.iter().map(|one| one.count));
            uses.push(Use { tag, said: said(&[], &held), reserved, ..Use::default() });
        }
        if uses.is_empty() && subject.then.is_some() {
            uses.push(Use::default());
        }
        uses
    }

    /// Up to when its device was seen: to the instant, where it last answered no longer before than contact goes stale.
    fn seen_until(&self, subject: Subject<'_>) -> Seconds {
        let Some(instance) = subject.then else { return self.to() };
        let name = instance.device.as_ref();
        let contact = name.and_then(|name| self.now.contacts.get(name)).copied();
        let Some(last) = contact.max(instance.state_read).max(instance.last_collected) else { return self.to() };
        match last.checked_add(self.settings.stale_after) {
            Ok(stale) if stale < self.as_of => last.as_second(),
            Ok(_) | Err(_) => self.to(),
        }
    }

    /// A clock is the instance's, whichever licence tells of it.
    fn clock_uncertainty(&self, chassis: &[(&Udi, &Chassis)]) -> Option<u64> {
        let mut skews: Vec<Skew> = chassis.iter().flat_map(|(_, chassis)| chassis.skews()).copied().collect();
        skews.sort_unstable();
        let longest = self.settings.stale_after.as_secs();
        let tags: BTreeSet<_> = chassis.iter().flat_map(|(_, one)| one.timelines()).map(|(tag, _)| tag).collect();
        let of = |tag| {
            let timelines: Vec<&Timeline> = chassis.iter().filter_map(|(_, one)| one.timeline(tag)).collect();
            timeline::uncertainty(&timelines, &skews, longest, self.from(), self.to())
        };
        tags.into_iter().map(of).max().filter(|uncertain| *uncertain > 0)
    }

    fn history(&self, timelines: &[(&Udi, &Timeline)], observed: &[Vec<Observed>]) -> History {
        let timelines: Vec<&Timeline> = timelines.iter().map(|(_, timeline)| *timeline).collect();
        History::of(&timeline::measured(&timelines), &timeline::observed(observed))
    }

    /// All that is not about a licence.
    fn plain(&self, subject: Subject<'_>, open: &Open<'_>) -> Row {
        let Subject { udi, then, any, device } = subject;
        let told = then.map(|instance| {
            status::row(self.then, open, Some(instance), device, self.settings, self.as_of, self.as_of)
        });
        let account = bundle::account(device, then);
        let own = |instance: &Instance| instance.members.iter().find(|member| member.udi == *udi).map(|own| own.role);
        Row {
            site: device.map(|device| device.site.clone()).or(any.map(|any| any.site.clone())).unwrap_or_default(),
            environment: device.and_then(|device| device.environment.clone()),
            tags: device.map(|device| device.tags.clone()).unwrap_or_default(),
            smart_account: account.smart_account,
            virtual_account: account.virtual_account,
            device: any.and_then(|any| any.device.clone()),
            pid: Some(udi.pid.to_string()),
            sn: Some(udi.sn.to_string()),
            uuid: any.and_then(|any| any.uuid.clone()),
            ha_role: then.and_then(own),
            os: any.and_then(|any| any.os.clone()),
            software_version: then.and_then(|then| then.software.clone()),
            model: told.as_ref().map_or(Model::Unknown, |told| told.model),
            reporter: device.map(|device| device.reporter),
            first_seen: any.map(|any| any.first_seen),
            last_ack: told.as_ref().and_then(|told| told.last_ack),
            due: told.as_ref().and_then(|told| told.due),
            days_left: told.as_ref().and_then(|told| told.days_left),
            state: told.as_ref().map_or(ObligationState::Unknown, |told| told.state),
            ..empty()
        }
    }

    /// A device of the inventory that never told who it is.
    fn unreached(&self, device: &Watched) -> Row {
        Row {
            site: device.site.clone(),
            environment: device.environment.clone(),
            tags: device.tags.clone(),
            smart_account: device.account.smart_account.clone(),
            virtual_account: device.account.virtual_account.clone(),
            device: Some(device.name.clone()),
            reporter: Some(device.reporter),
            ..empty()
        }
    }

    fn entry(&self, subject: Subject<'_>, one: &Use<'_>, plain: &Row, names: &Names<'_>) -> Entry {
        let (from, to) = (self.from(), self.to());
        let instant = |at: Seconds| Timestamp::from_second(at).ok();
        let history = &one.history;
        let at = history.measured_at(to);
        let past = |run: &&Run| run.is_measured() && run.start <= to;
        let last = at.or_else(|| history.runs().iter().rev().find(past));
        let peak = history.peak(from, to);
        let share = history.share(from, to);
        let source = last.and_then(|run| self.source(one, run));
        let naming = names.naming(one.tag.as_ref(), one.said.clone());
        let begun = one.timelines.iter().filter_map(|(_, timeline)| timeline.first()).filter(|first| *first <= to);
        let seen = history.runs().first().map(|run| run.start).filter(|start| *start <= to);
        let first = begun.chain(seen).min().and_then(instant);
        let observed = history.at(to).filter(|run| at.is_none() && !run.is_measured());
        let row = Row {
            entitlement_tag: one.tag.clone(),
            license_name: naming.name,
            license_type: naming.license_type,
            tier: naming.tier,
            quantity: at.map(|run| run.value),
            quantity_peak: peak.map(|peak| peak.value),
            quantity_peak_at: peak.and_then(|peak| instant(peak.at)),
            quantity_average: history.average(from, to).map(millionth),
            quantity_reserved: one.reserved,
            measured_state: self.measured_state(subject, one, at.is_some(), last),
            first_seen: first.or(plain.first_seen),
            last_measured: last.and_then(|run| instant(run.end.min(to))),
            last_report_id: source.as_ref().map(|source| source.report_id),
            source_sha256: source.map(|source| source.sha256),
            quantity_last: last.filter(|_| at.is_none()).map(|run| run.value),
            quantity_observed: observed.map(|run| run.value),
            coverage: millionth(share.measured),
            coverage_observed: millionth(share.observed),
            ..plain.clone()
        };
        Entry { row, detail: self.detail(one) }
    }

    fn measured_state(&self, subject: Subject<'_>, one: &Use<'_>, measured: bool, last: Option<&Run>) -> MeasuredState {
        if measured {
            return MeasuredState::Measured;
        }
        if one.history.within(self.from(), self.to()).any(|run| run.is_measured()) {
            return MeasuredState::NotYetMeasured;
        }
        let state = subject.then.and_then(|instance| instance.state.as_ref());
        let unused = state.is_some() && one.stated.unwrap_or(0) == 0;
        match state.map_or(Model::Unknown, |state| state.model) {
            Model::SpecificLicenseReservation | Model::PermanentLicenseReservation => return MeasuredState::Reserved,
            Model::ClassicSmartLicensing | Model::Traditional | Model::Disabled => return MeasuredState::Unmeasurable,
            Model::Slp | Model::Unknown => {}
        }
        if one.reserved.is_some() && unused {
            return MeasuredState::Reserved;
        }
        match last {
            Some(_) if unused => MeasuredState::NothingToReport,
            Some(_) => MeasuredState::Stale,
            None if state.is_some_and(DeviceState::uses_nothing) => MeasuredState::NothingToReport,
            None => MeasuredState::NotYetMeasured,
        }
    }

    fn source(&self, one: &Use<'_>, run: &Run) -> Option<SourceReport> {
        let Origin::Report { chassis, report } = run.origin else { return None };
        let (udi, timeline) = one.timelines.get(usize::try_from(chassis).ok()?)?;
        let source = timeline.source(report)?;
        Some(SourceReport { udi: (*udi).clone(), report_id: report, sha256: source.object })
    }

    fn detail(&self, one: &Use<'_>) -> Detail {
        let (from, to) = (self.from(), self.to());
        let mut detail = Detail::default();
        for run in one.history.within(from, to) {
            let (Ok(start), Ok(end)) = (Timestamp::from_second(run.start), Timestamp::from_second(run.end)) else {
                continue;
            };
            let source = self.source(one, &run);
            let report_id = source.as_ref().map(|source| source.report_id);
            detail.runs.push(DetailRun { start, end, quantity: run.value, report_id });
            if let Some(source) = source
                && !detail.reports.contains(&source)
            {
                detail.reports.push(source);
            }
        }
        for (_, timeline) in &one.timelines {
            for change in timeline.changes().iter().filter(|change| from <= change.at && change.at <= to) {
                let Ok(at) = Timestamp::from_second(change.at) else { continue };
                let (what, seconds, member) = match &change.what {
                    What::ClockMoved(seconds) => ("clock-moved", Some(*seconds), None),
                    What::Reloaded => ("reloaded", None, None),
                    What::Left(member) => ("left", None, Some(member.clone())),
                    What::Joined(member) => ("joined", None, Some(member.clone())),
                };
                detail.changes.push(NotedChange { at, what: what.to_owned(), seconds, member });
            }
        }
        detail.changes.sort_by_key(|change| change.at);
        detail
    }
}

impl DeviceState {
    /// It told of its licences, and uses none.
    fn uses_nothing(&self) -> bool {
        self.model == Model::Slp && !self.licenses.iter().any(License::in_use)
    }
}

/// Takes out of a list what fits.
fn taken<'a, T>(list: &mut Vec<&'a T>, fits: impl Fn(&&'a T) -> bool) -> Vec<&'a T> {
    let (own, rest) = std::mem::take(list).into_iter().partition(|one| fits(one));
    *list = rest;
    own
}

fn tag_of(licence: Option<Licence>) -> Option<EntitlementTag> {
    match licence? {
        Licence::Tag(tag) => Some(tag),
        Licence::Name(_) => None,
    }
}

fn name_of(licence: &Licence) -> Option<String> {
    match licence {
        Licence::Tag(_) => None,
        Licence::Name(name) => Some(name.clone()),
    }
}

fn said(licenses: &[&License], reserved: &[&Reservation]) -> Naming {
    let naming = |name: &Option<String>, kind: &Option<String>| Naming {
        name: name.clone(),
        license_type: kind.clone(),
        tier: None,
    };
    let stated = licenses.iter().map(|one| naming(&one.name, &one.license_type));
    let held = reserved.iter().map(|one| naming(&one.name, &one.license_type));
    stated.chain(held).fold(Naming::default(), |known, more| known.or(&more))
}

fn sum(counts: impl Iterator<Item = Option<u64>>) -> Option<u64> {
    counts.flatten().reduce(u64::saturating_add)
}

fn empty() -> Row {
    Row {
        site: Default::default(),
        environment: None,
        tags: Vec::new(),
        smart_account: None,
        virtual_account: None,
        device: None,
        pid: None,
        sn: None,
        uuid: None,
        ha_role: None,
        os: None,
        software_version: None,
        model: Model::Unknown,
        reporter: None,
        entitlement_tag: None,
        license_name: None,
        license_type: None,
        tier: None,
        quantity: None,
        quantity_peak: None,
        quantity_average: None,
        quantity_reserved: None,
        measured_state: MeasuredState::NotYetMeasured,
        first_seen: None,
        last_measured: None,
        last_report_id: None,
        last_ack: None,
        due: None,
        days_left: None,
        state: ObligationState::Unknown,
        source_sha256: None,
        quantity_peak_at: None,
        quantity_last: None,
        quantity_observed: None,
        coverage: 0.0,
        coverage_observed: 0.0,
        clock_uncertainty_seconds: None,
    }
}
