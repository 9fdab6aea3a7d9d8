//! What is to be done now, and when to look again: one pure function.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use super::alert;
use super::beside::beside;
use super::deadline::{self, Rules};
use super::delivery;
use super::fleet::{AnswerKey, Fleet};
use super::instance::{Account, DeviceName, Site};
use super::pacing::{CircuitRule, Pacing};
use super::settings::{Mode, Reporter};
use super::submission::{self, Gate};
use super::violation;
use super::window::Windows;

/// What the inventory says of one device, as far as decisions need it.
#[derive(Clone, Debug, PartialEq)]
pub struct Watched {
    pub name: DeviceName,
    pub site: Site,
    pub mode: Mode,
    pub reporter: Reporter,
    /// `false`: no way in; a person carries everything.
    pub within_reach: bool,
    pub credential: Option<Arc<str>>,
    pub exchange_lead: SignedDuration,
    /// Where the operator states it; else the device's own word counts.
    pub account: Account,
    /// Its place within the time over which one run is spread; stable for its name.
    pub offset: SignedDuration,
    /// From 0 to 1, stable for its name: by how much its waits differ from those of others.
    pub jitter: f64,
    /// When the plan may write to it.
    pub windows: Windows,
    /// The operator's words.
    pub tags: Vec<String>,
    /// A word of the operator's, such as production.
    pub environment: Option<Arc<str>>,
}

/// The device of that name in a list that is in the order of names.
pub fn watched_as<'a>(watched: &'a [Watched], name: &DeviceName) -> Option<&'a Watched> {
    let at = watched.binary_search_by(|device| device.name.cmp(name)).ok()?;
    watched.get(at)
}

/// The numbers that decisions rest on.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    pub rules: Rules,
    pub stale_after: SignedDuration,
    /// Closing by the plan starts this long before leave-by.
    pub close_within: SignedDuration,
    /// The wait after the first failed delivery; doubled after each further one.
    pub retry_after: SignedDuration,
    pub attempts: u32,
    /// So many devices refusing one credential put all its users on hold.
    pub credential_hold_after: usize,
    /// Doubled by each try in a row that did not reach a device: so long it is left alone.
    pub back_off: SignedDuration,
    pub circuit: CircuitRule,
    /// Upstreams, in the order of names.
    pub gates: Vec<Gate>,
    pub violations: violation::Rules,
    pub alerts: alert::Rules,
}

/// A scheduled pass over the fleet that is due or under way.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Run {
    pub due: Timestamp,
    /// When the next one is due: what would be put off to then is left to it.
    pub until: Timestamp,
    /// Devices tried in this run, whatever came of it.
    pub tried: BTreeSet<DeviceName>,
}

/// One device to poll.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PollTask {
    pub device: DeviceName,
    /// Close its reports first: leave-by is near and the rules allow it.
    pub close: bool,
}

/// What to do now.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    pub poll: Vec<PollTask>,
    pub deliver: Vec<AnswerKey>,
    /// The upstreams at which something is due: reports to submit, or answers to ask for.
    pub upstreams: Vec<String>,
    /// The run has nothing left to try.
    pub run_ended: bool,
    /// Look again at this instant at the latest, if anything is waiting.
    pub wake: Option<Timestamp>,
}

/// Decides. `watched` is in the order of names, `next_run` the next instant of the schedule after `now`.
pub fn plan(
    fleet: &Fleet,
    watched: &[Watched],
    settings: &Settings,
    pacing: &Pacing,
    run: Option<&Run>,
    next_run: Option<Timestamp>,
    now: Timestamp,
) -> Plan {
    let mut plan = Plan { wake: next_run, ..Plan::default() };
    let mut wake = |at: Timestamp| plan.wake = Some(plan.wake.map_or(at, |known| known.min(at)));
    if let Some(run) = run {
        let mut later = false;
        let mut contact = beside(&fleet.contacts);
        let mut tried = beside(run.tried.iter().map(|name| (name, ())));
        for device in watched {
            let answered = contact(&device.name).is_some_and(|last| *last >= run.due);
            let tried = tried(&device.name).is_some();
            if !device.within_reach || answered || tried || hold(fleet, device, settings).is_some() {
                continue;
            }
            let turn = run.due.checked_add(device.offset).unwrap_or(run.due);
            if turn > now {
                later = true;
                wake(turn);
                continue;
            }
            let put_off = pacing.not_before(&device.name, &device.site, settings.back_off, device.jitter);
            if let Some(at) = put_off.filter(|at| *at > now) {
                if at < run.until {
                    later = true;
                    wake(at);
                }
                continue;
            }
            let wanted = may_close(fleet, device, settings, now) && leave_by_is_near(fleet, device, settings, now);
            // One that is to be closed has its turn in its window, where that opens before the next run.
            let opening = if wanted { device.windows.next_opening(now) } else { None };
            let opening = opening.filter(|at| *at == now || *at < run.until);
            if let Some(at) = opening.filter(|at| *at > now) {
                later = true;
                wake(at);
                continue;
            }
            let close = opening.is_some();
            plan.poll.push(PollTask { device: device.name.clone(), close });
        }
        plan.run_ended = !later && plan.poll.is_empty();
    }
    for (key, answer) in fleet.answers.iter().filter(|(_, answer)| !answer.is_settled()) {
        match delivery::next_try(fleet, watched, settings, pacing, answer, now) {
            Some(at) if at <= now => plan.deliver.push(key.clone()),
            Some(at) => wake(at),
            None => {}
        }
    }
    for gate in &settings.gates {
        if submission::hold(fleet, gate, settings.credential_hold_after).is_some() {
            continue;
        }
        let mut due = submission::due(fleet, watched, gate, &pacing.upstreams, settings, false, now);
        if let Some(at) = due.wake {
            wake(at);
        }
        // What a run collects goes out together when it has ended.
        if run.is_some() && !plan.run_ended {
            due.offer.clear();
        }
        if !due.is_empty() {
            plan.upstreams.push(gate.upstream.clone());
        }
    }
    plan
}

/// Why nothing is sent to a device, in one sentence; `None` when it may be polled.
pub fn hold(fleet: &Fleet, device: &Watched, settings: &Settings) -> Option<String> {
    let name = device.credential.as_ref()?;
    let credential = fleet.credentials.get(&**name);
    if credential.is_some_and(|credential| credential.refused_by.contains(&device.name)) {
        return Some(format!("it refused credential '{name}'; `credential release {name}` lets it be tried again"));
    }
    let refusals = credential.map_or(0, |credential| credential.refused_by.len());
    (refusals >= settings.credential_hold_after).then(|| {
        format!("{refusals} devices refused credential '{name}', so it is held; `credential release {name}` ends that")
    })
}

/// May reports be closed on this device now? Not again before the last closed ones are
/// acknowledged or 30 days have passed: every close makes one more report a licence.
pub fn may_close(fleet: &Fleet, device: &Watched, settings: &Settings, now: Timestamp) -> bool {
    if device.mode < Mode::Collect || device.reporter != Reporter::Collector || hold(fleet, device, settings).is_some()
    {
        return false;
    }
    let last_close = fleet.devices.get(&device.name).and_then(|known| known.last_close);
    let Some(last_close) = last_close else { return true };
    // Whoever closes looks first whether the device lists something that is not collected yet.
    let all_acknowledged = fleet.of_device(&device.name).is_some_and(|instance| instance.waiting().next().is_none());
    all_acknowledged || now.duration_since(last_close) >= SignedDuration::from_hours(30 * 24)
}

fn leave_by_is_near(fleet: &Fleet, device: &Watched, settings: &Settings, now: Timestamp) -> bool {
    let Some(instance) = fleet.of_device(&device.name) else { return false };
    let standing = deadline::standing(instance, device.exchange_lead, &settings.rules, now);
    standing.leave_by.is_some_and(|leave_by| leave_by.duration_since(now) <= settings.close_within)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::domain::digest::Sha256;
    use crate::domain::event::{CredentialRefused, DeviceWritten, Event, Fact, Write, made};
    use crate::domain::instance::Udi;
    use crate::domain::pacing::{Circuit, Setback};
    use crate::domain::policy::Policy;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    pub(in crate::domain) fn watched(name: &str, mode: Mode, minutes: i64) -> Watched {
        Watched {
            name: name.into(),
            site: Site::default(),
            mode,
            reporter: Reporter::Collector,
            within_reach: true,
            credential: Some("net".into()),
            exchange_lead: SignedDuration::from_hours(240),
            account: Account::default(),
            offset: SignedDuration::from_mins(minutes),
            jitter: 0.0,
            windows: Windows::default(),
            tags: Vec::new(),
            environment: None,
        }
    }

    pub(in crate::domain) fn settings() -> Settings {
        Settings {
            rules: Rules {
                due_soon: SignedDuration::from_hours(720),
                ios_xe: Policy::cisco_default(),
                ios_xr: Policy::cisco_default(),
                nx_os: Policy::cisco_default(),
            },
            stale_after: SignedDuration::from_hours(72),
            close_within: SignedDuration::from_hours(336),
            retry_after: SignedDuration::from_hours(1),
            attempts: 5,
            credential_hold_after: 3,
            back_off: SignedDuration::from_mins(15),
            circuit: CircuitRule { after: 2, pause: SignedDuration::from_mins(5) },
            gates: Vec::new(),
            violations: violation::Rules::default(),
            alerts: alert::tests::rules(),
        }
    }

    pub(in crate::domain) fn event(when: &str, fact: Fact) -> Event {
        Event { by: None, at: at(when), fact }
    }

    pub(in crate::domain) fn identified(name: &str) -> Fact {
        Fact::DeviceIdentified(made::identified(name, Udi::new("C9300-24T", format!("FOC-{name}"))))
    }

    #[test]
    fn a_run_is_spread_and_ends_when_everybody_was_tried() {
        let devices = [watched("a", Mode::Observe, 0), watched("b", Mode::Observe, 20)];
        let mut run = Run { due: at("2026-01-01T03:00:00Z"), ..Run::default() };
        let next = Some(at("2026-01-02T03:00:00Z"));
        let fleet = Fleet::default();
        let first =
            plan(&fleet, &devices, &settings(), &Pacing::default(), Some(&run), next, at("2026-01-01T03:00:00Z"));
        assert_eq!(first.poll, [PollTask { device: "a".into(), close: false }]);
        assert_eq!(first.wake, Some(at("2026-01-01T03:20:00Z")));
        run.tried.insert("a".into());
        let second =
            plan(&fleet, &devices, &settings(), &Pacing::default(), Some(&run), next, at("2026-01-01T03:21:00Z"));
        assert_eq!(second.poll.len(), 1);
        assert!(!second.run_ended);
        run.tried.insert("b".into());
        let third =
            plan(&fleet, &devices, &settings(), &Pacing::default(), Some(&run), next, at("2026-01-01T03:22:00Z"));
        assert!(third.run_ended && third.poll.is_empty());
        assert_eq!(third.wake, next);
    }

    #[test]
    fn three_refusals_hold_a_credential_for_everyone_and_one_for_the_device() {
        let devices: Vec<_> = ["a", "b", "c", "d"].map(|name| watched(name, Mode::Observe, 0)).into();
        let mut fleet = Fleet::default();
        let refuse = |name: &str| {
            let fact = CredentialRefused { credential: "net".to_owned(), device: name.into() };
            event("2026-01-01T03:00:00Z", Fact::CredentialRefused(fact))
        };
        fleet.apply(&refuse("a"));
        assert!(hold(&fleet, &devices[0], &settings()).unwrap().contains("it refused"));
        assert!(hold(&fleet, &devices[3], &settings()).is_none());
        fleet.apply(&refuse("b"));
        fleet.apply(&refuse("c"));
        assert!(hold(&fleet, &devices[3], &settings()).unwrap().contains("credential release net"));
        let run = Run { due: at("2026-01-01T03:00:00Z"), ..Run::default() };
        let plan =
            plan(&fleet, &devices, &settings(), &Pacing::default(), Some(&run), None, at("2026-01-01T04:00:00Z"));
        assert!(plan.poll.is_empty() && plan.run_ended);
    }

    #[test]
    fn closing_is_for_collectors_and_not_again_within_thirty_days() {
        let mut fleet = Fleet::default();
        fleet.apply(&event("2026-01-01T00:00:00Z", identified("a")));
        let now = at("2026-01-10T00:00:00Z");
        assert!(!may_close(&fleet, &watched("a", Mode::Observe, 0), &settings(), now));
        let device = watched("a", Mode::Collect, 0);
        assert!(may_close(&fleet, &device, &settings(), now));
        let closed = DeviceWritten {
            device: "a".into(),
            write: Write::CloseReports,
            detail: String::new(),
            refused: None,
            unanswered: false,
        };
        fleet.apply(&event("2026-01-05T00:00:00Z", Fact::DeviceWritten(closed)));
        assert!(may_close(&fleet, &device, &settings(), now), "nothing waits");
        let instance = fleet.instances.values_mut().next().unwrap();
        let udi = instance.udi.clone();
        instance.owed.push(crate::domain::fleet::OwedReport {
            udi,
            report_id: crate::domain::report::ReportId(1),
            object: Sha256::ZERO,
            payload_sha256: Sha256::ZERO,
            entitlement_tag: None,
            report_type: crate::domain::report::ReportType::Entitlement,
            start: None,
            end: None,
            collected: now,
            state: None,
            presumed_acknowledged: false,
            bundle: None,
            change: None,
        });
        assert!(!may_close(&fleet, &device, &settings(), now));
        assert!(may_close(&fleet, &device, &settings(), at("2026-02-04T00:00:00Z")));
    }

    #[test]
    fn a_device_that_was_not_reached_waits_and_the_next_run_is_not_kept_waiting() {
        let devices = [watched("a", Mode::Observe, 0)];
        let run = Run { due: at("2026-01-01T03:00:00Z"), until: at("2026-01-01T04:00:00Z"), ..Run::default() };
        let lost = |failures| Pacing {
            setbacks: [("a".into(), Setback { failures, last: at("2026-01-01T02:45:00Z") })].into(),
            ..Pacing::default()
        };
        let next = Some(run.until);
        let ask = |pacing: &Pacing, now: &str| {
            plan(&Fleet::default(), &devices, &settings(), pacing, Some(&run), next, at(now))
        };
        // Half an hour after the first failure, an hour after the second: within this run.
        let waiting = ask(&lost(1), "2026-01-01T03:00:00Z");
        assert!(waiting.poll.is_empty() && !waiting.run_ended);
        assert_eq!(waiting.wake, Some(at("2026-01-01T03:15:00Z")));
        assert_eq!(ask(&lost(1), "2026-01-01T03:15:00Z").poll.len(), 1);
        assert_eq!(ask(&lost(2), "2026-01-01T03:00:00Z").wake, Some(at("2026-01-01T03:45:00Z")));
        // Two hours: left to another run.
        let left = ask(&lost(3), "2026-01-01T03:00:00Z");
        assert!(left.poll.is_empty() && left.run_ended);
        assert_eq!(left.wake, next);
        // However often it failed, a day later it is tried.
        let later = Run { due: at("2026-01-02T02:45:00Z"), ..run.clone() };
        let now = later.due;
        assert_eq!(plan(&Fleet::default(), &devices, &settings(), &lost(99), Some(&later), next, now).poll.len(), 1);
    }

    #[test]
    fn behind_an_open_circuit_everybody_waits_for_its_next_try() {
        let mut devices = ["a", "b"].map(|name| watched(name, Mode::Observe, 0));
        devices[0].site = Site::from("far");
        let mut circuit = Circuit::default();
        for _ in 0..2 {
            circuit.unreachable(at("2026-01-01T03:00:00Z"), settings().circuit);
        }
        let pacing = Pacing { circuits: [(devices[0].site.clone(), circuit)].into(), ..Pacing::default() };
        let run = Run { due: at("2026-01-01T03:00:00Z"), until: at("2026-01-01T04:00:00Z"), ..Run::default() };
        let ask = |now: &str| plan(&Fleet::default(), &devices, &settings(), &pacing, Some(&run), None, at(now));
        let first = ask("2026-01-01T03:01:00Z");
        assert_eq!(first.poll, [PollTask { device: "b".into(), close: false }]);
        assert_eq!(first.wake, Some(at("2026-01-01T03:05:00Z")));
        assert_eq!(ask("2026-01-01T03:05:00Z").poll.len(), 2);
    }

    #[test]
    fn a_device_to_be_closed_has_its_turn_in_its_window_if_that_opens_before_the_next_run() {
        let mut fleet = Fleet::default();
        fleet.apply(&event("2026-01-01T00:00:00Z", identified("a")));
        // The default policy's first report is owed within 90 days; two weeks before leave-by closing begins.
        let state =
            crate::domain::state::DeviceState { model: crate::domain::state::Model::Slp, ..near_its_deadline() };
        let udi = Udi::new("C9300-24T", "FOC-a");
        let read = crate::domain::event::StateRead { udi, state: Box::new(state) };
        fleet.apply(&event("2026-01-01T00:00:00Z", Fact::StateRead(read)));
        let ask = |windows: Windows, until: &str, now: &str| {
            let devices = [Watched { windows, ..watched("a", Mode::Collect, 0) }];
            let run = Run { due: at("2026-01-02T03:00:00Z"), until: at(until), ..Run::default() };
            plan(&fleet, &devices, &settings(), &Pacing::default(), Some(&run), None, at(now))
        };
        let closed = [PollTask { device: "a".into(), close: true }];
        let only_read = [PollTask { device: "a".into(), close: false }];
        let (day, hour) = ("2026-01-03T03:00:00Z", "2026-01-02T04:00:00Z");
        assert_eq!(ask(Windows::default(), day, "2026-01-02T05:00:00Z").poll, closed);
        let later = ask(nightly(), day, "2026-01-02T05:00:00Z");
        assert!(later.poll.is_empty() && !later.run_ended);
        assert_eq!(later.wake, Some(at("2026-01-02T22:00:00Z")));
        assert_eq!(ask(nightly(), day, "2026-01-02T22:00:00Z").poll, closed);
        assert_eq!(ask(nightly(), hour, "2026-01-02T05:00:00Z").poll, only_read);
    }

    pub(in crate::domain) fn nightly() -> Windows {
        Windows::new([("daily 22:00-04:00".parse().unwrap(), jiff::tz::TimeZone::UTC)])
    }

    fn near_its_deadline() -> crate::domain::state::DeviceState {
        let mut state = crate::domain::state::DeviceState::default();
        state.usage_reporting.next_ack_deadline =
            Some(crate::domain::state::Stamp::utc(at("2026-01-15T00:00:00Z")).into());
        state
    }
}
