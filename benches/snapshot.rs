//! A snapshot of a year of the reference workload: how long it takes, what it holds in memory, how large it gets.
//!
//! `cargo bench --features parquet --bench snapshot`; `SLP_BENCH_INSTANCES` makes it smaller, `SLP_BENCH_KEEP=DIR` keeps
//! the ledger there and takes it from there the next time. With `SLP_BENCH_PYTHON`, a Python that has DuckDB, the same
//! table is written by DuckDB too: it has the rows in memory then, while ours begin at the journal. Figures of one run
//! belong together: read the ratios. Each snapshot is made in a process of its own, so that its memory is its own; what
//! an open ledger takes by itself is told beside it. The first one has to make the runs of sealed segments anew, which
//! a ledger in use has kept since each was sealed.

mod common;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use common::fleet::{self, LICENSES, measured, udi};
use common::process::{cpu, own_memory};
use common::{at, operator, say, setting, size};
use jiff::{SignedDuration, Timestamp};
use nix::sys::resource::UsageWho;
use slp_collector::config::Config;
use slp_collector::domain::digest::Sha256;
use slp_collector::domain::event::{Fact, ReportStates};
use slp_collector::domain::report::ReportId;
use slp_collector::domain::settings::Word;
use slp_collector::domain::state::{DeviceState, ReportState};
use slp_collector::exchange::snapshot::Form;
use slp_collector::flow::consumption::{Asked, create};
use slp_collector::flow::{Clock, House, ledger_dir, open_ledger};
use slp_collector::ledger::{Ledger, Options};

const MONTHS: i64 = 12;
const DAY: i64 = 86_400;
const MONTH: i64 = 30 * DAY;
/// It begins when the fleet was there already.
const WINDOW: i64 = MONTHS * MONTH - DAY;
/// One instance of so many came in the middle of it.
const CAME: usize = 20;
/// Instances an append.
const BITE: usize = 1_000;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, verb, folder, out, form, when, ..] = arguments.as_slice()
        && verb == "child-create"
    {
        let form = Form::of_word(form).expect("a form");
        return child(Path::new(folder), Path::new(out), form, when);
    }
    let instances = setting("SLP_BENCH_INSTANCES", 100_000);
    let kept = std::env::var_os("SLP_BENCH_KEEP").map(PathBuf::from);
    let passing = common::folder();
    let folder = kept.as_deref().unwrap_or(passing.path());
    say(&format!("{instances} instances, {LICENSES} licences each, {MONTHS} closed reports a licence"));
    if !folder.join("slp-collector.toml").exists() {
        std::fs::create_dir_all(folder).expect("a folder");
        fill(folder, instances);
    }
    let config = Config::load(&folder.join("slp-collector.toml")).expect("a configuration");
    let runs = ledger_dir(&config).join("runs");
    std::fs::remove_dir_all(&runs).expect("the runs of sealed segments");
    let mut table = None;
    let mut seconds = Vec::new();
    let now = [Form::Ndjson, Form::Json, Form::Csv, Form::Parquet].map(|form| (form, NOW));
    for (form, when) in [(Form::Ndjson, ANEW)].into_iter().chain(now).chain([(Form::Ndjson, PAST)]) {
        if !form.is_built() {
            say(&format!("  {form}: not built in (--features parquet)"));
            continue;
        }
        let own = std::env::current_exe().expect("own name");
        let out = common::folder();
        let mut child = Command::new(own);
        // As the unit starts the daemon.
        child.env("MALLOC_ARENA_MAX", "2");
        child.arg("child-create").arg(folder).arg(out.path()).args([form.word(), when]);
        let told = child.output().expect("a child");
        assert!(told.status.success(), "{form} {when}: {}", String::from_utf8_lossy(&told.stderr));
        let told = String::from_utf8_lossy(&told.stdout).into_owned();
        let mut lines = told.lines();
        let (Some(line), Some(path), Some(took)) = (lines.next(), lines.next(), lines.next()) else { panic!("{told}") };
        say(line);
        if when == ANEW {
            say(&format!("    the runs of sealed segments: {} MB", size(&runs) >> 20));
        }
        if when == NOW {
            seconds.push((form, took.parse::<f64>().expect("seconds")));
        }
        if (form, when) == (Form::Ndjson, NOW) {
            table = Some((PathBuf::from(path), out));
        }
    }
    if let Some((rows, _kept)) = table {
        beside(&rows, &seconds);
    }
}

const NOW: &str = "now";
const PAST: &str = "past";
const ANEW: &str = "anew";

/// When the last report is closed and the snapshot is made.
fn end() -> Timestamp {
    at(MONTHS * MONTH)
}

/// The month with which an instance begins.
fn first_month(instance: usize) -> i64 {
    if instance % CAME == 7 { MONTHS / 2 } else { 0 }
}

fn identified(instance: usize) -> [Fact; 2] {
    let state = DeviceState {
        smart_account: Some("Example Works".into()),
        virtual_account: Some(format!("Region {}", instance % 10).into()),
        ..fleet::state(instance)
    };
    fleet::identified(instance, fleet::site(instance), state)
}

fn report_id(month: i64, license: u64) -> ReportId {
    ReportId(1_790_000_000 + month as u64 * LICENSES + license)
}

/// A licence in a month: its count changes now and then.
fn collected(instance: usize, month: i64, license: u64) -> Fact {
    let (from, to) = (month * MONTH, (month + 1) * MONTH);
    let changed = from + (instance as i64 * 7_919 + license as i64 * 104_729) % MONTH;
    let value = 1 + (instance as u64 + month as u64 / 6) % 4;
    let measurements = if (instance as i64 + month) % 6 == 0 && changed > from {
        vec![measured(from, changed, value, None), measured(changed, to, value + 1, Some("CurrentUsageRequested"))]
    } else {
        vec![measured(from, to, value, Some("CurrentUsageRequested"))]
    };
    let object = Sha256::of(format!("{instance}/{month}/{license}").as_bytes());
    fleet::collected(instance, report_id(month, license), license, object, measurements)
}

/// The facts of a year, and the operator's files beside them. Objects are left out: a snapshot opens none.
fn fill(folder: &Path, instances: usize) {
    let config = folder.join("slp-collector.toml");
    let text = format!(
        "[collector]\nstate_dir = \"state\"\nsocket = \"control.sock\"\n[exchange]\nsigner = \"signer\"\n{}",
        operator::files(folder, instances)
    );
    std::fs::write(folder.join("aside.toml"), &text).expect("configuration");
    let loaded = Config::load(&folder.join("aside.toml")).expect("a configuration");
    let (start, ledger) = (Instant::now(), Ledger::open(&ledger_dir(&loaded), Options::default()).expect("open"));
    for month in 0..MONTHS {
        for first in (0..instances).step_by(BITE) {
            let new = (first..instances.min(first + BITE)).filter(|instance| first_month(*instance) == month);
            ledger.append(at(month * MONTH), new.flat_map(identified).collect(), Vec::new()).expect("append");
        }
        for first in (0..instances).step_by(BITE) {
            let mut facts = Vec::new();
            for instance in (first..instances.min(first + BITE)).filter(|own| first_month(*own) <= month) {
                facts.extend((0..LICENSES).map(|license| collected(instance, month, license)));
                let states = (0..LICENSES).map(|license| (report_id(month, license), ReportState::Acknowledged));
                facts.push(Fact::ReportStates(ReportStates { udi: udi(instance), states: states.collect() }));
            }
            ledger.append(at((month + 1) * MONTH), facts, Vec::new()).expect("append");
        }
    }
    ledger.close().expect("close");
    std::fs::rename(folder.join("aside.toml"), &config).expect("configuration");
    let megabytes = size(&ledger_dir(&loaded)) >> 20;
    say(&format!("  the ledger: {:.0} s to write, {megabytes} MB", start.elapsed().as_secs_f64()));
}

fn child(folder: &Path, out: &Path, form: Form, when: &str) {
    let config = Config::load(&folder.join("slp-collector.toml")).expect("a configuration");
    let (start, ledger) = (Instant::now(), open_ledger(&config).expect("open"));
    let house = House::new(config, ledger, Clock::of(end));
    let opened = start.elapsed().as_secs_f64();
    let (before, rest, start, used) =
        (own_memory("VmHWM"), own_memory("VmRSS"), Instant::now(), cpu(UsageWho::RUSAGE_SELF));
    let asked = Asked {
        as_of: (when == PAST).then(|| at((MONTHS - 1) * MONTH + MONTH / 2)),
        window: SignedDuration::from_secs(WINDOW),
        form,
        out: Some(out.to_owned()),
    };
    let made = create(&house, &asked).expect("a snapshot");
    let seconds = start.elapsed().as_secs_f64();
    let bytes = std::fs::metadata(&made.path).expect("the snapshot").len();
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let of = match when {
        PAST => "of the past",
        ANEW => "of now, the runs made anew",
        _ => "of now",
    };
    say(&format!(
        "  {form} {of}: {seconds:.2} s (aim 10), {:.2} s CPU, peak {} MB (aim 400), of which the open ledger {rest} MB \
         ({before} MB at its opening, {opened:.2} s); {} rows, {} bytes a row, {:.3} complete; load {}",
        (cpu(UsageWho::RUSAGE_SELF) - used).as_secs_f64(),
        own_memory("VmHWM"),
        made.head.row_count,
        bytes / made.head.row_count.max(1),
        made.head.completeness.unwrap_or(0.0),
        load.split_whitespace().next().unwrap_or_default(),
    ));
    say(&made.path.display().to_string());
    say(&seconds.to_string());
}

/// DuckDB reads the rows and writes them again in the forms that both know.
fn beside(rows: &Path, seconds: &[(Form, f64)]) {
    let Some(python) = std::env::var_os("SLP_BENCH_PYTHON") else { return };
    let script = "import sys, time, os, duckdb\n\
        rows = sys.argv[1]\n\
        db = duckdb.connect()\n\
        begun = time.time()\n\
        db.execute(f\"CREATE TABLE t AS SELECT * FROM read_json('{rows}', format='newline_delimited')\")\n\
        print('read', time.time() - begun, os.path.getsize(rows))\n\
        for form, how in [('ndjson', 'FORMAT json'), ('csv', 'FORMAT csv'), ('parquet', 'FORMAT parquet, COMPRESSION zstd')]:\n\
        \x20   begun = time.time()\n\
        \x20   db.execute(f\"COPY t TO '{rows}.{form}' ({how})\")\n\
        \x20   print(form, time.time() - begun, os.path.getsize(f'{rows}.{form}'))\n";
    let told = Command::new(python).args(["-c", script]).arg(rows).output().expect("python");
    assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
    for line in String::from_utf8_lossy(&told.stdout).lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [what, theirs, bytes] = words.as_slice() else { panic!("{line}") };
        let theirs: f64 = theirs.parse().expect("seconds");
        match seconds.iter().find(|(form, _)| form.word() == *what) {
            None => say(&format!("  DuckDB reads the NDJSON, {bytes} bytes, in {theirs:.2} s")),
            Some((form, ours)) => say(&format!(
                "  DuckDB writes that table as {form} in {theirs:.2} s, {bytes} bytes; ours, from the journal on, / theirs: \
                 {:.1}",
                ours / theirs
            )),
        }
    }
}
