//! The deadline register: one row an instance, soonest deadline first.

mod row;

use std::collections::{HashMap, HashSet};

use jiff::{SignedDuration, Timestamp};

use super::deadline::{self, ObligationState, Standing};
use super::fleet::{Fleet, Instance, OnPrem};
use super::instance::{DeviceName, Site, Udi};
use super::on_prem;
use super::parts;
use super::plan::{Settings, Watched};
use super::violation::{Kind, Stage, Subject, find};

pub use row::{InstanceRef, Row, on_prem, row};

/// The register at one instant. What stands in it, and in which order, is settled first; rows, which are large, are
/// made when they are read.
pub struct Register<'a> {
    fleet: &'a Fleet,
    open: Open<'a>,
    settings: &'a Settings,
    at: Timestamp,
    now: Timestamp,
    entries: Vec<Entry<'a>>,
    retired: Vec<Entry<'a>>,
}

/// What the register is about in one row, and how it stands.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    about: About<'a>,
    pub state: ObligationState,
    pub due: Option<Timestamp>,
}

#[derive(Clone, Copy, Debug)]
enum About<'a> {
    /// A device of the inventory, and the instance behind it where that is known.
    Device(&'a Watched, Option<&'a Instance>),
    /// An instance whose device is not in the inventory.
    Gone(&'a Instance),
    OnPrem(&'a str, &'a OnPrem),
}

impl<'a> Entry<'a> {
    /// A License On-Prem server is of no site.
    pub fn site(&self) -> Site {
        match self.about {
            About::Device(device, _) => device.site.clone(),
            About::Gone(instance) => instance.site.clone(),
            About::OnPrem(..) => Site::default(),
        }
    }

    /// Is it a License On-Prem server's own duty?
    pub fn is_on_prem(&self) -> bool {
        matches!(self.about, About::OnPrem(..))
    }

    fn device(&self) -> Option<&'a DeviceName> {
        match self.about {
            About::Device(device, _) => Some(&device.name),
            About::Gone(instance) => instance.device.as_ref(),
            About::OnPrem(..) => None,
        }
    }

    fn retired(&self) -> Option<Timestamp> {
        match self.about {
            About::Gone(instance) => instance.retired.as_ref().map(|retired| retired.at),
            About::Device(..) | About::OnPrem(..) => None,
        }
    }
}

impl<'a> Register<'a> {
    /// All at the instant `at`; `now` is the present, against which contact is judged. Without what is retired, unless
    /// the inventory lists it.
    pub fn of(fleet: &'a Fleet, watched: &'a [Watched], settings: &'a Settings, at: Timestamp, now: Timestamp) -> Self {
        let entry = |about: About<'a>, instance: Option<&Instance>, lead| {
            let standing = instance.map(|instance| deadline::standing(instance, lead, &settings.rules, at));
            let state = standing.as_ref().map_or(ObligationState::Unknown, |standing| standing.state);
            Entry { about, state, due: standing.and_then(|standing| standing.due) }
        };
        let listed = |device: &'a Watched| {
            let instance = fleet.of_device(&device.name);
            (instance, entry(About::Device(device, instance), instance, device.exchange_lead))
        };
        // By their places in memory, which are cheaper to compare than their names.
        let mut shown: HashSet<*const Instance> = HashSet::with_capacity(watched.len());
        let mut entries: Vec<Entry<'a>> = Vec::with_capacity(watched.len());
        for (instance, listed) in parts::each(watched, listed) {
            shown.extend(instance.map(std::ptr::from_ref));
            entries.push(listed);
        }
        let (ended, gone): (Vec<&'a Instance>, Vec<&'a Instance>) = fleet
            .instances
            .values()
            .map(|instance| &**instance)
            .filter(|one| !shown.contains(&std::ptr::from_ref(*one)))
            .partition(|one| one.retired.is_some());
        entries.extend(gone.into_iter().map(|one| entry(About::Gone(one), Some(one), SignedDuration::ZERO)));
        entries.extend(fleet.on_prem.iter().map(|(name, server)| {
            let standing = on_prem::standing(server, at);
            Entry { about: About::OnPrem(name, server), state: standing.state, due: standing.due }
        }));
        entries.sort_by(|a, b| {
            let key = |entry: &Entry<'a>| (entry.due.is_none(), entry.due);
            key(a).cmp(&key(b)).then_with(|| a.device().cmp(&b.device()))
        });
        let mut retired: Vec<Entry<'a>> =
            ended.into_iter().map(|one| entry(About::Gone(one), Some(one), SignedDuration::ZERO)).collect();
        retired.sort_by_key(|entry| std::cmp::Reverse(entry.retired()));
        Register { fleet, open: Open::of(fleet, at), settings, at, now, entries, retired }
    }

    /// Adds what is retired and no longer in the inventory, after the rest, the latest first.
    pub fn with_retired(mut self) -> Self {
        self.entries.append(&mut self.retired);
        self
    }

    /// Keeps the rows that are asked for.
    pub fn retain(&mut self, asked: impl FnMut(&Entry<'a>) -> bool) {
        self.entries.retain(asked);
    }

    /// The rows, `size` at a time.
    pub fn chunks(&self, size: usize) -> impl Iterator<Item = Vec<Row>> {
        self.entries.chunks(size).map(|some| some.iter().map(|entry| self.row(entry)).collect())
    }

    /// All rows, made by several threads.
    pub fn rows(&self) -> Vec<Row> {
        parts::each(&self.entries, |entry| self.row(entry))
    }

    fn row(&self, entry: &Entry<'a>) -> Row {
        let of = |instance, device| row(self.fleet, &self.open, instance, device, self.settings, self.at, self.now);
        match entry.about {
            About::Device(device, instance) => of(instance, Some(device)),
            About::Gone(instance) => of(Some(instance), None),
            About::OnPrem(name, server) => on_prem(name, server, self.at),
        }
    }
}

/// The whole register, as [`Register::of`] has it.
pub fn rows(fleet: &Fleet, watched: &[Watched], settings: &Settings, at: Timestamp, now: Timestamp) -> Vec<Row> {
    Register::of(fleet, watched, settings, at, now).rows()
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

#[cfg(test)]
pub(in crate::domain) mod tests {
    use super::*;
    use crate::domain::deadline::{Basis, Contact};
    use crate::domain::event::{Event, Fact, made};
    use crate::domain::plan::tests::{settings, watched};
    use crate::domain::settings::{Mode, Reporter};

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
            site: Site::from(site),
            reporter: Some(Reporter::Collector),
            mode: Some(Mode::Deliver),
            contact: Contact::Ok,
            state,
            due: Some(due),
            leave_by: Some(due - SignedDuration::from_hours(24 * lead_days)),
            days_left: Some(row::tenth(due.duration_since(now).as_secs_f64() / 86_400.0)),
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
        Fact::DeviceIdentified(made::identified(device, Udi::new("C9300-24T", sn)))
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
