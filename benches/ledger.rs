//! The ledger under the reference workload: durable ingest, and life with 100,000 instances.
//!
//! `cargo bench --bench ledger`; `SLP_BENCH_INSTANCES` and `SLP_BENCH_REPORTS` make it smaller. Figures of
//! one run belong together: read the ratios. Each opening runs in a process of its own, so that its memory
//! is its own. The folder is inside `target`, because a file system in memory confirms nothing.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use nix::sys::resource::{UsageWho, getrusage};
use slp_collector::domain::digest::Sha256;
use slp_collector::domain::event::{DeviceIdentified, Fact, ReportCollected, Source, StateRead};
use slp_collector::domain::instance::{Member, Role, Site, Udi};
use slp_collector::domain::policy::Policy;
use slp_collector::domain::report::{EntitlementTag, Measurement, ReportFacts, ReportId, ReportType};
use slp_collector::domain::state::{DeviceState, License, Model, Stamp, Transport, UsageReporting};
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

fn setting(name: &str, default: usize) -> usize {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

#[expect(clippy::print_stdout, reason = "a bench is read on the terminal")]
fn say(line: &str) {
    println!("{line}");
}

fn cpu() -> Duration {
    let usage = getrusage(UsageWho::RUSAGE_SELF).expect("rusage");
    let time = |time: nix::sys::time::TimeVal| {
        Duration::from_secs(time.tv_sec() as u64) + Duration::from_micros(time.tv_usec() as u64)
    };
    time(usage.user_time()) + time(usage.system_time())
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder")
}

fn options(register: RegisterKind) -> Options {
    Options { register, segment_months: false, ..Options::default() }
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_790_000_000 + second).expect("a time")
}

fn udi(instance: usize) -> Udi {
    Udi::new("C9300-48UXM", format!("FOC{instance:08}"))
}

/// As random as a signed report is: mostly base64.
fn object(random: &mut fastrand::Rng) -> Vec<u8> {
    let bytes: Vec<u8> = std::iter::repeat_with(|| random.u8(..)).take(OBJECT * 3 / 4).collect();
    data_encoding::BASE64.encode(&bytes).into_bytes()
}

fn collected(instance: usize, license: usize, object: &[u8]) -> Fact {
    let month = Timestamp::from_second(1_788_000_000).expect("a time");
    let day = jiff::SignedDuration::from_hours(24);
    Fact::ReportCollected(ReportCollected {
        device: Some(format!("edge-{instance:06}").as_str().into()),
        report: ReportFacts {
            report_id: ReportId(1_790_000_000 + license as u64),
            payload_version: Some("2.0".to_owned()),
            udi: udi(instance),
            product_instance_identifier: None,
            software_tag: Some("regid.2017-05.com.cisco.c9300_48uxm,v1_0000".to_owned()),
            software_version: Some("17.12.4".to_owned()),
            entitlement_tag: Some(EntitlementTag(format!("regid.2017-03.com.cisco.license-{license},1.0_0001").into())),
            report_type: ReportType::Entitlement,
            members: Vec::new(),
            signing_type: Some("SHA256".to_owned()),
            payload_sha256: Sha256::of(object),
            measurements: vec![Measurement {
                metric: "ENTITLEMENT".to_owned(),
                start: Some(month),
                end: month.checked_add(day * 30).ok(),
                samples: Some(2880),
                value: Some(1),
                termination_reason: Some("CurrentUsageRequested".to_owned()),
                close_reason: None,
                clock_change_seconds: None,
                added: Vec::new(),
                removed: Vec::new(),
            }],
        },
        object: Sha256::of(object),
        source: Source::Rest,
        parser: 1,
        presumed_acknowledged: false,
        feature: None,
    })
}

fn identified(instance: usize) -> Vec<Fact> {
    let licenses = (0..3).map(|license| License {
        name: Some(format!("license-{license}")),
        entitlement_tag: Some(EntitlementTag(format!("regid.2017-03.com.cisco.license-{license},1.0_0001").into())),
        description: Some("C9300 48P Network Advantage".to_owned()),
        count: Some(1),
        status: Some("IN USE".to_owned()),
        license_type: Some("Subscription".to_owned()),
        enforcement: Some("NOT ENFORCED".to_owned()),
    });
    let state = DeviceState {
        model: Model::Slp,
        transport: Some(Transport { kind: Some("off".to_owned()), url: None }.into()),
        policy: Some(Policy::cisco_default().into()),
        usage_reporting: UsageReporting {
            last_ack: Some(Stamp::utc(at(-5_000_000)).into()),
            next_ack_deadline: Some(Stamp::utc(at(2_000_000)).into()),
            ..UsageReporting::default()
        },
        udi: Some(udi(instance)),
        members: vec![Member { role: Role::Active, udi: udi(instance) }],
        licenses: licenses.map(Into::into).collect(),
        ..DeviceState::default()
    };
    let device = DeviceIdentified {
        device: format!("edge-{instance:06}").as_str().into(),
        site: Site::from(format!("site-{}", instance % 200)),
        udi: udi(instance),
        uuid: None,
        members: Vec::new(),
        os: "ios-xe".to_owned(),
        software: Some("17.12.4".to_owned()),
        hostname: Some(format!("edge-{instance:06}")),
        clock_skew_seconds: None,
    };
    vec![Fact::DeviceIdentified(device), Fact::StateRead(StateRead { udi: udi(instance), state: Box::new(state) })]
}

/// One report an append, answered when it is durable.
fn ingest() {
    let reports = setting("SLP_BENCH_REPORTS", 60_000);
    say(&format!("durable ingest: {reports} reports of {OBJECT} bytes, one an append, {APPENDERS} appenders"));
    let mut rates = Vec::new();
    for kind in [RegisterKind::Sled, RegisterKind::Memory] {
        let dir = folder();
        let ledger = Ledger::open(dir.path(), options(kind)).expect("open");
        let (start, before) = (Instant::now(), cpu());
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
        let (wall, cpu) = (start.elapsed().as_secs_f64(), (cpu() - before).as_secs_f64());
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
    let at = |name: &str| folder.path().join(name);
    // Nothing answers there, and no schedule comes round.
    let config = format!(
        "[collector]\nstate_dir = {:?}\nsocket = {:?}\n[http]\nenabled = false\n[poll]\nschedule = \"0 0 29 2 *\"\n\
         [credentials.routers]\nusername = \"slpcol\"\npassword_file = \"password\"\n\
         [defaults]\ncredential = \"routers\"\n{}",
        ledger.parent().expect("a folder"),
        at("control.sock"),
        (0..200).map(|site| format!("[sites.site-{site}]\n")).collect::<String>(),
    );
    let row = |n: usize| format!("edge-{n:06},127.{}.{}.{},9,site-{}\n", n >> 16, n >> 8 & 255, n & 255, n % 200);
    std::fs::write(at("slp-collector.toml"), config).expect("configuration");
    let inventory: String = (0..instances).map(row).collect();
    std::fs::write(at("devices.csv"), format!("name,address,port,site\n{inventory}")).expect("inventory");
    let secret = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(at("password"));
    secret.expect("password").write_all(b"none").expect("password");
    let socket = UnixDatagram::bind(at("notify.sock")).expect("a socket");
    socket.set_read_timeout(Some(Duration::from_secs(60))).expect("a time limit");
    let mut command = Command::new(env!("CARGO_BIN_EXE_slp-collector"));
    command.arg("--config").arg(at("slp-collector.toml")).arg("run");
    command.env("NOTIFY_SOCKET", at("notify.sock")).stdout(Stdio::null()).stderr(Stdio::null());
    let start = Instant::now();
    let mut daemon = command.spawn().expect("the daemon");
    let mut word = [0; 4096];
    let told = loop {
        let length = socket.recv(&mut word).expect("READY");
        if word[..length].starts_with(b"READY=1") {
            break start.elapsed();
        }
    };
    let memory = resident(&format!("/proc/{}/status", daemon.id()));
    let pid = nix::unistd::Pid::from_raw(daemon.id() as i32);
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).expect("its end");
    assert!(daemon.wait().expect("its end").success());
    say(&format!("  READY of the daemon (aim 1.5 s): {:.2} s, RSS {memory} MB", told.as_secs_f64()));
}

fn size(dir: &Path) -> u64 {
    let mut bytes = 0;
    for entry in std::fs::read_dir(dir).expect("list") {
        let entry = entry.expect("entry");
        let metadata = entry.metadata().expect("metadata");
        bytes += if metadata.is_dir() { size(&entry.path()) } else { metadata.len() };
    }
    bytes
}

fn resident(of: &str) -> u64 {
    let status = std::fs::read_to_string(of).expect("status");
    let line = status.lines().find(|line| line.starts_with("VmRSS")).expect("VmRSS");
    line.split_whitespace().nth(1).and_then(|kilobytes| kilobytes.parse::<u64>().ok()).unwrap_or(0) / 1024
}

fn child(verb: &str, dir: &Path) {
    let (start, before) = (Instant::now(), cpu());
    let told = |what: &str, extra: &str| {
        say(&format!(
            "  {what}: {:.2} s, {:.2} s CPU, RSS {} MB{extra}",
            start.elapsed().as_secs_f64(),
            (cpu() - before).as_secs_f64(),
            resident("/proc/self/status")
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
