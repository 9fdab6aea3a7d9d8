//! Faults of the accesses that talk to a command line or to models, while the daemon lives on: each is told with its
//! own cause, nothing of ours stays, no line stays taken, nobody else is disturbed, and everything ends acknowledged.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use lab::spec::Faces;
use lab::{Fault, Operation, Scope, Spec, specs};
use serde_json::Value;
use slp_collector::domain::event::Outcome;
use slp_collector::domain::fleet::{Answer, AnswerKey, AnswerStatus};
use slp_collector::domain::pacing::Pacing;
use slp_collector::domain::plan;
use slp_collector::flow::deliver::deliver;
use slp_collector::flow::{Clock, House};
use slp_collector::ledger;

use super::accesses::{all_is_settled, busy};
use super::troubles::{ALL, Trouble, When, mend};
use crate::daemon::Daemon;
use crate::support::site::{LIMITS, Ran, Site};

/// How long a line may stay taken behind a session's end.
const PATIENCE: Duration = Duration::from_secs(20);
/// Devices with which nothing is wrong.
const WELL: usize = 4;

fn name(at: usize) -> String {
    format!("dev-{at:02}")
}

fn trouble(name: &str) -> Option<&'static Trouble> {
    ALL.iter().enumerate().find(|(at, _)| self::name(*at) == name).map(|(_, trouble)| trouble)
}

fn fleet() -> Vec<Spec> {
    let mut specs: Vec<Spec> = ALL.iter().enumerate().map(|(at, one)| busy((one.spec)(&name(at)))).collect();
    specs.extend((0..WELL).map(|at| busy(specs::xr(&format!("well-{at}")))));
    for spec in &mut specs {
        // A login each, so that nobody is held for another.
        spec.user = format!("user-{}", spec.name);
    }
    specs
}

#[test]
fn each_fault_is_told_by_itself_and_everything_ends_acknowledged() {
    let limits = LIMITS.replace("10s", "20s");
    let poll = format!("{limits}concurrency = 8\nspread = \"0s\"\nschedule = \"0 0 1 1 *\"\n");
    let access = |spec: &Spec| trouble(&spec.name).map_or("auto", |trouble| trouble.access);
    let mut site = Site::entered(fleet(), &poll, |_| "deliver", access);
    let daemon = Daemon::start(&site, None);
    site.run(["poll", "--all"]).exits(0);
    site.advance(86_400);

    strike(&site, &[When::Poll, When::PollAllTheSame]);
    let polled = site.run(["poll", "--all", "--close", "--format", "json"]).exits(2);
    told(&failures(&polled), When::Poll);
    at_rest(&site);
    nothing_of_ours(&site, |trouble| trouble.when == When::Poll && trouble.what == "hangs while it saves");
    site.fleet.devices().for_each(mend);
    site.run(["poll", "--all", "--close"]).exits(0);
    at_rest(&site);
    nothing_of_ours(&site, |_| false);

    let bundle = site.bundle();
    let (answers, refusals) = site.upload(&bundle);
    assert_eq!(refusals, []);
    let files = site.download(&answers);
    site.advance(3600);
    strike(&site, &[When::Import, When::ImportAllTheSame]);
    let imported = site.import(&files, &[]).exits(2);
    let told_by_import = imported.out.lines().filter(|line| line.contains("not delivered"));
    let device = |line: &str| line.split(':').next().unwrap_or_default().to_owned();
    told(&told_by_import.map(|line| (device(line), line.to_owned())).collect(), When::Import);
    at_rest(&site);
    nothing_of_ours(&site, |_| false);
    site.fleet.devices().for_each(mend);

    assert_eq!(daemon.stop().0, Some(0));
    brought_again(&site);
    site.advance(3600);
    site.run(["poll", "--all"]).exits(0);
    at_rest(&site);

    all_is_settled(&site);
    let verified = ledger::verify(&site.ledger_dir()).unwrap();
    assert!(verified.is_sound() && verified.findings.is_empty(), "{:?}", verified.findings);
    for device in site.fleet.devices() {
        let (name, counters) = (device.name(), device.counters());
        assert_eq!(counters.logins_refused, 0, "{name}");
        // The device frees a line a moment after we have gone, and the next session may be there by then.
        assert!(counters.max_vtys <= 2, "{name}: {} lines at once", counters.max_vtys);
        // One that was left in the middle of an answer may still be at it when we come again.
        let most = if trouble(name).is_some_and(|trouble| trouble.when == When::Poll) { 2 } else { 1 };
        assert!(counters.max_in_flight <= most, "{name}: {} requests at once", counters.max_in_flight);
    }
}

/// What failed is brought again when the time for it has come, by nobody's asking.
fn brought_again(site: &Site) {
    let later = Timestamp::now() + SignedDuration::from_hours(2);
    let house = House::new(site.config(), site.ledger(), Clock::of(move || later));
    let waiting: Vec<AnswerKey> = {
        let fleet = house.ledger.fleet();
        let open = |(key, answer): (&AnswerKey, &Answer)| {
            (!matches!(answer.status, AnswerStatus::Confirmed(_))).then(|| key.clone())
        };
        let waiting = fleet.answers.iter().filter_map(open).collect();
        let plan = plan::plan(&fleet, &house.watched, &house.settings, &Pacing::default(), None, None, later);
        assert_eq!(plan.deliver, waiting, "each is tried again");
        waiting
    };
    assert_eq!(waiting.len(), ALL.iter().filter(|trouble| trouble.when == When::Import).count());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    for key in waiting {
        let delivered = runtime.block_on(deliver(&house, &key)).unwrap();
        assert!(matches!(delivered.outcome, Outcome::ConfirmedById | Outcome::ConfirmedByTime), "{delivered:?}");
    }
}

fn strike(site: &Site, when: &[When]) {
    for device in site.fleet.devices() {
        if let Some(trouble) = trouble(device.name()).filter(|trouble| when.contains(&trouble.when)) {
            (trouble.strike)(device);
        }
    }
}

/// The failures of `poll --format json`, by device, with whose turn it is before the cause.
fn failures(polled: &Ran) -> BTreeMap<String, String> {
    let told = |line: &Value| {
        let failure = line["failure"].as_array()?;
        Some(format!("{}: {}", failure[0].as_str()?, failure[1].as_str()?))
    };
    let lines: Vec<Value> = polled.json();
    lines.iter().filter_map(|line| Some((line["device"].as_str()?.to_owned(), told(line)?))).collect()
}

fn told(failures: &BTreeMap<String, String>, when: When) {
    for (at, trouble) in ALL.iter().enumerate() {
        let cause = failures.get(&name(at));
        if trouble.when != when {
            assert_eq!(cause, None, "{}, which {}", name(at), trouble.what);
            continue;
        }
        let cause = cause.unwrap_or_else(|| panic!("{}, which {}, is not told", name(at), trouble.what));
        for words in trouble.words {
            assert!(cause.contains(words), "{}, which {}: {words:?} in {cause:?}", name(at), trouble.what);
        }
    }
    let causes: BTreeSet<&String> = failures.values().collect();
    assert_eq!(causes.len(), failures.len(), "each has a cause of its own");
    assert!(failures.keys().all(|name| trouble(name).is_some()), "{failures:?}");
}

/// Waits until no device has a session of ours any more.
#[track_caller]
pub fn at_rest(site: &Site) {
    let until = Instant::now() + PATIENCE;
    for device in site.fleet.devices() {
        loop {
            let counters = device.counters();
            if (counters.vtys, counters.open) == (0, 0) {
                break;
            }
            assert!(Instant::now() < until, "{} has a session left: {counters:?}", device.name());
            std::thread::yield_now();
        }
    }
}

/// No file of ours stands anywhere, but where one may wait for the next session.
#[track_caller]
fn nothing_of_ours(site: &Site, may_wait: impl Fn(&Trouble) -> bool) {
    for device in site.fleet.devices() {
        let left: Vec<String> = device.state().files.into_iter().filter(|file| file.contains("slpc-")).collect();
        let excused = trouble(device.name()).is_some_and(&may_wait);
        assert!(left.is_empty() || excused, "{} keeps {left:?}", device.name());
    }
}

/// Waits for something that a device shows.
#[track_caller]
fn until(what: &str, holds: impl Fn() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < until, "{what} does not come");
        std::thread::yield_now();
    }
}

#[test]
fn what_a_killed_run_left_is_cleared_away_by_the_next_and_nothing_else() {
    for (access, faces) in [("ssh", Faces::ssh_and_scp()), ("netconf", Faces { netconf: true, ..Faces::ssh_and_scp() })]
    {
        let spec = Spec { faces, ..busy(specs::switch("dev-1")) };
        let site = Site::entered(vec![spec], LIMITS, |_| "deliver", |_| access);
        let device = site.device("dev-1");
        let theirs = Operation::WriteFile { name: "slpc-0123456789ab.xml".to_owned(), bytes: b"theirs".to_vec() };
        device.apply(theirs);
        site.run(["poll", "--all"]).exits(0);
        site.advance(86_400);
        device.set_fault_on(Fault::Hang, Scope::path("scp -f"));
        let mut child = site.command(["poll", "--all", "--close"]).spawn().unwrap();
        until("the copy", || device.counters().requests.keys().any(|request| request.starts_with("SSH scp -f")));
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(device.state().files.len(), 2, "{access}: {:?}", device.state().files);

        device.clear_fault();
        site.run(["poll", "--all", "--close"]).exits(0);
        assert_eq!(device.state().files, ["slpc-0123456789ab.xml"], "{access}");
        let shown: Value = site.run(["device", "show", "dev-1", "--format", "json"]).exits(0).json();
        assert!(!shown.to_string().contains("slpc-0123456789ab"), "it is not ours");
    }
}
