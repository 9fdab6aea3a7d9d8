//! What one pass over many devices costs the collector: time, processor, peak memory; beside a Python script.
//!
//! `cargo bench --bench access`. The lab and every measured program run in processes of their own, so that nothing is
//! counted twice. 1,000 devices by SSH, 5,000 by HTTPS, then some whose reports are bodies of 4 MB, always 256 at once.
//! Ends with 1 when the collector's peak was above [`MOST_MEMORY`] or a device failed.
//!
//! `SLP_BENCH_SSH`, `SLP_BENCH_HTTPS` and `SLP_BENCH_LARGE` set how many devices; 0 leaves a part out.
//! `SLP_BENCH_PYTHON` names an interpreter that has netmiko and requests: it then asks 50 of the same devices what the
//! collector asks them, as `access_python.py` beside this file does it.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a bench is read on the terminal")]

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use lab::spec::Faces;
use lab::udi::{Member, Role, Udi};
use lab::{Clock, Fleet, Spec, specs};
use nix::sys::resource::{Resource, UsageWho, getrlimit, getrusage, setrlimit};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

const CONCURRENCY: usize = 256;
/// The collector's peak, in bytes.
const MOST_MEMORY: u64 = 200 << 20;
/// What a large device's reports are together, at least, in bytes.
const LARGE_BODY: usize = 4 << 20;
const PYTHON_DEVICES: usize = 50;
/// The longest that a measured program may take.
const LONGEST: Duration = Duration::from_secs(300);

const USER: &str = "slp";
const PASSWORD: &str = "only-in-the-lab";
/// For a device that has not this way in: nothing answers there.
const CLOSED: u16 = 1;

/// A fleet and how it is polled.
#[derive(Clone, Copy)]
struct Part {
    name: &'static str,
    what: &'static str,
    access: &'static str,
    /// Where the environment tells how many devices.
    variable: &'static str,
    devices: usize,
    large: bool,
    /// Lines of `[poll]`.
    poll: &'static str,
}

/// Small enough for the memory aimed at: an answer is read into reports, so it is there twice for a while.
const TIGHT: &str = "body_limit = \"8MiB\"\nin_flight_limit = \"16MiB\"\n";

const PARTS: [Part; 4] = [
    Part { name: "ssh", what: "SSH", access: "ssh", variable: "SLP_BENCH_SSH", devices: 1000, large: false, poll: "" },
    Part {
        name: "https",
        what: "HTTPS",
        access: "rest",
        variable: "SLP_BENCH_HTTPS",
        devices: 5000,
        large: false,
        poll: "",
    },
    Part {
        name: "https-large",
        what: "HTTPS, 4 MB of reports each",
        access: "rest",
        variable: "SLP_BENCH_LARGE",
        devices: 48,
        large: true,
        poll: TIGHT,
    },
    Part {
        name: "ssh-large",
        what: "SSH and SCP, 4 MB of reports each",
        access: "ssh",
        variable: "SLP_BENCH_LARGE",
        devices: 48,
        large: true,
        poll: TIGHT,
    },
];

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match &words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["lab", part, devices, folder] => serve(part, devices.parse().expect("a number"), Path::new(folder)),
        ["measure", program, arguments @ ..] => measure(program, arguments),
        _ => bench(),
    }
}

fn bench() -> ExitCode {
    more_descriptors();
    let mut good = true;
    for part in PARTS {
        let devices = std::env::var(part.variable).ok().map_or(part.devices, |text| text.parse().expect("a number"));
        if devices > 0 {
            good &= polled(&Part { devices, ..part });
        }
    }
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// A descriptor for each device of the lab, one for each end of a connection.
fn more_descriptors() {
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).expect("the system tells");
    setrlimit(Resource::RLIMIT_NOFILE, most, most).expect("up to the hard limit is allowed");
}

/// Two passes over a fleet: first contact, and one that finds nothing new.
fn polled(part: &Part) -> bool {
    let folder = tempfile::tempdir().expect("a folder");
    let (mut lab, ready) = start(part, folder.path());
    println!("{} devices by {} ({ready})", part.devices, part.what);
    let mut good = true;
    let mut again = None;
    for pass in ["first contact", "nothing new"] {
        let mut program = Command::new(own());
        program.args(["measure", env!("CARGO_BIN_EXE_slp-collector"), "--config"]);
        program.arg(folder.path().join("slp-collector.toml")).args(["poll", "--all", "--format", "json"]);
        if part.large && again.is_none() {
            // Over SSH that saves all of them to one file.
            program.arg("--close");
        }
        let (used, output) = Used::of(&mut program, folder.path());
        let lines: Vec<Value> = serde_json::from_str(&output).expect("a JSON list");
        let failed: Vec<&Value> = lines.iter().filter(|line| !line["failure"].is_null()).collect();
        let collected: u64 = lines.iter().filter_map(|line| line["collected"].as_u64()).sum();
        println!("  {pass:<14} {}, {collected} reports, {} failed", used.told(part.devices), failed.len());
        for line in failed.iter().take(3) {
            println!("    {} {}", line["device"], line["failure"]);
        }
        good &= failed.is_empty() && lines.len() == part.devices && used.memory <= MOST_MEMORY;
        again = Some(used);
    }
    if let (Some(ours), Some(python), false) = (again, std::env::var_os("SLP_BENCH_PYTHON"), part.large) {
        let devices = PYTHON_DEVICES.min(part.devices);
        let mut program = Command::new(own());
        program.arg("measure").arg(python);
        program.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/access_python.py"));
        program.args([part.access, &devices.to_string(), USER, PASSWORD]).arg(folder.path().join("devices.csv"));
        let (theirs, output) = Used::of(&mut program, folder.path());
        println!("  {:<14} {}, {}", "Python", theirs.told(devices), output.trim());
        let (ours, theirs) = (ours.each(part.devices), theirs.each(devices));
        println!("  Python / ours, a device: processor {:.1}, time {:.1}", theirs.0 / ours.0, theirs.1 / ours.1);
    }
    drop(lab.stdin.take());
    lab.wait().expect("the lab ends");
    good
}

fn own() -> std::path::PathBuf {
    std::env::current_exe().expect("the system tells")
}

/// What a program took.
struct Used {
    wall: Duration,
    processor: Duration,
    /// At its peak, in bytes.
    memory: u64,
}

impl Used {
    /// Runs this program as `measure`, which says on the last line of its standard error what was used.
    fn of(program: &mut Command, folder: &Path) -> (Used, String) {
        let mut child = program
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts");
        let mut stderr = child.stderr.take().expect("piped");
        let said = std::thread::spawn(move || {
            let mut said = String::new();
            stderr.read_to_string(&mut said).expect("text");
            said
        });
        let mut output = String::new();
        child.stdout.take().expect("piped").read_to_string(&mut output).expect("text");
        child.wait().expect("it ends");
        let said = said.join().expect("no panic");
        let numbers: Vec<u64> =
            said.lines().last().unwrap_or_default().split(' ').filter_map(|word| word.parse().ok()).collect();
        let [wall, processor, memory] = numbers[..] else { panic!("{said}") };
        let used = Used { wall: Duration::from_micros(wall), processor: Duration::from_micros(processor), memory };
        (used, output)
    }

    /// Seconds of processor and of time, a device.
    fn each(&self, devices: usize) -> (f64, f64) {
        (self.processor.as_secs_f64() / devices as f64, self.wall.as_secs_f64() / devices as f64)
    }

    fn told(&self, devices: usize) -> String {
        let (processor, wall) = self.each(devices);
        let mut told = format!("{:6.1} s, {:6.0} devices/s", self.wall.as_secs_f64(), 1.0 / wall);
        write!(told, ", {:7.2} ms CPU a device, peak {:4} MB", processor * 1e3, self.memory >> 20).expect("memory");
        told
    }
}

/// Runs a program and tells what it used. A process of its own, because a process learns only of all its children.
fn measure(program: &str, arguments: &[&str]) -> ExitCode {
    let began = Instant::now();
    let mut child = Command::new(program).args(arguments).spawn().expect("it starts");
    let pid = Pid::from_raw(child.id() as i32);
    let (tell, told) = channel();
    std::thread::spawn(move || drop(tell.send(child.wait())));
    let ended = told.recv_timeout(LONGEST).unwrap_or_else(|_| {
        kill(pid, Signal::SIGKILL).expect("it ends");
        panic!("{program} took longer than {LONGEST:?}");
    });
    let ended = ended.expect("the system tells");
    let wall = began.elapsed();
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).expect("the system tells");
    let micros = |time: nix::sys::time::TimeVal| time.tv_sec() * 1_000_000 + time.tv_usec();
    let processor = micros(usage.user_time()) + micros(usage.system_time());
    eprintln!("{} {processor} {}", wall.as_micros(), usage.max_rss() * 1024);
    ExitCode::from(u8::try_from(ended.code().unwrap_or(1)).unwrap_or(1))
}

/// The lab, and what it said when it was ready.
fn start(part: &Part, folder: &Path) -> (Child, String) {
    let mut lab = Command::new(own())
        .args(["lab", part.name, &part.devices.to_string()])
        .arg(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the lab starts");
    let mut ready = String::new();
    BufReader::new(lab.stdout.take().expect("piped")).read_line(&mut ready).expect("the lab is ready");
    (lab, ready.trim().to_owned())
}

/// A lab with its operator's files, until its input ends.
fn serve(part: &str, devices: usize, folder: &Path) -> ExitCode {
    let part = PARTS.into_iter().find(|known| known.name == part).expect("a part of this bench");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let clock = Clock::at(jiff::Timestamp::now().as_second());
    let specs = specs(&part, devices);
    let fleet = runtime.block_on(Fleet::start(specs, clock)).expect("a fleet");
    enter(&part, &fleet, folder);
    let body = fleet.devices().next().filter(|_| part.large).map_or(0, |device| {
        match device.apply(lab::Operation::AllReports) {
            lab::Reply::Reports(reports) => reports.iter().map(|report| report.json.len()).sum(),
            other => panic!("{other:?}"),
        }
    });
    assert!(!part.large || body >= LARGE_BODY, "only {body} bytes of reports");
    println!("{} bytes of finished reports each", body);
    std::io::stdin().read_to_end(&mut Vec::new()).expect("the end of the input");
    ExitCode::SUCCESS
}

fn specs(part: &Part, devices: usize) -> Vec<Spec> {
    const DAY: i64 = 86_400;
    let mut specs = if part.access == "ssh" { specs::mixed(devices, 5) } else { Fleet::spec(devices, 5) };
    for spec in &mut specs {
        (spec.user, spec.password) = (USER.to_owned(), PASSWORD.to_owned());
        if part.access == "ssh" {
            spec.faces = Faces::ssh_and_scp();
            spec.terminal.enable = None;
        }
        if part.large {
            spec.licences.iter_mut().for_each(|licence| licence.count = licence.count.max(1));
            // A stack of eight, so that a report has the size of real ones, 2.2 KB; and more of them than any device
            // keeps: what matters is the size of the body.
            let serial = spec.udi().clone();
            spec.members.extend((1..8).map(|chassis| Member {
                role: Role::Member,
                udi: Udi::new(serial.pid.clone(), format!("{}{chassis}", serial.sn)),
            }));
            (spec.age, spec.knobs.storage) = (2700 * DAY, usize::MAX);
            let chains = i64::try_from(spec.licences.len()).expect("few");
            spec.knobs.closes_itself_after = Some(DAY * 4 * chains / 3);
        }
    }
    specs
}

/// Configuration, inventory and password. What spares a real network is off: it would be the only figure.
fn enter(part: &Part, fleet: &Fleet, folder: &Path) {
    let toml = format!(
        "[collector]\nstate_dir = \"state\"\nsocket = \"control.sock\"\n[poll]\nconcurrency = {CONCURRENCY}\nconnects_per_second = 10000\n{}\
         [defaults]\nmode = \"collect\"\ncredential = \"lab\"\naccess = \"{}\"\n\
         [credentials.lab]\nusername = \"{USER}\"\npassword_file = \"password\"\n",
        part.poll, part.access
    );
    let mut csv = "name,address,port,ssh_port,os\n".to_owned();
    for device in fleet.devices() {
        let (name, addr) = (device.name(), device.addr());
        let ssh = device.ssh_addr().map_or(CLOSED, |addr| addr.port());
        writeln!(csv, "{name},{},{},{ssh},{}", addr.ip(), addr.port(), device.spec().os.name()).expect("memory");
    }
    std::fs::write(folder.join("slp-collector.toml"), toml).expect("configuration");
    std::fs::write(folder.join("devices.csv"), csv).expect("inventory");
    let password = folder.join("password");
    std::fs::write(&password, PASSWORD).expect("a password file");
    std::fs::set_permissions(&password, std::fs::Permissions::from_mode(0o600)).expect("for its owner");
}
