//! The licences of an instance as of an instant: what its chassis measured, what polls saw, what it states and holds.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::estate::{Subject, Survey};
use super::names::{Names, Naming};
use crate::domain::instance::Udi;
use crate::domain::report::EntitlementTag;
use crate::domain::state::{License, Reservation};
use crate::domain::timeline::{self, Chassis, History, Licence, Observed, Run, Seconds, Skew, Timeline};

/// One licence of an instance.
#[derive(Default)]
pub(super) struct Use<'a> {
    pub(super) tag: Option<EntitlementTag>,
    pub(super) timelines: Vec<(&'a Udi, &'a Timeline)>,
    pub(super) history: History,
    pub(super) said: Naming,
    /// The count that the device states as of the instant.
    pub(super) stated: Option<u64>,
    pub(super) reserved: Option<u64>,
}

impl Survey<'_> {
    /// The licences of an instance as of the instant; one without anything, where it is known and has none.
    pub(super) fn uses<'a>(
        &self,
        subject: Subject<'a>,
        chassis: &[(&'a Udi, &'a Chassis)],
        names: &Names<'_>,
    ) -> Vec<Use<'a>> {
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
        let mut licenses: Vec<&License> =
            state.iter().flat_map(|state| &state.licenses).map(|license| &**license).collect();
        let mut reserved: Vec<&Reservation> = state.iter().flat_map(|state| &state.reserved).collect();
        let mut uses = Vec::new();
        let tags: BTreeSet<&EntitlementTag> =
            chassis.iter().flat_map(|(_, chassis)| chassis.timelines()).map(|(tag, _)| tag).collect();
        for tag in tags {
            let timelines: Vec<(&Udi, &Timeline)> =
                chassis.iter().filter_map(|(udi, chassis)| Some((*udi, chassis.timeline(tag)?))).collect();
            let stated = licenses.iter().filter_map(|one| Some((one.name.as_deref()?, short(&one.entitlement_tag))));
            let held = reserved.iter().filter_map(|one| Some((one.name.as_deref()?, short(&one.entitlement_tag))));
            let polled: Vec<Licence> = seen.keys().cloned().collect();
            let polled = polled.iter().filter_map(|licence| Some((name_of(licence)?, None)));
            let mut names_used: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
            for (name, short) in stated.chain(held).chain(polled) {
                names_used.entry(name).or_default().extend(short);
            }
            let called = names.name_of(tag, names_used.iter().map(|(name, short)| (*name, short)));
            let own = |licence: &Licence| match licence {
                Licence::Tag(own) => own == tag,
                Licence::Name(name) => called == Some(name),
            };
            let mine: Vec<Licence> = seen.keys().filter(|licence| own(licence)).cloned().collect();
            let observed: Vec<Vec<Observed>> = mine.iter().filter_map(|one| seen.remove(one)).flatten().collect();
            let of = |name: &Option<Arc<str>>, stated: &Option<EntitlementTag>| match stated
                .as_ref()
                .filter(|stated| stated.0.starts_with("regid."))
            {
                Some(stated) => stated == tag,
                None => name.is_some() && name.as_deref() == called,
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
            let stated = taken(&mut licenses, |one| Licence::of(one) == key);
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
            let held =
                taken(&mut reserved, |one| one.name == first.name && one.entitlement_tag == first.entitlement_tag);
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
    pub(super) fn clock_uncertainty(&self, chassis: &[(&Udi, &Chassis)]) -> Option<u64> {
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

fn name_of(licence: &Licence) -> Option<&str> {
    match licence {
        Licence::Tag(_) => None,
        Licence::Name(name) => Some(name),
    }
}

/// The short tag that the command line prints beside a name.
fn short(tag: &Option<EntitlementTag>) -> Option<&str> {
    tag.as_ref().map(|tag| &*tag.0).filter(|tag| !tag.starts_with("regid."))
}

fn said(licenses: &[&License], reserved: &[&Reservation]) -> Naming {
    let naming = |name: &Option<Arc<str>>, kind: &Option<Arc<str>>| Naming {
        name: name.clone(),
        license_type: kind.clone(),
        ..Naming::default()
    };
    let stated = licenses.iter().map(|one| naming(&one.name, &one.license_type));
    let held = reserved.iter().map(|one| naming(&one.name, &one.license_type));
    stated.chain(held).fold(Naming::default(), |known, more| known.or(&more))
}

fn sum(counts: impl Iterator<Item = Option<u64>>) -> Option<u64> {
    counts.flatten().reduce(u64::saturating_add)
}
