//! Watching 100,000 instances: what a scrape, a page and `status` cost.
//!
//! `cargo bench --bench scrape`; `SLP_BENCH_INSTANCES` makes it smaller. Scrapes are of the server alone, in this
//! process, so that something can be appended between them; `status` goes through the real daemon.

mod common;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::Instant;

use common::fleet::{self, SITES, name, site};
use common::process::{cpu, memory};
use common::{at, folder, operator, say, setting};
use nix::sys::resource::UsageWho;
use slp_collector::config::Config;
use slp_collector::daemon;
use slp_collector::domain::event::Fact;
use slp_collector::domain::overview::Overview;
use slp_collector::domain::state::Stamp;
use slp_collector::flow::{Clock, House};
use slp_collector::ledger::{Ledger, Options};
use slp_collector::{http, metrics};
use tokio::net::TcpListener;
use tokio::sync::watch;

const SCRAPES: usize = 20;

fn main() {
    let instances = setting("SLP_BENCH_INSTANCES", 100_000);
    say(&format!("{instances} instances with 3 licences each, {SITES} sites"));
    let folder = folder();
    let config = write(folder.path(), instances);
    let ledger = Ledger::open(&folder.path().join("state/ledger"), Options::default()).expect("open");
    for group in (0..instances).collect::<Vec<_>>().chunks(1000) {
        ledger.append(at(0), group.iter().flat_map(|n| identified(*n)).collect(), Vec::new()).expect("append");
        let contacts: Vec<_> = group.iter().map(|n| (name(*n), at(0))).collect();
        ledger.note_contacts(&contacts).expect("contacts");
    }
    for per_device in ["never", "always"] {
        scrapes(folder.path(), &config, per_device, &ledger);
    }
    ledger.close().expect("close");
    status(folder.path(), &config);
}

/// Each has its own deadline.
fn identified(instance: usize) -> [Fact; 2] {
    let mut state = fleet::state(instance);
    state.usage_reporting.next_ack_deadline = Some(Stamp::utc(at(instance as i64 * 60)).into());
    fleet::identified(instance, site(instance), state)
}

/// Writes the operator's files; answers the text of the configuration, which ends in `[http]`.
fn write(folder: &Path, instances: usize) -> String {
    format!(
        "[collector]\nstate_dir = \"state\"\nsocket = \"control.sock\"\n{}{}[http]\nlisten = \"127.0.0.1:0\"\n",
        operator::NEVER,
        operator::files(folder, instances)
    )
}

fn scrapes(folder: &Path, config: &str, per_device: &str, ledger: &Ledger) {
    let file = folder.join("slp-collector.toml");
    std::fs::write(&file, format!("{config}per_device = \"{per_device}\"\n")).expect("configuration");
    let config = Config::load(&file).expect("a configuration");
    let house = House::new(config, ledger.clone(), Clock::of(|| at(0)));
    let view = daemon::view(&house);
    say(&format!("per_device = {per_device}"));
    let start = Instant::now();
    let overview = Overview::of(&ledger.fleet(), &house.watched, &house.settings, at(0));
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
        ledger.append(at(0), identified(n).into(), Vec::new()).expect("append");
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
    let mut command = operator::collector(&file);
    // As the unit starts it.
    command.arg("run").env("MALLOC_ARENA_MAX", "2");
    let (daemon, _) = operator::ready(command, folder);
    let peak = || memory(daemon.id(), "VmHWM").expect("a peak") >> 10;
    say(&format!("peak of the daemon until it is ready: {} MB", peak()));
    let asked = |verb: &str, arguments: &[&str]| {
        let mut best = (f64::MAX, 0.0, 0.0, 0);
        // The peak begins anew.
        std::fs::write(format!("/proc/{}/clear_refs", daemon.id()), "5").expect("clear_refs");
        for _ in 0..3 {
            let (start, own, daemons) = (Instant::now(), cpu(UsageWho::RUSAGE_CHILDREN), ticks(daemon.id()));
            let output = operator::collector(&file).arg(verb).args(arguments).output().expect("an answer");
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            let wall = start.elapsed().as_secs_f64();
            if wall < best.0 {
                let own = (cpu(UsageWho::RUSAGE_CHILDREN) - own).as_secs_f64();
                best = (wall, own, ticks(daemon.id()) - daemons, output.stdout.len());
            }
        }
        let (wall, own, daemons, size) = best;
        say(&format!(
            "  {verb} {}: {wall:.2} s (aim 1 s), CPU {own:.2} s of the verb and {daemons:.2} s of the daemon, {:.1} MB; \
             peak of the daemon {} MB",
            arguments.join(" "),
            size as f64 / 1e6,
            peak()
        ));
    };
    for form in ["json", "ndjson", "csv", "table"] {
        asked("status", &["--format", form]);
    }
    asked("status", &["--site", "site-7"]);
    asked("forecast", &["--format", "json"]);
    asked("evidence", &["--from", "2026-07-01", "--to", "2026-10-01", "--format", "json"]);
    operator::stop(daemon);
}

/// CPU of a process, in seconds; the kernel counts hundredths.
fn ticks(process: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).expect("stat");
    let fields = stat.rsplit(')').next().expect("fields").split_whitespace();
    fields.skip(11).take(2).filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / 100.0
}
