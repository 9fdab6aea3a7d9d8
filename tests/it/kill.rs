//! Killed at any moment, many times over one ledger: it opens, nothing is lost, nothing is there twice, and what was
//! left on devices is cleared away.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Read;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use lab::report::ReportState;
use lab::spec::{AcknowledgedKeys, Faces, StateModel};
use lab::{Fleet, Operation, Portal, Spec, specs};
use slp_collector::domain::digest::Sha256;
use slp_collector::domain::event::{Event, Fact};
use slp_collector::domain::fleet::AnswerStatus;
use slp_collector::domain::instance::{DeviceName, Udi};
use slp_collector::domain::report::ReportId;
use slp_collector::ledger::{self, Ledger};

use crate::support::site::{LIMITS, Site};

/// A file that another collector is writing: ours may not touch it.
const THEIRS: &str = "slpc-0123456789ab.xml";

fn prepared(mut specs: Vec<Spec>) -> Vec<Spec> {
    for spec in &mut specs {
        spec.licences.iter_mut().for_each(|licence| licence.count = licence.count.max(1));
        // Ids can be read back: whatever a killed delivery did is found out by the next one.
        (spec.knobs.state_model, spec.knobs.acknowledged_keys) = (StateModel::Full, AcknowledgedKeys::Listed);
        spec.knobs.telemetry = false;
    }
    specs
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Verb {
    Poll,
    Bundle,
    Import,
    Run,
}

/// What was seen to be durable once, and what the devices made.
#[derive(Default)]
struct Seen {
    reports: BTreeMap<(Udi, ReportId), Sha256>,
    answers: BTreeSet<Sha256>,
    confirmed: BTreeSet<Sha256>,
    acknowledged: BTreeSet<(Udi, ReportId)>,
    /// The devices' own bytes, by device and id.
    truth: BTreeMap<(String, u64), String>,
}

#[test]
fn killed_a_hundred_times_the_ledger_loses_and_doubles_nothing() {
    let poll = format!("{LIMITS}concurrency = 6\nspread = \"0s\"\nschedule = \"* * * * *\"\n");
    let site = Site::with(prepared(Fleet::spec(12, 7)), &poll, |_| "deliver");
    killed_again_and_again(site, 100, Duration::from_millis(400));
}

#[test]
fn killed_twenty_times_over_ssh_nothing_is_lost_and_nothing_of_ours_stays() {
    let specs = (1..=5).map(|number| {
        let name = format!("dev-{number}");
        match number {
            1 => Spec { faces: Faces::ssh_and_sftp(), ..specs::switch(&name) },
            2 => specs::nexus(&name),
            3 => specs::xr(&name),
            _ => Spec { faces: Faces::ssh_and_scp(), ..specs::switch(&name) },
        }
    });
    let poll = format!("{LIMITS}concurrency = 5\nspread = \"0s\"\nschedule = \"* * * * *\"\n");
    let site = Site::entered(prepared(specs.collect()), &poll, |_| "deliver", |_| "ssh");
    killed_again_and_again(site, 20, Duration::from_secs(2));
}

/// `running`: a daemon does not end by itself; so long, a whole run of it is over.
#[allow(clippy::print_stdout)]
fn killed_again_and_again(mut site: Site, kills: usize, running: Duration) {
    let seed = std::env::var("SLP_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(|| fastrand::u64(..));
    println!("SLP_SEED={seed}");
    let mut dice = fastrand::Rng::with_seed(seed);
    let devices = site.fleet.devices().count();
    for device in site.fleet.devices() {
        // As each system names the file of its first choice.
        device.apply(Operation::WriteFile { name: THEIRS.to_owned(), bytes: b"theirs".to_vec() });
    }
    let mut seen = Seen::default();
    let (mut answers, mut brought): (Vec<PathBuf>, BTreeSet<PathBuf>) = Default::default();
    // How long each verb takes here and now, so that the kills fall anywhere within it.
    let mut lengths: BTreeMap<Verb, Duration> = BTreeMap::new();
    let mut cut_off = 0;
    let mut round = 0;
    while cut_off < kills {
        round += 1;
        assert!(round < 20 * kills, "the verbs are over before they can be killed: {lengths:?}");
        site.advance(60);
        let verb = [Verb::Poll, Verb::Bundle, Verb::Import, Verb::Run][round % 4];
        if verb == Verb::Poll {
            let closing = site.fleet.devices().nth(dice.usize(..devices)).unwrap();
            closing.apply(Operation::Close);
        }
        let length = match verb {
            Verb::Run => running,
            Verb::Poll | Verb::Bundle | Verb::Import => lengths.get(&verb).copied().unwrap_or(Duration::from_secs(20)),
        };
        let killed = killed(&site, verb, &answers, length.mul_f64(1.4 * dice.f64()), &mut lengths);
        cut_off += usize::from(killed.is_some());
        let told = killed.unwrap_or_default();

        let ledger = site.ledger();
        nothing_went(&site, &ledger, &told, &mut seen);
        drop(ledger);
        if verb == Verb::Bundle {
            answers = carried(&mut site, round).unwrap_or(answers);
        }
        brought.extend(answers.iter().cloned());
    }

    // Left alone, everything comes to its end.
    site.advance(3600);
    let polled = site.run(["poll", "--all", "--close"]).exits(0);
    // Before they are acknowledged: a device hands out what is not.
    let ledger = site.ledger();
    nothing_went(&site, &ledger, &polled.out, &mut seen);
    drop(ledger);
    let bundled = site.run(["bundle", "create"]);
    assert!([0, 64].contains(&bundled.code), "{bundled:?}");
    answers = carried(&mut site, round + 1).unwrap_or(answers);
    // With those that a kill left waiting for a daemon: what has an answer here is not bundled again.
    brought.extend(answers);
    site.import(&brought.into_iter().collect::<Vec<_>>(), &[]).exits(0);
    site.run(["poll", "--all"]).exits(0);

    let ledger = site.ledger();
    nothing_went(&site, &ledger, "", &mut seen);
    everything_is_there(&site, &ledger, &seen);
    drop(ledger);
    bundles_are_whole_or_absent(&site);
    for device in site.fleet.devices() {
        let left: Vec<String> = device.state().files.into_iter().filter(|file| file.contains("slpc-")).collect();
        assert_eq!(left, [THEIRS], "{}", device.name());
    }
    let verified = ledger::verify(&site.ledger_dir()).unwrap();
    assert!(verified.is_sound(), "{:?}", verified.findings);
}

/// Runs a verb and kills it after so long; what it had said by then, or `None` when it ended before.
fn killed(
    site: &Site,
    verb: Verb,
    answers: &[PathBuf],
    after: Duration,
    lengths: &mut BTreeMap<Verb, Duration>,
) -> Option<String> {
    let mut command = match verb {
        Verb::Poll => site.command(["poll", "--all", "--close"]),
        Verb::Bundle => site.command(["bundle", "create"]),
        Verb::Import => site.command(["ack", "import"]),
        Verb::Run => site.command(["run"]),
    };
    if verb == Verb::Import {
        if answers.is_empty() {
            return None;
        }
        command.args(answers);
    }
    let begun = Instant::now();
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let (tell, told) = channel();
    let mut stdout = child.stdout.take().unwrap();
    std::thread::spawn(move || {
        let mut out = String::new();
        stdout.read_to_string(&mut out).unwrap();
        drop(tell.send(out));
    });
    // Its output ends when it does.
    let out = told.recv_timeout(after).unwrap_or_else(|_| {
        child.kill().unwrap();
        told.recv().unwrap()
    });
    let output = child.wait_with_output().unwrap();
    let err = String::from_utf8(output.stderr).unwrap();
    match output.status.code() {
        None => Some(out),
        Some(code) => {
            // 64: nothing is owed that a bundle could take.
            let fine = code == 0 || (verb == Verb::Bundle && code == 64);
            assert!(fine && verb != Verb::Run, "{verb:?} ended with {code}:\n{out}{err}");
            lengths.insert(verb, begun.elapsed());
            None
        }
    }
}

/// All that was durable still is, once, and the same; what this run told is kept.
fn nothing_went(site: &Site, ledger: &Ledger, told: &str, seen: &mut Seen) {
    for device in site.fleet.names() {
        for (id, body) in site.bodies(&device) {
            seen.truth.insert((device.clone(), id), body);
        }
    }
    let (mut reports, mut kept) = (BTreeMap::new(), BTreeMap::<String, BTreeSet<u64>>::new());
    let mut received = BTreeSet::new();
    ledger
        .events(None, &mut |event: &Event| {
            match &event.fact {
                Fact::ReportCollected(fact) => {
                    let (udi, id) = (fact.report.udi.clone(), fact.report.report_id);
                    kept.entry(fact.device.as_ref().unwrap().to_string()).or_default().insert(id.0);
                    assert_eq!(reports.insert((udi, id), fact.object), None, "report {id} is kept twice");
                }
                Fact::AnswerReceived(fact) => drop(received.insert(fact.object)),
                Fact::ReportConflict(fact) => panic!("a device never changes a report: {fact:?}"),
                _ => {}
            }
            ControlFlow::Continue(())
        })
        .unwrap();
    for (report, object) in &seen.reports {
        assert_eq!(reports.get(report), Some(object), "{report:?} was kept once");
    }
    assert!(received.is_superset(&seen.answers), "an ACK is lost");
    let fleet = ledger.fleet();
    let confirmed = |object: &Sha256| {
        fleet.same_file(*object).all(|(_, answer)| matches!(answer.status, AnswerStatus::Confirmed(_)))
    };
    assert!(seen.confirmed.iter().all(confirmed), "a confirmed ACK is not confirmed any more");
    for (udi, id) in &seen.acknowledged {
        assert!(fleet.resolve(udi).unwrap().acknowledged.contains(udi, *id), "{udi} {id} was acknowledged");
    }
    for line in told.lines().filter(|line| line.ends_with(" 0 not collected")) {
        let (device, _) = line.split_once(": ok, ").unwrap();
        for (_, id) in seen.truth.keys().filter(|(of, _)| of == device) {
            assert!(kept[device].contains(id), "said to be kept, and lost: {id} in {line:?}");
        }
    }
    for (udi, id) in reports.keys() {
        if fleet.resolve(udi).unwrap().acknowledged.contains(udi, *id) {
            seen.acknowledged.insert((udi.clone(), *id));
        }
    }
    seen.confirmed.extend(received.iter().filter(|object| confirmed(object)));
    seen.answers = received;
    seen.reports = reports;
}

/// Every report that a device ever made is here with its bytes, and acknowledged on both sides.
fn everything_is_there(site: &Site, ledger: &Ledger, seen: &Seen) {
    let fleet = ledger.fleet();
    let mut made = 0;
    for device in site.fleet.devices() {
        let instance = fleet.of_device(&DeviceName::from(device.name())).unwrap();
        assert_eq!(instance.owed, [], "{}", device.name());
        for report in device.state().reports.iter().filter(|report| report.end.is_some()) {
            let udi = Udi::new(&report.udi.pid, &report.udi.sn);
            let object = &seen.reports[&(udi.clone(), ReportId(report.id))];
            let bytes = ledger.object(object).unwrap().unwrap();
            assert_eq!(bytes, seen.truth[&(device.name().to_owned(), report.id)].as_bytes());
            assert_eq!(report.state, ReportState::Acknowledged);
            assert!(instance.acknowledged.contains(&udi, ReportId(report.id)));
            made += 1;
        }
    }
    assert_eq!(made, seen.reports.len());
    let devices = site.fleet.devices().count();
    assert!(made > 2 * devices, "only {made} reports were at stake");
    // Each device has at least the answer that settled its first reports; how many more, the kills decide.
    assert!(seen.confirmed.len() >= devices, "only {} answers were confirmed", seen.confirmed.len());
}

/// The bundles in the exchange folder; those put aside while they were written do not count.
fn bundles(site: &Site) -> BTreeSet<PathBuf> {
    let entries = fs::read_dir(site.path("exchange")).into_iter().flatten().map(|entry| entry.unwrap());
    entries.filter(|entry| !entry.file_name().to_string_lossy().starts_with('.')).map(|entry| entry.path()).collect()
}

/// Takes the newest bundle to a portal and brings its answers; each time to a portal that never saw one before, since
/// a bundle holds again what was not acknowledged yet.
fn carried(site: &mut Site, round: usize) -> Option<Vec<PathBuf>> {
    let newest = bundles(site).into_iter().max_by_key(|bundle| fs::metadata(bundle).unwrap().modified().unwrap())?;
    site.portal = Portal::new();
    let (answers, refusals) = site.upload(&newest);
    assert_eq!(refusals, [], "{}", newest.display());
    let folder = site.path(&format!("answers-{round}"));
    fs::create_dir(&folder).unwrap();
    let moved = site.download(&answers).into_iter().map(|file| {
        let to = folder.join(file.file_name().unwrap());
        fs::rename(file, &to).unwrap();
        to
    });
    Some(moved.collect())
}

fn bundles_are_whole_or_absent(site: &Site) {
    let there = bundles(site);
    for bundle in &there {
        site.run(["bundle", "verify", bundle.to_str().unwrap()]).exits(0);
    }
    let ledger = site.ledger();
    for bundle in ledger.fleet().bundles.values() {
        assert!(there.contains(&site.path("exchange").join(&bundle.facts.name)), "{} is gone", bundle.facts.name);
    }
}
