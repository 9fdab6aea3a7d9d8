//! The deadline register: one row an instance, soonest deadline first.

use std::collections::{BTreeSet, HashMap, HashSet};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::bundle;
use super::deadline::{self, Basis, Contact, ObligationState, Standing};
use super::fleet::{Fleet, Instance, OnPrem};
use super::instance::{DeviceName, Site, Udi};
use super::on_prem;
use super::parts;
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
    /// The License On-Prem server whose own duty this row is; all that is about devices is `null` then.
    #[serde(default)]
    pub on_prem: Option<String>,
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
    /// When its obligation ended by a person's word.
    #[serde(default)]
    pub retired: Option<Timestamp>,
}

impl Row {
    /// What a person calls it: the device's name, else its UDI, or the On-Prem server's name.
    pub fn name(&self) -> String {
        let instance = || self.instance.as_ref().map(|own| Udi::new(&own.pid, &own.sn).to_string());
        let on_prem = || self.on_prem.as_ref().map(|name| Subject::OnPrem(name.clone()).to_string());
        self.device.as_ref().map(ToString::to_string).or_else(instance).or_else(on_prem).unwrap_or_default()
    }
}

/// The whole register at the instant `at`; `now` is the present, against which contact is judged. Without what is
/// retired, unless the inventory lists it.
pub fn rows(fleet: &Fleet, watched: &[Watched], settings: &Settings, at: Timestamp, now: Timestamp) -> Vec<Row> {
    let open = Open::of(fleet, at);
    let listed = |device: &Watched| {
        let instance = fleet.of_device(&device.name);
        (instance, row(fleet, &open, instance, Some(device), settings, at, now))
    };
    // By their places in memory, which are cheaper to compare than their names.
    let mut shown: HashSet<*const Instance> = HashSet::with_capacity(watched.len());
    let mut rows: Vec<Row> = Vec::with_capacity(watched.len());
    for (instance, row) in parts::each(watched, listed) {
        shown.extend(instance.map(std::ptr::from_ref));
        rows.push(row);
    }
    let gone = fleet.instances.values().map(|instance| &**instance);
    let gone = gone.filter(|one| one.retired.is_none() && !shown.contains(&std::ptr::from_ref(*one)));
    rows.extend(gone.map(|instance| row(fleet, &open, Some(instance), None, settings, at, now)));
    rows.extend(fleet.on_prem.iter().map(|(name, server)| on_prem(name, server, at)));
    // Rows are large: their keys are sorted, and each row is moved once.
    rows.sort_by_cached_key(|row| (row.due.is_none(), row.due, row.device.clone()));
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

/// What is retired and no longer in the inventory, the latest first.
pub fn retired(fleet: &Fleet, watched: &[Watched], settings: &Settings, at: Timestamp, now: Timestamp) -> Vec<Row> {
    let listed: BTreeSet<_> = watched.iter().filter_map(|device| Some(&fleet.of_device(&device.name)?.udi)).collect();
    let ended = fleet.instances.values().filter(|one| one.retired.is_some() && !listed.contains(&one.udi));
    let open = Open::of(fleet, at);
    let mut rows: Vec<Row> = ended.map(|instance| row(fleet, &open, Some(instance), None, settings, at, now)).collect();
    rows.sort_by_key(|row| std::cmp::Reverse(row.retired));
    rows
}

/// The row of a License On-Prem server.
pub fn on_prem(name: &str, server: &OnPrem, at: Timestamp) -> Row {
    let standing = on_prem::standing(server, at);
    Row {
        device: None,
        on_prem: Some(name.to_owned()),
        instance: None,
        os: None,
        software: None,
        site: Site::default(),
        smart_account: None,
        virtual_account: None,
        model: Model::Unknown,
        transport: None,
        reporter: None,
        mode: None,
        state: standing.state,
        contact: Contact::Never,
        due: standing.due,
        leave_by: standing.leave_by,
        days_left: standing.days_left.map(tenth),
        basis: standing.basis,
        reason: standing.reason.to_string(),
        policy: None,
        last_ack: None,
        last_contact: None,
        last_collected: None,
        reports_waiting: 0,
        violations: if standing.state == ObligationState::Overdue {
            vec![Kind::OnPremSyncOverdue.to_string()]
        } else {
            Vec::new()
        },
        trouble: None,
        computed: None,
        agrees: None,
        clock_skew_seconds: None,
        retired: None,
    }
}

fn tenth(days: f64) -> f64 {
    (days * 10.0).round() / 10.0
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
    let trouble = if device.is_none() { instance.and_then(gone) } else { trouble };
    let account = bundle::account(device, instance);
    let last_ack = state.and_then(|state| state.usage_reporting.last_ack.as_ref()).and_then(|stamp| stamp.utc);
    let violations = open.violations(name, instance.zip(standing.as_ref()), device, settings, at);
    let obligation = standing.as_ref().map_or(ObligationState::Unknown, |standing| standing.state);
    Row {
        device: name.cloned(),
        on_prem: None,
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
        days_left: standing.as_ref().and_then(|standing| standing.days_left).map(tenth),
        basis: standing.as_ref().map_or(Basis::Unknown, |standing| standing.basis),
        computed: standing.as_ref().and_then(|standing| standing.computed),
        agrees: standing.as_ref().and_then(|standing| standing.agrees),
        reason: standing.map_or_else(|| unknown(fleet, device), |standing| standing.reason.to_string()),
        policy: state.and_then(|state| state.policy.as_ref()).and_then(|policy| policy.name.clone()),
        last_ack,
        last_contact,
        last_collected: instance.and_then(|instance| instance.last_collected),
        reports_waiting: instance.map_or(0, |instance| instance.waiting().count()),
        violations,
        trouble,
        clock_skew_seconds: instance.and_then(|instance| instance.clock_skew_seconds),
        retired: instance.and_then(|instance| instance.retired.as_ref()).map(|retired| retired.at),
    }
}

/// What an instance that the inventory does not list is.
fn gone(instance: &Instance) -> Option<String> {
    if instance.retired.is_some() {
        return None;
    }
    let lost = match instance.device {
        Some(_) => "no longer in the inventory",
        None => "no device of the inventory is it, or another chassis has its name now",
    };
    Some(format!("{lost}; what is owed stays owed"))
}

/// Why nothing is known of a device of the inventory.
fn unknown(fleet: &Fleet, device: Option<&Watched>) -> String {
    match device.and_then(|device| fleet.told_by(&device.name)).and_then(|instance| instance.device.as_ref()) {
        Some(other) => format!("it is the product instance that is listed as '{other}'"),
        None => "the device was never reached".to_owned(),
    }
}

#[cfg(test)]
pub(in crate::domain) mod tests {
    use super::*;
    use crate::domain::event::{DeviceIdentified, Event, Fact};
    use crate::domain::plan::tests::{settings, watched};

    const NOW: &str = "2026-03-01T00:00:00Z";

    /// The row of an invented device with this deadline, as of [`NOW`].
    pub(in crate::domain) fn row(device: &str, site: &str, due: &str, lead_days: i64) -> Row {
        let (due, now): (Timestamp, Timestamp) = (due.parse().unwrap(), NOW.parse().unwrap());
        let server = OnPrem { synced: due, note: None, told: now };
        let state = if due < now { ObligationState::Overdue } else { ObligationState::Ok };
        Row {
            device: Some(device.into()),
            on_prem: None,
            instance: Some(InstanceRef { pid: "C9300-24T".to_owned(), sn: format!("FOC-{device}"), uuid: None }),
            site: Site(site.to_owned()),
            reporter: Some(Reporter::Collector),
            mode: Some(Mode::Deliver),
            contact: Contact::Ok,
            state,
            due: Some(due),
            leave_by: Some(due - SignedDuration::from_hours(24 * lead_days)),
            days_left: Some(tenth(due.duration_since(now).as_secs_f64() / 86_400.0)),
            basis: Basis::DeviceStated,
            reason: "stated by the device".to_owned(),
            ..super::on_prem("", &server, now)
        }
    }

    #[test]
    fn a_row_is_called_by_device_else_instance_else_server() {
        let mut row = row("edge-1", "a", "2026-06-01T00:00:00Z", 10);
        assert_eq!(row.name(), "edge-1");
        row.device = None;
        assert_eq!(row.name(), "PID:C9300-24T,SN:FOC-edge-1");
        let server = OnPrem { synced: NOW.parse().unwrap(), note: None, told: NOW.parse().unwrap() };
        assert_eq!(super::on_prem("ssm-1", &server, NOW.parse().unwrap()).name(), "On-Prem ssm-1");
    }

    fn identified(device: &str, sn: &str) -> Fact {
        Fact::DeviceIdentified(DeviceIdentified {
            device: device.into(),
            site: Site::default(),
            udi: Udi::new("C9300-24T", sn),
            uuid: None,
            members: Vec::new(),
            os: "ios-xe".to_owned(),
            software: None,
            hostname: None,
            clock_skew_seconds: None,
        })
    }

    /// Name, what keeps it from being in order, and why it stands so, of each row.
    fn told(facts: &[Fact], inventory: &[&str]) -> Vec<(String, String, String)> {
        let now: Timestamp = NOW.parse().unwrap();
        let mut fleet = Fleet::default();
        for fact in facts {
            fleet.apply(&Event { by: None, at: now, fact: fact.clone() });
        }
        let watched: Vec<Watched> = inventory.iter().map(|name| watched(name, Mode::Deliver, 0)).collect();
        let settings = settings();
        let mut rows = rows(&fleet, &watched, &settings, now, now);
        rows.sort_by_key(Row::name);
        rows.into_iter().map(|row| (row.name(), row.trouble.unwrap_or_default(), row.reason)).collect()
    }

    #[test]
    fn a_chassis_whose_name_another_took_is_listed_once_and_without_it() {
        let rows = told(&[identified("edge-1", "FOC1"), identified("edge-1", "FOC2")], &["edge-1"]);
        let names: Vec<&str> = rows.iter().map(|row| row.0.as_str()).collect();
        assert_eq!(names, ["PID:C9300-24T,SN:FOC1", "edge-1"]);
        assert!(rows[0].1.contains("another chassis has its name now; what is owed stays owed"), "{rows:?}");
    }

    #[test]
    fn a_move_is_one_row_and_the_old_entry_says_whose_it_is() {
        let facts = [identified("edge-1", "FOC1"), identified("edge-9", "FOC1")];
        let rows = told(&facts, &["edge-1", "edge-9"]);
        assert_eq!(rows.len(), 2);
        assert_eq!(
            (rows[0].0.as_str(), rows[0].2.as_str()),
            ("edge-1", "it is the product instance that is listed as 'edge-9'")
        );
        assert!(rows[1].2.contains("neither a policy nor a deadline is known"), "{rows:?}");
        let off: Vec<String> = told(&facts, &["edge-9"]).into_iter().map(|row| row.0).collect();
        assert_eq!(off, ["edge-9"]);
        assert!(told(&facts, &[])[0].1.contains("no longer in the inventory"));
    }
}
