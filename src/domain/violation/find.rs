//! Looks for violations of every kind, and tells what is news against the record. Pure: time comes in.
//!
//! One pass over the fleet. An instance with nothing wrong costs no allocation: sentences and evidence are made only
//! where something is found. Nothing in a finding depends on the hour, so that one found again is equal; what a person
//! sees in it are the numbers and dates that it rests on.

mod collecting;
mod device;
mod fleet;
mod index;
mod news;
mod obligation;

use jiff::{SignedDuration, Timestamp};

pub(in crate::domain) use obligation::{by_deadline, kinds as obligation_kinds, overdue};

use self::collecting::Exchange;
use self::index::Index;
use super::rules::SiteRules;
use super::{Evidence, Finding, Kind, Severity, Subject};
use crate::domain::deadline::day;
use crate::domain::event::Fact;
use crate::domain::fleet::{Device, Fleet, Instance};
use crate::domain::instance::Site;
use crate::domain::plan::{Settings, Watched};
use crate::domain::settings::Reporter;

/// So many pieces of evidence of one kind are named; the register has them all.
const EVIDENCE: usize = 5;

/// Everything that breaks policy at `now`. `watched` is in the order of names.
///
/// An instance that was retired breaks nothing. One that another than this collector reports for keeps its deadline,
/// and what is about our own collecting is not asked of it.
pub fn find(fleet: &Fleet, watched: &[Watched], settings: &Settings, now: Timestamp) -> Vec<Finding> {
    let mut scan = Scan { fleet, settings, now, found: Vec::new() };
    let index = Index::of(fleet, watched);
    index.devices(|listed| collecting::unreachable(&mut scan, listed));
    let exchange = Exchange::of(fleet, settings, now);
    let mut policies = fleet::Policies::default();
    let upstreams = fleet::Upstreams::of(fleet, now);
    for instance in fleet.instances.values() {
        if instance.retired.is_some() {
            continue;
        }
        let listed = index.get(&instance.udi);
        let device = listed.map(|listed| listed.watched);
        let site = device.map_or(&instance.site, |device| &device.site);
        let about = About { instance, device, known: listed.and_then(|listed| listed.known), site };
        obligation::find(&mut scan, &about);
        collecting::find(&mut scan, &about, &exchange);
        device::find(&mut scan, &about);
        fleet::find(&mut scan, &about, &upstreams, &mut policies);
    }
    policies.compare(&mut scan);
    fleet::duplicates(&mut scan, &index);
    fleet::on_prem(&mut scan);
    scan.found
}

/// The facts by which the record becomes what was found: violations that are new, come back or rest on something else,
/// and those that are no more. Nothing where nothing changed, and nothing of it depends on the hour.
pub fn news(fleet: &Fleet, found: Vec<Finding>, _now: Timestamp) -> Vec<Fact> {
    news::news(fleet, found)
}

/// What is looked at, and what was found so far.
struct Scan<'a> {
    fleet: &'a Fleet,
    settings: &'a Settings,
    now: Timestamp,
    found: Vec<Finding>,
}

/// One instance and what the inventory says of it.
#[derive(Clone, Copy)]
struct About<'a> {
    instance: &'a Instance,
    /// `None` where it is not in the inventory.
    device: Option<&'a Watched>,
    known: Option<&'a Device>,
    site: &'a Site,
}

/// A sentence and what it rests on.
struct Told {
    explanation: String,
    evidence: Vec<Evidence>,
}

impl Told {
    fn new(explanation: String) -> Self {
        Told { explanation, evidence: Vec::new() }
    }

    fn with(mut self, evidence: impl IntoIterator<Item = Evidence>) -> Self {
        self.evidence.extend(evidence);
        self
    }
}

impl<'a> Scan<'a> {
    fn rules(&self, site: &Site) -> &'a SiteRules {
        self.settings.violations.of(site)
    }

    /// Notes a finding about an instance, unless its kind is off there.
    fn tell(&mut self, about: &About<'_>, kind: Kind, told: impl FnOnce() -> Told) {
        let rules = self.rules(about.site);
        if !rules.is_on(kind) {
            return;
        }
        let Told { explanation, evidence } = told();
        self.found.push(Finding {
            kind,
            subject: Subject::Instance(about.instance.udi.clone()),
            device: about.device.map(|device| device.name.clone()).or_else(|| about.instance.device.clone()),
            site: about.site.clone(),
            severity: rules.severity(kind, kind.severity()),
            explanation,
            evidence,
        });
    }

    /// Notes a finding about something else than an instance.
    fn tell_of(&mut self, kind: Kind, subject: Subject, device: Option<&Watched>, severity: Severity, told: Told) {
        let site = device.map(|device| device.site.clone()).unwrap_or_default();
        let rules = self.rules(&site);
        if !rules.is_on(kind) {
            return;
        }
        let severity = rules.severity(kind, severity);
        let device = device.map(|device| device.name.clone());
        let Told { explanation, evidence } = told;
        self.found.push(Finding { kind, subject, device, site, severity, explanation, evidence });
    }

    /// Did `at` lie longer ago than `by`?
    fn past(&self, at: Timestamp, by: SignedDuration) -> bool {
        self.now.duration_since(at) > by
    }
}

impl About<'_> {
    /// Is it for us to bring its reports to Cisco? What left the inventory was.
    fn is_ours(&self) -> bool {
        self.device.is_none_or(|device| device.reporter == Reporter::Collector)
    }
}

#[cfg(test)]
mod tests;
