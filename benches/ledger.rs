//! The ledger under the reference workload: durable ingest, and life with 100,000 instances.
//!
//! `cargo bench --bench ledger`; `SLP_BENCH_INSTANCES` and `SLP_BENCH_REPORTS` make it smaller. Figures of
//! one run belong together: read the ratios. Each opening runs in a process of its own, so that its memory
//! is its own. The folder is inside `target`, because a file system in memory confirms nothing.

mod common;

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use common::process::{self, cpu};
use common::{at, fleet, folder, operator, say, setting, size};
use nix::sys::resource::UsageWho;
use slp_collector::domain::digest::Sha256;
use slp_collector::domain::event::Fact;
use slp_collector::domain::report::ReportId;
use slp_collector::ledger::{FoldFrom, Ledger, Options, RegisterKind, rebuild, verify};

const APPENDERS: usize = 16;
const OBJECT: usize = 2200;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, verb, dir, ..] = arguments.as_slice()
        && verb.starts_with("child-")
    {
        return child(verb, Path::new(dir));
    }
    ingest();
    large();
}

fn options(register: RegisterKind) -> Options {
    Options { register, segment_months: false, ..Options::default() }
}

/// As random as a signed report is: mostly base64.
fn object(random: &mut fastrand::Rng) -> Vec<u8> {
    let bytes: Vec<u8> = std::iter::repeat_with(|| random.u8(..)).take(OBJECT * 3 / 4).collect();
    data_encoding::BASE64.encode(&bytes).into_bytes()
}

/// A report of the month before.
fn collected(instance: usize, license: usize, object: &[u8]) -> Fact {
    let (id, begun) = (ReportId(1_790_000_000 + license as u64), -2_000_000);
    let month = vec![fleet::measured(begun, begun + 30 * 86_400, 1, Some("CurrentUsageRequested"))];
    fleet::collected(instance, id, license as u64, Sha256::of(object), month)
}

fn identified(instance: usize) -> [Fact; 2] {
    fleet::identified(instance, fleet::site(instance), fleet::state(instance))
}

/// One report an append, answered when it is durable.
fn ingest() {
    let reports = setting("SLP_BENCH_REPORTS", 60_000);
    say(&format!("durable ingest: {reports} reports of {OBJECT} bytes, one an append, {APPENDERS} appenders"));
    let mut rates = Vec::new();
    for kind in [RegisterKind::Sled, RegisterKind::Memory] {
        let dir = folder();
        let ledger = Ledger::open(dir.path(), options(kind)).expect("open");
        let (start, before) = (Instant::now(), cpu(UsageWho::RUSAGE_SELF));
        std::thread::scope(|scope| {
            for appender in 0..APPENDERS {
                let ledger = ledger.clone();
                scope.spawn(move || {
                    let mut random = fastrand::Rng::with_seed(appender as u64);
                    for n in 0..reports / APPENDERS {
                        let object = object(&mut random);
                        let fact = collected(appender + n / 3 * APPENDERS, n % 3, &object);
                        ledger.append(at(n as i64), vec![fact], vec![object]).expect("append");
                    }
                });
            }
        });
        let (wall, cpu) = (start.elapsed().as_secs_f64(), (cpu(UsageWho::RUSAGE_SELF) - before).as_secs_f64());
        let batches = ledger.standing().seq;
        let rate = reports as f64 / wall;
        rates.push(rate);
        say(&format!(
            "  {kind:?}: {rate:.0} reports/s (aim 10,000); {:.1} reports a batch, {:.0} batches/s, {:.0} us CPU a report",
            reports as f64 / batches as f64,
            batches as f64 / wall,
            cpu * 1e6 / reports as f64
        ));
        ledger.close().expect("close");
    }
    say(&format!("  sled register / none: {:.2}", rates[0] / rates[1]));
}

/// Runs this program again for one measurement.
fn alone(verb: &str, dir: &Path) {
    let own = std::env::current_exe().expect("own name");
    let status = Command::new(own).args([verb.as_ref(), dir.as_os_str()]).status().expect("a child");
    assert!(status.success(), "{verb}");
}

fn large() {
    let instances = setting("SLP_BENCH_INSTANCES", 100_000);
    say(&format!("{instances} instances with 3 licences and 3 owed reports each"));
    let state = folder();
    let dir = state.path().join("ledger");
    let ledger = Ledger::open(&dir, options(RegisterKind::Sled)).expect("open");
    let start = Instant::now();
    let mut random = fastrand::Rng::with_seed(7);
    for group in (0..instances).collect::<Vec<_>>().chunks(100) {
        let (mut facts, mut objects) = (Vec::new(), Vec::new());
        for &instance in group {
            facts.extend(identified(instance));
            for license in 0..3 {
                let object = object(&mut random);
                facts.push(collected(instance, license, &object));
                objects.push(object);
            }
        }
        ledger.append(at(group[0] as i64 / 100), facts, objects).expect("append");
    }
    say(&format!("  first load: {:.1} s, {} segments", start.elapsed().as_secs_f64(), ledger.standing().segments));
    let start = Instant::now();
    ledger.seal().expect("seal");
    say(&format!("  last seal (the owner waits): {:.2} s", start.elapsed().as_secs_f64()));
    ledger.close().expect("close");
    say(&format!(
        "  on disk: segments {} MB, register {} MB",
        size(&dir.join("segments")) >> 20,
        size(&dir.join("register")) >> 20
    ));
    alone("child-open", &dir);
    alone("child-tail", &dir);
    alone("child-open", &dir);
    for _ in 0..3 {
        ready(&dir, instances);
    }
    alone("child-memory", &dir);
    alone("child-rebuild", &dir);
    alone("child-refold", &dir);
    alone("child-verify", &dir);
    alone("child-open", &dir);
}

/// From the start of the real daemon, with its inventory, to the READY that systemd waits for.
fn ready(ledger: &Path, instances: usize) {
    let folder = folder();
    let config = folder.path().join("slp-collector.toml");
    let text = format!(
        "[collector]\nstate_dir = {:?}\nsocket = \"control.sock\"\n[http]\nenabled = false\n{}{}",
        ledger.parent().expect("a folder"),
        operator::NEVER,
        operator::files(folder.path(), instances)
    );
    std::fs::write(&config, text).expect("configuration");
    let mut command = operator::collector(&config);
    command.arg("run");
    let (daemon, told) = operator::ready(command, folder.path());
    let memory = process::memory(daemon.id(), "VmRSS").expect("it runs") >> 10;
    operator::stop(daemon);
    say(&format!("  READY of the daemon (aim 1.5 s): {:.2} s, RSS {memory} MB", told.as_secs_f64()));
}

fn child(verb: &str, dir: &Path) {
    let (start, before) = (Instant::now(), cpu(UsageWho::RUSAGE_SELF));
    let told = |what: &str, extra: &str| {
        say(&format!(
            "  {what}: {:.2} s, {:.2} s CPU, RSS {} MB{extra}",
            start.elapsed().as_secs_f64(),
            (cpu(UsageWho::RUSAGE_SELF) - before).as_secs_f64(),
            process::own_memory("VmRSS")
        ));
    };
    match verb {
        "child-open" | "child-memory" => {
            let sled = verb == "child-open";
            let kind = if sled { RegisterKind::Sled } else { RegisterKind::Memory };
            let ledger = Ledger::open(dir, options(kind)).expect("open");
            let what = if sled { "open from the register (aim 1.5 s)" } else { "open from the checkpoint alone" };
            told(what, "");
            let start = Instant::now();
            let owed: usize = ledger.fleet().instances.values().map(|instance| instance.owed.len()).sum();
            say(&format!("    scan of the fold: {:.1} ms, {owed} owed reports", start.elapsed().as_secs_f64() * 1e3));
            ledger.close().expect("close");
        }
        "child-tail" => {
            let ledger = Ledger::open(dir, options(RegisterKind::Sled)).expect("open");
            for n in 0..200 {
                let facts = (0..100).flat_map(|k| identified(n * 100 + k)).collect();
                ledger.append(at(90_000 + n as i64), facts, Vec::new()).expect("append");
            }
            told("open and 40,000 facts more, so that there is a tail", "");
            ledger.close().expect("close");
        }
        "child-rebuild" | "child-refold" => {
            let from = if verb == "child-rebuild" { FoldFrom::Checkpoint } else { FoldFrom::FirstEvent };
            let rebuilt = rebuild(dir, options(RegisterKind::Sled), from).expect("rebuild");
            told(&format!("rebuild from {from:?}"), &format!(", {} records", rebuilt.records));
        }
        _ => {
            let verified = verify(dir).expect("verify");
            assert!(verified.findings.is_empty(), "{:?}", verified.findings);
            told("verify all", &format!(", {} events, {} objects", verified.events, verified.objects));
        }
    }
}
