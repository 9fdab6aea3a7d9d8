//! What shows only in comparison: with the inventory, with others of the account, with On-Prem's duty.

use std::collections::{BTreeMap, HashMap};
use std::hash::{Hash, Hasher};

use jiff::{SignedDuration, Timestamp};

use super::index::{Fnv, Index};
use super::{About, Evidence, Kind, Scan, Severity, Subject, Told, day};
use crate::domain::fleet::Fleet;
use crate::domain::instance::{Account, DeviceName, Udi};
use crate::domain::on_prem::{REMOVED_AFTER, WARNS_AFTER};
use crate::domain::plan::Watched;
use crate::domain::policy::{ClassPolicy, LicenceClass, Policy};
use crate::domain::state::DeviceState;
use crate::domain::{bundle, cross_check};

/// Fewer instances than these in a Virtual Account are no majority.
const LEAST_TO_COMPARE: u32 = 3;

/// So long what an upstream said of accounts counts.
const SAID_COUNTS: SignedDuration = SignedDuration::from_hours(30 * 24);

pub(super) fn find<'a>(scan: &mut Scan<'_>, about: &About<'a>, upstreams: &Upstreams<'_>, policies: &mut Policies<'a>) {
    if about.device.is_none() {
        scan.tell(about, Kind::Orphaned, || orphaned(about));
    }
    account_mismatch(scan, about, upstreams);
    let Some(policy) = about.instance.state.as_ref().and_then(|state| state.policy.as_ref()) else { return };
    match &scan.rules(about.site).expected_policy {
        Some(expected) if policy.name.as_ref() != Some(expected) => {
            scan.tell(about, Kind::PolicyDiffers, || {
                Told::new(format!("{} is installed, and '{expected}' is expected", shown(policy)))
                    .with([Evidence::Printed(printed(policy))])
            });
        }
        Some(_) => {}
        None => policies.take(*about, policy),
    }
}

fn orphaned(about: &About<'_>) -> Told {
    let instance = about.instance;
    let owed = match instance.waiting().count() {
        0 => "no report of it waits".to_owned(),
        1 => "1 report of it waits".to_owned(),
        count => format!("{count} reports of it wait"),
    };
    let known = match &instance.device {
        Some(name) => format!("it was '{name}' and is not in the inventory any more"),
        None => "it never was a device of the inventory".to_owned(),
    };
    Told::new(format!("{known}; {owed}"))
        .with([Evidence::Event { at: instance.first_seen, what: "first seen".to_owned() }])
}

/// What upstreams have in another account than we do, by instance.
#[derive(Default)]
pub(super) struct Upstreams<'a>(HashMap<&'a Udi, Vec<Elsewhere<'a>>>);

struct Elsewhere<'a> {
    upstream: &'a str,
    there: &'a Account,
    since: Timestamp,
}

impl<'a> Upstreams<'a> {
    /// Of every upstream that was read lately: what one said long ago, and may not be asked any more, is nobody's fault.
    pub(super) fn of(fleet: &'a Fleet, now: Timestamp) -> Self {
        let mut found: HashMap<&Udi, Vec<Elsewhere<'a>>> = HashMap::new();
        for (upstream, known) in &fleet.upstreams {
            if now.duration_since(known.read) > SAID_COUNTS {
                continue;
            }
            for difference in &known.facts.differences {
                if let cross_check::About::Account { there, .. } = &difference.about {
                    let since = difference.since;
                    found.entry(&difference.udi).or_default().push(Elsewhere { upstream, there, since });
                }
            }
        }
        Upstreams(found)
    }

    /// Those that still are elsewhere by what is known here now.
    fn elsewhere(&self, about: &About<'_>) -> impl Iterator<Item = &Elsewhere<'a>> {
        let said = self.0.get(&about.instance.udi).map_or(&[][..], Vec::as_slice);
        said.iter().filter(|said| said.there.contradicts(&bundle::account(about.device, Some(about.instance))))
    }
}

fn account_mismatch(scan: &mut Scan<'_>, about: &About<'_>, upstreams: &Upstreams<'_>) {
    let device = about.device.zip(about.instance.state.as_ref());
    let differs = |(device, state): &(&Watched, &DeviceState)| device.account.contradicts(&state.account());
    let device = device.filter(differs);
    if device.is_none() && upstreams.elsewhere(about).next().is_none() {
        return;
    }
    scan.tell(about, Kind::AccountMismatch, || {
        let mut evidence = Vec::new();
        let mut says = Vec::new();
        if let Some((device, state)) = device {
            let told = state.account();
            says.push(format!("the inventory says {}, the device {told}", device.account));
            evidence.push(Evidence::Printed(format!("Smart Account / Virtual Account: {told}")));
        }
        for Elsewhere { upstream, there, since } in upstreams.elsewhere(about) {
            let here = bundle::account(about.device, Some(about.instance));
            says.push(format!("the upstream '{upstream}' has it in {there}, and here it is in {here}"));
            evidence.push(Evidence::Event { at: *since, what: format!("'{upstream}' said {there}") });
        }
        Told::new(format!("{} (Smart / Virtual Account)", says.join("; "))).with(evidence)
    });
}

/// Policies by account, by digests of both, so that nothing is copied for the many that agree.
#[derive(Default)]
pub(super) struct Policies<'a> {
    seen: Vec<(u64, u64, About<'a>, &'a Policy)>,
}

impl<'a> Policies<'a> {
    /// Notes an instance whose accounts are both known; the operator's word on them comes first.
    fn take(&mut self, about: About<'a>, policy: &'a Policy) {
        let Some((smart, virtual_account)) = account(&about) else { return };
        let mut own = Fnv::default();
        (smart, virtual_account).hash(&mut own);
        self.seen.push((own.finish(), digest(policy), about, policy));
    }

    /// Tells those that differ from more than half of their account.
    pub(super) fn compare(&self, scan: &mut Scan<'_>) {
        let mut counts: HashMap<(u64, u64), (u32, &'a Policy)> = HashMap::new();
        let mut sizes: HashMap<u64, u32> = HashMap::new();
        for (own, policy, _, installed) in &self.seen {
            counts.entry((*own, *policy)).or_insert((0, installed)).0 += 1;
            *sizes.entry(*own).or_default() += 1;
        }
        // One policy an account, as nearly always, leaves nothing to tell.
        if counts.len() == sizes.len() {
            return;
        }
        let usual = |(&(own, policy), &(count, installed)): (&(u64, u64), &(u32, &'a Policy))| {
            let size = sizes.get(&own).copied().unwrap_or_default();
            (size >= LEAST_TO_COMPARE && count > size / 2).then_some((own, (policy, installed)))
        };
        let usual: HashMap<u64, (u64, &'a Policy)> = counts.iter().filter_map(usual).collect();
        for (own, policy, about, installed) in &self.seen {
            let Some((most, others)) = usual.get(own).filter(|(most, _)| most != policy) else { continue };
            debug_assert_ne!(most, policy);
            scan.tell(about, Kind::PolicyDiffers, || {
                let (smart, virtual_account) = account(about).unwrap_or_default();
                let (own, others) = (shown(installed), shown(others));
                Told::new(format!("{own} is installed; most instances of {smart} / {virtual_account} have {others}"))
                    .with([Evidence::Printed(printed(installed))])
            });
        }
    }
}

fn account<'a>(about: &About<'a>) -> Option<(&'a str, &'a str)> {
    let stated = about.device.map(|device| &device.account);
    let told = about.instance.state.as_ref();
    let smart = stated.and_then(|stated| stated.smart_account.as_deref());
    let virtual_account = stated.and_then(|stated| stated.virtual_account.as_deref());
    Some((
        smart.or(told.and_then(|told| told.smart_account.as_deref()))?,
        virtual_account.or(told.and_then(|told| told.virtual_account.as_deref()))?,
    ))
}

/// Name and numbers; when it was installed and in which words it was printed makes no other policy of it.
fn digest(policy: &Policy) -> u64 {
    let mut own = Fnv::default();
    (&policy.name, policy.ack_required).hash(&mut own);
    for class in LicenceClass::ALL {
        let days = policy
            .class(class)
            .map(|days| (days.first_report_days, days.reporting_frequency_days, days.report_on_change_days));
        days.hash(&mut own);
    }
    own.finish()
}

fn shown(policy: &Policy) -> String {
    let name = match &policy.name {
        Some(name) => format!("policy '{}'", name.escape_debug()),
        None => format!("the {} policy", policy.source.as_deref().unwrap_or("unnamed")),
    };
    format!("{name} ({})", numbers(policy))
}

/// First report, frequency and change of the two classes that nearly every device has.
fn numbers(policy: &Policy) -> String {
    let days = |days: Option<u32>| days.map_or_else(|| "-".to_owned(), |days| days.to_string());
    let class = |class: Option<ClassPolicy>| {
        let ClassPolicy { first_report_days, reporting_frequency_days, report_on_change_days } =
            class.unwrap_or_default();
        [first_report_days, reporting_frequency_days, report_on_change_days].map(days).join("/")
    };
    format!("perpetual {}, subscription {}", class(policy.perpetual), class(policy.subscription))
}

fn printed(policy: &Policy) -> String {
    format!("Policy name: {}", policy.name.as_deref().unwrap_or("not told"))
}

/// Two addresses of one chassis, or two chassis of one pair.
pub(super) fn duplicates(scan: &mut Scan<'_>, index: &Index<'_>) {
    let mut listed: BTreeMap<&Udi, Vec<usize>> = BTreeMap::new();
    for (udi, first, again) in &index.twice {
        let places = listed.entry(udi).or_default();
        if places.is_empty() {
            places.push(*first);
        }
        places.push(*again);
    }
    for (udi, places) in listed {
        if scan.fleet.instances.get(udi).is_none_or(|instance| instance.retired.is_some()) {
            continue;
        }
        let devices: Vec<_> = places.iter().filter_map(|at| index.watched(*at)).collect();
        let names: Vec<String> = devices.iter().map(|device| quoted(&device.name)).collect();
        let told = Told::new(format!("{} of the inventory are one instance, {udi}", names.join(" and ")));
        let (kind, subject) = (Kind::DuplicateInstance, Subject::Instance(udi.clone()));
        scan.tell_of(kind, subject, devices.first().copied(), kind.severity(), told);
    }
}

fn quoted(name: &DeviceName) -> String {
    format!("'{name}'")
}

/// License On-Prem's own duty.
pub(super) fn on_prem(scan: &mut Scan<'_>) {
    let (fleet, kind) = (scan.fleet, Kind::OnPremSyncOverdue);
    for (name, server) in &fleet.on_prem {
        let after = |days: i64| SignedDuration::from_hours(24 * days);
        if !scan.past(server.synced, after(WARNS_AFTER)) {
            continue;
        }
        let removed = scan.past(server.synced, after(REMOVED_AFTER));
        let severity = if removed { Severity::Critical } else { Severity::Warning };
        let limit = server.synced.checked_add(after(REMOVED_AFTER)).unwrap_or(server.synced);
        let (synced, limit) = (day(server.synced), day(limit));
        let told = Told::new(format!(
            "it last synchronised on {synced}; Cisco warns after {WARNS_AFTER} days and removes it after \
             {REMOVED_AFTER}, on {limit}"
        ))
        .with([Evidence::Event { at: server.told, what: "told of its synchronisation".to_owned() }]);
        scan.tell_of(kind, Subject::OnPrem(name.clone()), None, severity, told);
    }
}
