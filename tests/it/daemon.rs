//! The service itself: what it tells systemd, what it answers while it runs, and how it ends.

use std::io::{BufRead, BufReader};
use std::os::unix::net::UnixDatagram;
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use lab::{Fault, Handle, Operation, specs};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use slp_collector::domain::event::{Fact, ScheduleRan};

use crate::support::site::{LIMITS, Site, files};

/// No test waits longer for something that must come.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running daemon; killed when a test gives up on it.
pub struct Daemon {
    child: Child,
    socket: UnixDatagram,
    lines: Receiver<String>,
    /// What it has logged so far.
    log: String,
}

impl Daemon {
    pub fn start(site: &Site, watchdog: Option<Duration>) -> Daemon {
        let path = site.path("notify.sock");
        drop(std::fs::remove_file(&path));
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut command = site.command(["run"]);
        command.env("NOTIFY_SOCKET", &path).stdout(Stdio::piped()).stderr(Stdio::piped());
        if let Some(watchdog) = watchdog {
            command.env("WATCHDOG_USEC", watchdog.as_micros().to_string());
        }
        let mut child = command.spawn().unwrap();
        let (tell, lines) = channel();
        let out = BufReader::new(child.stdout.take().unwrap());
        let err = BufReader::new(child.stderr.take().unwrap());
        let also = tell.clone();
        std::thread::spawn(move || out.lines().map_while(Result::ok).for_each(|line| drop(also.send(line))));
        std::thread::spawn(move || err.lines().map_while(Result::ok).for_each(|line| drop(tell.send(line))));
        let mut daemon = Daemon { child, socket, lines, log: String::new() };
        daemon.told("READY=1");
        daemon
    }

    /// Waits for a word to systemd.
    #[track_caller]
    pub fn told(&mut self, word: &str) {
        let mut buffer = [0; 4096];
        loop {
            let length =
                self.socket.recv(&mut buffer).unwrap_or_else(|error| panic!("no {word}: {error}\n{}", self.log));
            if String::from_utf8_lossy(&buffer[..length]).lines().any(|line| line == word) {
                return;
            }
        }
    }

    /// Waits for a line of the log.
    #[track_caller]
    pub fn logs(&mut self, words: &str) -> String {
        let until = Instant::now() + PATIENCE;
        loop {
            match self.lines.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    self.log += &format!("{line}\n");
                    if line.contains(words) {
                        return line;
                    }
                }
                Err(error) => panic!("no {words:?} in the log ({error}):\n{}", self.log),
            }
        }
    }

    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().try_into().unwrap()), signal).unwrap();
    }

    /// Asks it to stop; its exit code and everything it logged.
    pub fn stop(mut self) -> (Option<i32>, String) {
        self.signal(Signal::SIGTERM);
        let status = self.child.wait().unwrap();
        self.log.extend(self.lines.iter().map(|line| format!("{line}\n")));
        (status.code(), std::mem::take(&mut self.log))
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn site(names: &[&str]) -> Site {
    let site = Site::with(
        names
            .iter()
            .map(|name| {
                let mut spec = specs::switch(name);
                // A word that stands nowhere else.
                spec.password = format!("Zq7-never-{name}-seen");
                spec.user = format!("user-{name}");
                spec
            })
            .collect(),
        &format!("{LIMITS}spread = \"0s\"\n"),
        |_| "deliver",
    );
    site.advance(3600);
    site
}

#[test]
fn systemd_is_told_of_start_life_and_end() {
    let site = site(&["edge-1"]);
    let mut daemon = Daemon::start(&site, Some(Duration::from_secs(1)));
    assert!(site.path("control.sock").exists(), "READY means that the socket answers");
    daemon.told("WATCHDOG=1");
    daemon.told("WATCHDOG=1");
    daemon.signal(Signal::SIGTERM);
    daemon.told("STOPPING=1");
    let (code, log) = daemon.stop();
    assert_eq!(code, Some(0), "{log}");
    assert!(log.contains("stopping") && log.contains("SIGTERM"), "{log}");
    assert!(!site.path("control.sock").exists(), "the socket is left behind");
    site.run(["ledger", "verify"]).exits(0);
}

#[test]
fn a_register_of_thousands_comes_whole_over_the_socket() {
    let site = site(&["edge-1"]);
    let mut csv = std::fs::read_to_string(site.path("devices.csv")).unwrap();
    csv.extend((0..2500).map(|n| format!("visit-{n:04},,,,,by-hand,,,observe\n")));
    std::fs::write(site.path("devices.csv"), csv).unwrap();
    let names =
        || -> Vec<String> { site.status().iter().map(|row| row["device"].as_str().unwrap().to_owned()).collect() };
    let alone = names();
    assert_eq!(alone.len(), 2501);
    let mut daemon = Daemon::start(&site, None);
    daemon.logs("run over the fleet ended");
    assert_eq!(names(), alone);
    assert_eq!(site.run(["status", "--format", "ndjson"]).exits(0).out.lines().count(), 2501);
    assert_eq!(daemon.stop().0, Some(0));
}

#[test]
fn the_whole_loop_goes_through_the_socket_while_it_runs() {
    let mut site = site(&["edge-1", "edge-2", "edge-3"]);
    let mut daemon = Daemon::start(&site, None);
    daemon.logs("run over the fleet ended");
    assert_eq!(site.status().len(), 3);
    let polled = site.run(["poll", "--all", "--close"]).exits(0);
    assert_eq!(polled.out.lines().filter(|line| line.contains(", closed, 2 new, 0 not collected")).count(), 3);
    let bundle = site.bundle();
    assert!(bundle.starts_with(site.path("exchange")), "{}", bundle.display());
    let (answers, refusals) = site.upload(&bundle);
    assert_eq!((answers.len(), refusals), (3, Vec::new()));
    site.advance(3600);

    // Taken in only: the daemon itself brings them home.
    let imported = site.import(&site.download(&answers), &["--no-deliver"]).exits(0);
    assert_eq!(imported.out.lines().filter(|line| line.contains(": taken for edge-")).count(), 3);
    for _ in 0..3 {
        let line = daemon.logs("answer delivered");
        assert!(line.contains("ConfirmedById"), "{line}");
    }
    assert!(site.status().iter().all(|row| row["reports_waiting"] == 0));
    let (code, log) = daemon.stop();
    assert_eq!(code, Some(0), "{log}");
    // What was answered through the socket is in the ledger.
    assert_eq!(site.ledger().fleet().bundles.len(), 1);
}

#[test]
fn a_second_process_is_told_who_holds_the_ledger() {
    let site = site(&["edge-1"]);
    let daemon = Daemon::start(&site, None);
    let pid = format!("in use by process {};", daemon.child.id());
    for args in [&["ledger", "verify"] as &[&str], &["ledger", "rebuild"], &["run"]] {
        let refused = site.run(args).exits(75);
        assert!(refused.err.contains(&pid) && refused.out.is_empty(), "{refused:?}");
    }
    // The refused second service has not taken the first one's socket away.
    assert_eq!(site.status().len(), 1);
    assert_eq!(daemon.stop().0, Some(0));
    site.run(["ledger", "verify"]).exits(0);
}

#[test]
fn a_missed_run_is_caught_up_once() {
    let site = site(&["edge-1", "edge-2"]);
    let day = |days: i64| jiff::Timestamp::now() - jiff::SignedDuration::from_hours(24 * days);
    // It last ran ten days ago: ten runs were missed.
    let ran = ScheduleRan { schedule: "poll".to_owned(), due: day(10), polled: 2, failed: 0 };
    let ledger = site.ledger();
    ledger.append(day(10), vec![Fact::ScheduleRan(ran)], Vec::new()).unwrap();
    ledger.close().unwrap();
    let mut daemon = Daemon::start(&site, None);
    let line = daemon.logs("run over the fleet ended");
    assert!(line.contains("polled=2") && line.contains("failed=0"), "{line}");
    assert_eq!(daemon.stop().0, Some(0));

    // Nothing is missed any more.
    let asked: Vec<u64> = site.fleet.devices().map(|device| device.counters().total()).collect();
    let mut daemon = Daemon::start(&site, Some(Duration::from_millis(200)));
    daemon.told("WATCHDOG=1");
    daemon.told("WATCHDOG=1");
    assert_eq!(daemon.stop().0, Some(0));
    assert_eq!(site.fleet.devices().map(|device| device.counters().total()).collect::<Vec<u64>>(), asked);
    let ran = site.ledger().fleet().schedules["poll"].clone();
    assert_eq!(ran.polled, 2);
}

#[test]
fn a_site_that_is_back_is_polled_in_the_same_run() {
    let spec = |number| lab::Spec { site: "far".to_owned(), ..specs::switch(&format!("edge-{number}")) };
    let poll = "spread = \"0s\"\nconcurrency = 1\ncircuit_after = 3\ncircuit_pause = \"2s\"\n";
    let site = Site::with((1..=8).map(spec).collect(), &format!("{LIMITS}{poll}"), |_| "observe");
    site.fleet.devices().for_each(|device| device.set_fault(Fault::RefuseConnection));
    let mut daemon = Daemon::start(&site, None);
    let open = daemon.logs("circuit open");
    assert!(open.contains("site=far") && open.contains("unreachable=3"), "{open}");
    site.fleet.devices().for_each(Handle::clear_fault);
    daemon.logs("the circuit is closed");
    // Those that were stopped are not counted until they are tried; nobody is tried twice in one run.
    let ended = daemon.logs("run over the fleet ended");
    assert!(ended.contains("polled=8"), "{ended}");
    let (code, log) = daemon.stop();
    assert_eq!(code, Some(0), "{log}");
    assert_eq!(log.matches("circuit open").count(), 1, "{log}");
    let failed = log.matches("poll failed").count();
    assert!((3..8).contains(&failed) && ended.contains(&format!("failed={failed}")), "{log}");
    let reached = site.fleet.devices().filter(|device| device.counters().connections > 0).count();
    assert_eq!(reached, 8 - failed, "{log}");
}

#[test]
fn no_secret_is_ever_written() {
    let mut site = site(&["edge-1", "edge-2", "edge-3"]);
    let toml = site.config_file();
    let text = std::fs::read_to_string(&toml).unwrap();
    std::fs::write(&toml, text + "\n[log]\nlevel = \"trace\"\n").unwrap();
    site.device("edge-2").set_fault(lab::Fault::RefuseLogin);
    site.device("edge-3").apply(Operation::Close);
    site.device("edge-3").set_fault(lab::Fault::TruncatedJson);
    let mut daemon = Daemon::start(&site, None);
    daemon.logs("run over the fleet ended");
    let mut said = Vec::new();
    said.push(site.run(["poll", "--all", "--close"]));
    let bundle = site.bundle();
    let (answers, _) = site.upload(&bundle);
    said.push(site.import(&site.download(&answers), &[]));
    for args in
        [&["credential", "list", "--format", "json"] as &[&str], &["device", "show", "edge-2"], &["check-config"]]
    {
        said.push(site.run(args));
    }
    let (_, log) = daemon.stop();
    assert!(log.contains("TRACE") && log.contains("edge-2"), "{log}");

    let passwords: Vec<String> = site.fleet.devices().map(|device| device.password().to_owned()).collect();
    let login = |device: &lab::Handle| {
        data_encoding::BASE64.encode(format!("{}:{}", device.user(), device.password()).as_bytes())
    };
    let mut secrets: Vec<String> = site.fleet.devices().map(login).collect();
    secrets.extend(passwords);
    let shows = |bytes: &[u8], what: &str| {
        for secret in &secrets {
            let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!found, "{what} shows {secret}");
        }
    };
    shows(log.as_bytes(), "the log");
    for ran in &said {
        shows(ran.out.as_bytes(), "standard output");
        shows(ran.err.as_bytes(), "standard error");
    }
    let folder = site.path("");
    let written: Vec<_> =
        files(&folder).into_iter().filter(|file| file.extension().is_none_or(|kind| kind != "password")).collect();
    assert!(
        written.iter().any(|file| file.ends_with("events.log"))
            && written.iter().any(|file| file.ends_with("READ-ME.txt"))
    );
    for file in written.iter().filter(|file| file.is_file()) {
        shows(&std::fs::read(file).unwrap(), &file.display().to_string());
    }
    let listed: Vec<Value> = said[2].json();
    assert_eq!(listed.len(), 3);
}
