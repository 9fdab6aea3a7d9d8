//! Watching 100,000 instances: what a scrape, a page and `status` cost.
//!
//! `cargo bench --bench scrape`; `SLP_BENCH_INSTANCES` makes it smaller. Scrapes are of the server alone, in this
//! process, so that something can be appended between them; `status` goes through the real daemon.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use nix::sys::resource::{UsageWho, getrusage};
use slp_collector::config::Config;
use slp_collector::daemon;
use slp_collector::domain::event::{DeviceIdentified, Fact, StateRead};
use slp_collector::domain::instance::{Member, Role, Site, Udi};
use slp_collector::domain::overview::Overview;
use slp_collector::domain::policy::Policy;
use slp_collector::domain::report::EntitlementTag;
use slp_collector::domain::state::{DeviceState, License, Model, Stamp, Transport, UsageReporting};
use slp_collector::flow::{Clock, House};
use slp_collector::ledger::{Ledger, Options};
use slp_collector::{http, metrics};
use tokio::net::TcpListener;
use tokio::sync::watch;

const SITES: usize = 200;
const SCRAPES: usize = 20;

fn main() {
    let instances = std::env::var("SLP_BENCH_INSTANCES").ok().and_then(|text| text.parse().ok()).unwrap_or(100_000);
    say(&format!("{instances} instances with 3 licences each, {SITES} sites"));
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let config = write(folder.path(), instances);
    let ledger = Ledger::open(&folder.path().join("state/ledger"), Options::default()).expect("open");
    for group in (0..instances).collect::<Vec<_>>().chunks(1000) {
        ledger.append(now(), group.iter().flat_map(|n| identified(*n)).collect(), Vec::new()).expect("append");
        let contacts: Vec<_> = group.iter().map(|n| (name(*n).as_str().into(), now())).collect();
        ledger.note_contacts(&contacts).expect("contacts");
    }
    for per_device in ["never", "always"] {
        scrapes(folder.path(), &config, per_device, &ledger);
    }
    ledger.close().expect("close");
    status(folder.path(), &config);
}

#[allow(clippy::print_stdout)]
fn say(line: &str) {
    println!("{line}");
}

fn now() -> Timestamp {
    Timestamp::from_second(1_790_000_000).expect("a time")
}

fn name(instance: usize) -> String {
    format!("edge-{instance:06}")
}

fn identified(instance: usize) -> Vec<Fact> {
    let udi = Udi::new("C9300-48UXM", format!("FOC{instance:08}"));
    let licenses = (0..3).map(|license| License {
        name: Some(format!("license-{license}")),
        entitlement_tag: Some(EntitlementTag(format!("regid.2017-03.com.cisco.license-{license},1.0_0001").into())),
        description: Some("C9300 48P Network Advantage".to_owned()),
        count: Some(1),
        status: Some("IN USE".to_owned()),
        license_type: Some("Subscription".to_owned()),
        enforcement: Some("NOT ENFORCED".to_owned()),
    });
    let at = |seconds: i64| Timestamp::from_second(now().as_second() + seconds).expect("a time");
    let state = DeviceState {
        model: Model::Slp,
        transport: Some(Transport { kind: Some("off".to_owned()), url: None }.into()),
        policy: Some(Policy::cisco_default().into()),
        usage_reporting: UsageReporting {
            last_ack: Some(Stamp::utc(at(-5_000_000)).into()),
            next_ack_deadline: Some(Stamp::utc(at(instance as i64 * 60)).into()),
            ..UsageReporting::default()
        },
        udi: Some(udi.clone()),
        members: vec![Member { role: Role::Active, udi: udi.clone() }],
        licenses: licenses.map(Into::into).collect(),
        ..DeviceState::default()
    };
    let device = DeviceIdentified {
        device: name(instance).as_str().into(),
        site: Site::from(format!("site-{}", instance % SITES)),
        udi: udi.clone(),
        uuid: None,
        members: Vec::new(),
        os: "ios-xe".to_owned(),
        software: Some("17.12.4".to_owned()),
        hostname: Some(name(instance)),
        clock_skew_seconds: None,
    };
    vec![Fact::DeviceIdentified(device), Fact::StateRead(StateRead { udi, state: Box::new(state) })]
}

/// Nothing answers there, and no schedule comes round. Answers the text of the configuration.
fn write(folder: &Path, instances: usize) -> String {
    let at = |name: &str| folder.join(name);
    let row = |n: usize| format!("{},127.{}.{}.{},9,site-{}\n", name(n), n >> 16, n >> 8 & 255, n & 255, n % SITES);
    let inventory: String = (0..instances).map(row).collect();
    std::fs::write(at("devices.csv"), format!("name,address,port,site\n{inventory}")).expect("inventory");
    let secret = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(at("password"));
    secret.expect("password").write_all(b"none").expect("password");
    let sites: String = (0..SITES).map(|site| format!("[sites.site-{site}]\n")).collect();
    format!(
        "[collector]\nstate_dir = \"state\"\nsocket = \"control.sock\"\n[poll]\nschedule = \"0 0 29 2 *\"\n\
         [credentials.routers]\nusername = \"slpcol\"\npassword_file = \"password\"\n\
         [defaults]\ncredential = \"routers\"\n{sites}[http]\nlisten = \"127.0.0.1:0\"\n"
    )
}

fn scrapes(folder: &Path, config: &str, per_device: &str, ledger: &Ledger) {
    let file = folder.join("slp-collector.toml");
    std::fs::write(&file, format!("{config}per_device = \"{per_device}\"\n")).expect("configuration");
    let config = Config::load(&file).expect("a configuration");
    let house = House::new(config, ledger.clone(), Clock::of(now));
    let view = daemon::view(&house);
    say(&format!("per_device = {per_device}"));
    let start = Instant::now();
    let overview = Overview::of(&ledger.fleet(), &house.watched, &house.settings, now());
    let counted = start.elapsed();
    let text = metrics::fleet(&overview, &house.watched, view.per_device);
    let (lines, size) = (text.lines().filter(|line| !line.starts_with('#')).count(), text.len());
    say(&format!(
        "  figures: {:.0} ms, their text {:.0} ms: {lines} series, {:.1} MB",
        counted.as_secs_f64() * 1e3,
        (start.elapsed() - counted).as_secs_f64() * 1e3,
        size as f64 / 1e6
    ));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a port");
    let addr = listener.local_addr().expect("its address");
    let (shown, views) = watch::channel(view);
    let serving = runtime.spawn(http::serve(views, listener));
    say(&format!("  first scrape, which waits for the figures: {:.1} ms", scrape(addr, "/metrics")));
    let same: Vec<f64> = (0..SCRAPES).map(|_| scrape(addr, "/metrics")).collect();
    told("scrape, nothing changed (aim 50 ms)", same);
    let changed = (0..SCRAPES).map(|n| {
        ledger.append(now(), identified(n), Vec::new()).expect("append");
        scrape(addr, "/metrics")
    });
    told("scrape just after an append (aim 50 ms)", changed.collect());
    // Until the figures of the last append are there.
    scrape(addr, "/");
    told("page", (0..SCRAPES).map(|_| scrape(addr, "/?state=ok&page=3")).collect());
    told("1,000 rows of JSON", (0..SCRAPES).map(|_| scrape(addr, "/status.json?rows=1000")).collect());
    drop(shown);
    runtime.block_on(serving).expect("its end");
}

fn told(what: &str, mut times: Vec<f64>) {
    times.sort_by(f64::total_cmp);
    say(&format!(
        "  {what}: least {:.1} ms, median {:.1} ms, most {:.1} ms",
        times[0],
        times[times.len() / 2],
        times[times.len() - 1]
    ));
}

/// In milliseconds, the last byte read.
fn scrape(addr: SocketAddr, target: &str) -> f64 {
    let start = Instant::now();
    let mut stream = TcpStream::connect(addr).expect("a connection");
    write!(stream, "GET {target} HTTP/1.1\r\nHost: {addr}\r\n\r\n").expect("a request");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("an answer");
    assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer[..200]));
    start.elapsed().as_secs_f64() * 1e3
}

fn status(folder: &Path, config: &str) {
    let file = folder.join("slp-collector.toml");
    std::fs::write(&file, config).expect("configuration");
    let start = Instant::now();
    Config::load(&file).expect("a configuration");
    say(&format!("the configuration read alone: {:.2} s", start.elapsed().as_secs_f64()));
    let mut daemon = run(folder, &file);
    say(&format!("peak of the daemon until it is ready: {:.0} MB", peak(daemon.id())));
    let asked = |verb: &str, arguments: &[&str]| {
        let mut best = (f64::MAX, 0.0, 0.0, 0);
        // The peak begins anew.
        std::fs::write(format!("/proc/{}/clear_refs", daemon.id()), "5").expect("clear_refs");
        for _ in 0..3 {
            let (start, own, daemons) = (Instant::now(), children(), ticks(daemon.id()));
            let output = command(&file).arg(verb).args(arguments).output().expect("an answer");
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            let wall = start.elapsed().as_secs_f64();
            if wall < best.0 {
                best = (wall, children() - own, ticks(daemon.id()) - daemons, output.stdout.len());
            }
        }
        let (wall, own, daemons, size) = best;
        say(&format!(
            "  {verb} {}: {wall:.2} s (aim 1 s), CPU {own:.2} s of the verb and {daemons:.2} s of the daemon, {:.1} MB; \
             peak of the daemon {:.0} MB",
            arguments.join(" "),
            size as f64 / 1e6,
            peak(daemon.id())
        ));
    };
    for form in ["json", "ndjson", "csv", "table"] {
        asked("status", &["--format", form]);
    }
    asked("status", &["--site", "site-7"]);
    asked("forecast", &["--format", "json"]);
    asked("evidence", &["--from", "2026-07-01", "--to", "2026-10-01", "--format", "json"]);
    let pid = nix::unistd::Pid::from_raw(daemon.id() as i32);
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).expect("its end");
    assert!(daemon.wait().expect("its end").success());
}

/// The most memory of a process since it began or its peak did, in MB.
fn peak(process: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).expect("status");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a peak");
    line.trim().trim_end_matches(" kB").parse::<f64>().expect("a number") / 1e3
}

/// CPU of all children that ended, in seconds.
fn children() -> f64 {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).expect("rusage");
    [usage.user_time(), usage.system_time()].iter().map(|time| time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6).sum()
}

/// CPU of a process, in seconds; the kernel counts hundredths.
fn ticks(process: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).expect("stat");
    let fields = stat.rsplit(')').next().expect("fields").split_whitespace();
    fields.skip(11).take(2).filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / 100.0
}

fn command(file: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_slp-collector"));
    command.arg("--config").arg(file);
    command
}

/// Starts the daemon and waits until it is ready.
fn run(folder: &Path, file: &Path) -> Child {
    let socket = UnixDatagram::bind(folder.join("notify.sock")).expect("a socket");
    socket.set_read_timeout(Some(Duration::from_secs(60))).expect("a time limit");
    let mut command = command(file);
    // As the unit starts it.
    command.arg("run").env("NOTIFY_SOCKET", folder.join("notify.sock")).env("MALLOC_ARENA_MAX", "4");
    let daemon = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the daemon");
    let mut word = [0; 4096];
    while !word.starts_with(b"READY=1") {
        socket.recv(&mut word).expect("READY");
    }
    daemon
}
