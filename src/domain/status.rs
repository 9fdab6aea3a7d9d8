//! The deadline register: one row an instance, soonest deadline first.

use std::collections::{BTreeSet, HashMap};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::bundle;
use super::deadline::{self, Basis, Contact, ObligationState, Standing};
use super::fleet::{Fleet, Instance};
use super::instance::{DeviceName, Site, Udi};
use super::plan::{self, Settings, Watched};
use super::settings::{Mode, Reporter};
use super::state::Model;
use super::violation::{Kind, Stage, Subject, find};

/// An instance as the register shows it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InstanceRef {
    pub pid: String,
    pub sn: String,
    pub uuid: Option<String>,
}

/// One row of the register. The keys are part of the contract with other programs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    pub device: Option<DeviceName>,
    /// `null` until the device was reached for the first time.
    pub instance: Option<InstanceRef>,
    pub os: Option<String>,
    pub software: Option<String>,
    pub site: Site,
    pub smart_account: Option<String>,
    pub virtual_account: Option<String>,
    pub model: Model,
    pub transport: Option<String>,
    /// `null` for an instance whose device is no longer in the inventory.
    pub reporter: Option<Reporter>,
    pub mode: Option<Mode>,
    pub state: ObligationState,
    pub contact: Contact,
    pub due: Option<Timestamp>,
    pub leave_by: Option<Timestamp>,
    pub days_left: Option<f64>,
    pub basis: Basis,
    pub reason: String,
    pub policy: Option<String>,
    pub last_ack: Option<Timestamp>,
    pub last_contact: Option<Timestamp>,
    pub last_collected: Option<Timestamp>,
    pub reports_waiting: usize,
    pub violations: Vec<String>,
    /// What keeps the device from answering as it should, or us from asking.
    pub trouble: Option<String>,
    /// Our own rule as a cross-check of a stated deadline.
    pub computed: Option<Timestamp>,
    pub agrees: Option<bool>,
    /// So far the device's clock is ahead of ours; negative when it is behind.
    #[serde(default)]
    pub clock_skew_seconds: Option<i64>,
}

/// The whole register at the instant `at`; `now` is the present, against which contact is judged.
pub fn rows(fleet: &Fleet, watched: &[Watched], settings: &Settings, at: Timestamp, now: Timestamp) -> Vec<Row> {
    let open = Open::of(fleet, at);
    let mut shown = BTreeSet::new();
    let mut rows: Vec<Row> = Vec::with_capacity(watched.len());
    for device in watched {
        let instance = fleet.of_device(&device.name);
        if let Some(instance) = instance {
            shown.insert(&instance.udi);
        }
        rows.push(row(fleet, &open, instance, Some(device), settings, at, now));
    }
    let gone = fleet.instances.values().filter(|instance| !shown.contains(&instance.udi));
    rows.extend(gone.map(|instance| row(fleet, &open, Some(instance), None, settings, at, now)));
    rows.sort_by(|a, b| (a.due.is_none(), a.due, &a.device).cmp(&(b.due.is_none(), b.due, &b.device)));
    rows
}

/// The violations that are not resolved, by whom they are about.
#[derive(Debug, Default)]
pub struct Open<'a> {
    instances: HashMap<&'a Udi, Vec<Kind>>,
    devices: HashMap<&'a DeviceName, Vec<Kind>>,
}

impl<'a> Open<'a> {
    /// Those on record at `at`; an acknowledged one is still there.
    pub fn of(fleet: &'a Fleet, at: Timestamp) -> Self {
        let mut open = Open::default();
        for violation in fleet.violations.values().filter(|violation| violation.stage(at) != Stage::Resolved) {
            let kind = violation.found.kind;
            match &violation.found.subject {
                Subject::Instance(udi) => open.instances.entry(udi).or_default().push(kind),
                Subject::Device(name) => open.devices.entry(name).or_default().push(kind),
                Subject::OnPrem(_) => {}
            }
        }
        open
    }

    /// The words of a row. What follows from the deadline is judged at the row's own instant, whoever looked last;
    /// everything else is as it is on record.
    fn violations(
        &self,
        name: Option<&DeviceName>,
        standing: Option<(&Instance, &Standing<'_>)>,
        device: Option<&Watched>,
        settings: &Settings,
        at: Timestamp,
    ) -> Vec<String> {
        let of_instance = standing.and_then(|(instance, _)| self.instances.get(&instance.udi));
        let of_device = name.and_then(|name| self.devices.get(name));
        let recorded = of_instance.into_iter().chain(of_device).flatten().copied();
        let recorded = recorded.filter(|kind| !find::by_deadline(*kind));
        let judged = standing.into_iter();
        let judged =
            judged.flat_map(|(instance, standing)| find::obligation_kinds(instance, device, standing, settings, at));
        let mut kinds: Vec<Kind> = judged.chain(recorded).collect();
        kinds.sort();
        kinds.into_iter().map(|kind| kind.to_string()).collect()
    }
}

/// One row; at least one of `instance` and `device` is there.
pub fn row(
    fleet: &Fleet,
    open: &Open<'_>,
    instance: Option<&Instance>,
    device: Option<&Watched>,
    settings: &Settings,
    at: Timestamp,
    now: Timestamp,
) -> Row {
    let name = device.map(|device| &device.name).or(instance.and_then(|instance| instance.device.as_ref()));
    let known = name.and_then(|name| fleet.devices.get(name));
    let last_contact = name.and_then(|name| fleet.contacts.get(name).copied());
    let state = instance.and_then(|instance| instance.state.as_ref());
    let lead = device.map_or(SignedDuration::ZERO, |device| device.exchange_lead);
    let standing = instance.map(|instance| deadline::standing(instance, lead, &settings.rules, at));
    let trouble = known.and_then(|known| known.trouble.as_ref()).map(|trouble| trouble.cause.clone());
    let trouble = trouble.or_else(|| device.and_then(|device| plan::hold(fleet, device, settings)));
    let gone = || "no longer in the inventory; what is owed stays owed".to_owned();
    let trouble = if device.is_none() { Some(gone()) } else { trouble };
    let account = bundle::account(device, instance);
    let last_ack = state.and_then(|state| state.usage_reporting.last_ack.as_ref()).and_then(|stamp| stamp.utc);
    let violations = open.violations(name, instance.zip(standing.as_ref()), device, settings, at);
    let obligation = standing.as_ref().map_or(ObligationState::Unknown, |standing| standing.state);
    Row {
        device: name.cloned(),
        instance: instance.map(|instance| InstanceRef {
            pid: instance.udi.pid.to_string(),
            sn: instance.udi.sn.to_string(),
            uuid: instance.uuid.clone(),
        }),
        os: instance.and_then(|instance| instance.os.clone()),
        software: instance.and_then(|instance| instance.software.clone()),
        site: device.map(|device| device.site.clone()).or(instance.map(|i| i.site.clone())).unwrap_or_default(),
        smart_account: account.smart_account,
        virtual_account: account.virtual_account,
        model: state.map_or(Model::Unknown, |state| state.model),
        transport: state.and_then(|state| state.transport.as_ref()).and_then(|transport| transport.kind.clone()),
        reporter: device.map(|device| device.reporter),
        mode: device.map(|device| device.mode),
        state: obligation,
        contact: deadline::contact(last_contact, settings.stale_after, now),
        due: standing.as_ref().and_then(|standing| standing.due),
        leave_by: standing.as_ref().and_then(|standing| standing.leave_by),
        days_left: standing.as_ref().and_then(|standing| standing.days_left).map(|days| (days * 10.0).round() / 10.0),
        basis: standing.as_ref().map_or(Basis::Unknown, |standing| standing.basis),
        computed: standing.as_ref().and_then(|standing| standing.computed),
        agrees: standing.as_ref().and_then(|standing| standing.agrees),
        reason: standing
            .map_or_else(|| "the device was never reached".to_owned(), |standing| standing.reason.to_string()),
        policy: state.and_then(|state| state.policy.as_ref()).and_then(|policy| policy.name.clone()),
        last_ack,
        last_contact,
        last_collected: instance.and_then(|instance| instance.last_collected),
        reports_waiting: instance.map_or(0, |instance| instance.waiting().count()),
        violations,
        trouble,
        clock_skew_seconds: instance.and_then(|instance| instance.clock_skew_seconds),
    }
}
