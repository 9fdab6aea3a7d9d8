//! A bundle of 100,000 reports: made and verified by the real program, against `tar` and `gzip` of the same bytes.
//!
//! `cargo bench --bench bundle`; `SLP_BENCH_INSTANCES` makes it smaller. Each run is a process of its own, so that its
//! memory is its own: the program opens the ledger itself, so the fold of it is in its figure. The folder is inside
//! `target`, because a file system in memory confirms nothing.

mod common;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use common::fleet::{identified, name, udi};
use common::process::{cpu, memory};
use common::{at, folder, operator, say, setting};
use nix::sys::resource::UsageWho;
use slp_collector::domain::digest::Sha256;
use slp_collector::domain::event::{Fact, ReportCollected, Source};
use slp_collector::domain::instance::Site;
use slp_collector::domain::report::read;
use slp_collector::domain::state::{DeviceState, Model};
use slp_collector::ledger::{Ledger, Options, RegisterKind};

const REPORTS_EACH: usize = 20;
/// Three Smart Accounts with three Virtual Accounts each.
const ACCOUNTS: usize = 9;
const SITE: &str = "dark";
/// What the payload has beside the facts: as random as a signature is.
const NOISE: usize = 1_200;

fn main() {
    let instances = setting("SLP_BENCH_INSTANCES", 5_000);
    let folder = folder();
    let bytes = fill(folder.path(), instances);
    say(&format!(
        "{} reports of {instances} instances, {} MB (aims: < 60 s, <= 150 MB, <= 2 x tar and gzip)",
        instances * REPORTS_EACH,
        bytes >> 20
    ));
    let config = configure(folder.path(), instances);
    let collector = |arguments: &[&str]| {
        let mut command = operator::collector(&config);
        command.args(arguments);
        command
    };
    let status = || run("status, which opens the same ledger", collector(&["status", "--format", "json"]));
    let before = status();
    let made = run("bundle create, a folder", collector(&["bundle", "create"]));
    let bundle = newest(folder.path());
    run("bundle verify of it", collector(&["bundle", "verify", &bundle.display().to_string()]));
    let between = status();
    let tar = run("bundle create --tar", collector(&["bundle", "create", "--tar"]));
    let path = newest(folder.path()).display().to_string();
    run("bundle verify of it", collector(&["bundle", "verify", &path]));
    let peers = run("tar and gzip of the same files", peers(&bundle));
    for (name, ran, base) in [("a folder", made, before), ("--tar", tar, between)] {
        say(&format!(
            "  {name}: {:.2} x the CPU time of tar and gzip, {:.2} x their time; {} MB above the ledger",
            ran.cpu / peers.cpu,
            ran.seconds / peers.seconds,
            ran.peak.saturating_sub(base.peak)
        ));
    }
}

/// What one run took.
#[derive(Clone, Copy)]
struct Ran {
    seconds: f64,
    /// Of all its processes and threads: what a loaded machine does not change.
    cpu: f64,
    /// The highest RSS, in MB.
    peak: u64,
}

fn run(what: &str, mut command: Command) -> Ran {
    let (start, before) = (Instant::now(), cpu(UsageWho::RUSAGE_CHILDREN));
    // VmHWM is the child's own and is gone with it; so it is looked at while it runs.
    let mut child = command.stdout(std::process::Stdio::null()).spawn().expect("it starts");
    let mut peak = 0;
    let outcome = loop {
        peak = peak.max(memory(child.id(), "VmHWM").unwrap_or(0) >> 10);
        match child.try_wait().expect("its end") {
            Some(outcome) => break outcome,
            None => std::thread::park_timeout(Duration::from_millis(20)),
        }
    };
    let (seconds, cpu) = (start.elapsed().as_secs_f64(), (cpu(UsageWho::RUSAGE_CHILDREN) - before).as_secs_f64());
    let ran = Ran { seconds, cpu, peak };
    assert!(outcome.success(), "{what}: {outcome}");
    say(&format!("  {what}: {:.1} s, {:.1} s of CPU, peak RSS {peak} MB", ran.seconds, ran.cpu));
    ran
}

/// The same files into the same kind of archives: one of each Virtual Account, and those into one.
fn peers(bundle: &Path) -> Command {
    // The bundle has them by device; which of them go together makes no difference to the work.
    let script = format!(
        "set -e; ls single > list; split -n l/{ACCOUNTS} list part.; \
         for part in part.*; do tar -cf - -C single -T $part | gzip -n > UD_VA_$part.tar.gz; done; \
         tar -cf - UD_VA_*.tar.gz | gzip -n > peer.tar.gz; sync -f peer.tar.gz; rm -f list part.* UD_VA_* peer.tar.gz"
    );
    let mut shell = Command::new("bash");
    shell.args(["-c", &script]).current_dir(bundle);
    shell
}

fn newest(folder: &Path) -> PathBuf {
    let entries = std::fs::read_dir(folder.join("exchange")).expect("bundles").flatten();
    let made = |path: &PathBuf| std::fs::metadata(path).and_then(|metadata| metadata.modified()).ok();
    entries.map(|entry| entry.path()).max_by_key(made).expect("a bundle")
}

fn object(instance: usize, id: usize, random: &mut fastrand::Rng) -> Vec<u8> {
    let noise: Vec<u8> = std::iter::repeat_with(|| random.u8(..)).take(NOISE).collect();
    let (noise, start) = (data_encoding::BASE64.encode(&noise), 1_788_000_000 + id * 86_400);
    let payload = format!(
        r#"{{"version":"2.0","asset_identification":{{"report_id":{},"asset":{{"name":"regid.2017-05.com.cisco.c9300_48uxm,v1_0000"}},"instance":{{"sudi":{{"udi_pid":"C9300-48UXM","udi_serial_number":"FOC{instance:08}"}}}}}},"signature":{{"value":"{noise}"}},"meta":{{"entitlement_tag":"regid.2017-03.com.cisco.license-{},1.0_0001","software_version":"17.12.04"}},"measurements":[{{"metric_name":"ENTITLEMENT","start_time":{start},"end_time":{},"sample_interval":86400,"num_samples":97,"value":{{"type":"COUNT","value":"1"}}}}]}}"#,
        1_790_000_000 + id,
        id % 3,
        start + 86_400
    );
    let payload = serde_json::to_string(&payload).expect("text");
    format!(
        r#"{{"payload":{payload},"header":{{"type":"rum"}},"signature":{{"sudi":{{"udi_pid":"C9300-48UXM","udi_serial_number":"FOC{instance:08}"}},"signing_type":"builtin","key":"x","value":"x"}}}}"#
    )
    .into_bytes()
}

/// A configuration for the program; nothing answers at these addresses.
fn configure(folder: &Path, instances: usize) -> PathBuf {
    let config = format!(
        "[collector]\nstate_dir = {folder:?}\nsocket = \"control.sock\"\n[http]\nenabled = false\n{}[sites.{SITE}]\n",
        operator::credential(folder)
    );
    let row = |n: usize| {
        let account = n % ACCOUNTS;
        format!("{},{},9,{SITE},sa-{}.example,Virtual {account}\n", name(n), operator::address(n), account / 3)
    };
    let rows: String = (0..instances).map(row).collect();
    let path = folder.join("slp-collector.toml");
    std::fs::write(&path, config).expect("configuration");
    let inventory = format!("name,address,port,site,smart_account,virtual_account\n{rows}");
    std::fs::write(folder.join("devices.csv"), inventory).expect("inventory");
    path
}

/// A ledger of instances that owe; gives the bytes of their reports.
fn fill(folder: &Path, instances: usize) -> usize {
    let options = Options { register: RegisterKind::Sled, ..Options::default() };
    let ledger = Ledger::open(&folder.join("ledger"), options).expect("open");
    let (mut random, mut total) = (fastrand::Rng::with_seed(7), 0);
    for group in (0..instances).collect::<Vec<_>>().chunks(50) {
        let (mut facts, mut objects) = (Vec::new(), Vec::new());
        for &instance in group {
            let state = DeviceState { model: Model::Slp, udi: Some(udi(instance)), ..DeviceState::default() };
            facts.extend(identified(instance, Site::from(SITE), state));
            for id in 0..REPORTS_EACH {
                let object = object(instance, id, &mut random);
                let text = std::str::from_utf8(&object).expect("text");
                total += object.len();
                facts.push(Fact::ReportCollected(ReportCollected {
                    device: Some(name(instance)),
                    report: read::report(text).expect("a report").facts,
                    object: Sha256::of(&object),
                    source: Source::Rest,
                    parser: 1,
                    presumed_acknowledged: false,
                    feature: None,
                }));
                objects.push(object);
            }
        }
        ledger.append(at(group[0] as i64), facts, objects).expect("append");
    }
    ledger.close().expect("close");
    total
}
