//! The daemon tells: what is wrong with a device reaches whoever is to know, once, and so does its end.

mod prometheus;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use lab::policy::Policy;
use lab::{Spec, specs};
use nix::sys::signal::Signal;
use serde_json::Value;
use slp_collector::daemon::{self, Fault, Order};
use slp_collector::flow::Clock;
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::daemon::Daemon;
use crate::support::receiver::{PATIENCE, Receiver, Request};
use crate::support::site::{LIMITS, Site};

/// At once, of deadlines alone; nothing before they are past.
const ALERTS: &str = "[alerts]\nladder = []\ngroup_wait = \"0s\"\ngroup_interval = \"0s\"\n";

const DAY: i64 = 86_400;

/// A device that must report within two days, and again every two days.
fn hasty(name: &str) -> Spec {
    let mut spec = specs::switch(name);
    spec.policy = Policy::custom("Every two days", 2, 2, 0);
    spec
}

/// A webhook for deadlines alone: what else the lab's devices do wrong is not looked at here.
fn webhook(name: &str, port: u16) -> String {
    format!(
        "[sinks.{name}]\ntype = \"webhook\"\nurl = \"http://127.0.0.1:{port}/{name}\"\n\
         topics = [\"reminder\", \"overdue\", \"met\"]\n"
    )
}

/// A site whose devices have missed their deadline by two days and where these sinks are configured.
fn late(names: &[&str], more: &str) -> Site {
    let poll = format!("{LIMITS}spread = \"0s\"\n{ALERTS}{more}");
    let site = Site::with(names.iter().map(|name| hasty(name)).collect(), &poll, |_| "deliver");
    site.advance(4 * DAY);
    site
}

/// Receivers, and a thread of their own to live on.
struct Receivers(Runtime);

impl Receivers {
    fn new() -> Receivers {
        Receivers(tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap())
    }

    fn start(&self) -> Receiver {
        self.0.block_on(Receiver::start(None))
    }

    /// The next message.
    #[track_caller]
    fn message(&self, receiver: &mut Receiver) -> Value {
        self.request(receiver).json()
    }

    #[track_caller]
    fn request(&self, receiver: &mut Receiver) -> Request {
        self.0.block_on(receiver.request())
    }
}

/// Brings everything home: closes, bundles, carries to the portal and imports what comes back.
fn acknowledge(site: &mut Site) {
    site.run(["poll", "--all", "--close"]).exits(0);
    let bundle = site.bundle();
    let (answers, refusals) = site.upload(&bundle);
    assert!(refusals.is_empty() && !answers.is_empty(), "{refusals:?}");
    site.advance(3600);
    site.import(&site.download(&answers), &[]).exits(0);
}

/// Topic, severity and who it is about.
fn about(message: &Value) -> (&str, &str, Vec<&str>) {
    let names = message["lines"].as_array().unwrap().iter().map(|line| line["name"].as_str().unwrap()).collect();
    (message["topic"].as_str().unwrap(), message["severity"].as_str().unwrap(), names)
}

#[test]
fn an_overdue_device_is_told_of_once_across_a_restart_and_then_that_it_is_met() {
    let receivers = Receivers::new();
    let mut receiver = receivers.start();
    let mut site = late(&["edge-1"], &webhook("ops", receiver.port));
    let mut daemon = Daemon::start(&site, None);
    daemon.logs("run over the fleet ended");
    // A word from a person, and everything is looked at.
    site.run(["poll", "edge-1"]).exits(0);
    let request = receivers.request(&mut receiver);
    let told = request.json();
    assert_eq!(request.line, "POST /ops");
    assert_eq!(request.header("content-type"), Some("application/json"));
    assert_eq!(request.header("idempotency-key"), told["id"].as_str());
    let row = site.status().remove(0);
    assert_eq!(row["state"], "overdue");
    assert_eq!(about(&told), ("overdue", "critical", vec!["edge-1"]));
    assert_eq!((&told["version"], &told["collector"], &told["site"]), (&1.into(), &"test-house".into(), &"".into()));
    assert_eq!(told["title"], "1 obligation is overdue");
    let line = &told["lines"][0];
    for (key, expected) in [("device", "device"), ("state", "state"), ("due", "due"), ("leave_by", "leave_by")] {
        assert_eq!(line[key], row[expected], "{key}");
    }
    let serial = site.device("edge-1").spec().members[0].udi.sn.clone();
    assert!(line["instance"].to_string().contains(&serial), "{line}");
    assert!(line["what"].as_str().unwrap().contains("no acknowledgement") && line["remedy"].is_string(), "{line}");
    daemon.logs("told sink=ops");
    let (code, log) = daemon.stop();
    assert_eq!(code, Some(0), "{log}");
    assert!(site.ledger().fleet().messages.is_empty());

    // It looks at everything when it starts.
    let mut daemon = Daemon::start(&site, None);
    site.run(["poll", "edge-1"]).exits(0);
    acknowledge(&mut site);
    site.run(["poll", "edge-1"]).exits(0);
    let met = receivers.message(&mut receiver);
    assert_eq!(about(&met), ("met", "info", vec!["edge-1"]), "nothing was told twice");
    daemon.logs("told sink=ops");
    let (code, log) = daemon.stop();
    assert_eq!(code, Some(0), "{log}");
    assert!(receiver.is_quiet(), "{log}");
    assert!(site.ledger().fleet().messages.is_empty());
}

#[test]
fn what_waits_for_a_sink_that_is_taken_away_is_let_go_and_said() {
    let receivers = Receivers::new();
    let mut receiver = receivers.start();
    let kept = webhook("kept", receiver.port);
    let gone = webhook("gone", 1);
    let site = late(&["edge-1"], &format!("{kept}{gone}"));
    let mut daemon = Daemon::start(&site, None);
    daemon.logs("run over the fleet ended");
    site.run(["poll", "edge-1"]).exits(0);
    let told = receivers.message(&mut receiver);
    let refused = daemon.logs("a message was not taken");
    assert!(refused.contains("sink=gone") && refused.contains(told["id"].as_str().unwrap()), "{refused}");

    let text = std::fs::read_to_string(site.config_file()).unwrap();
    std::fs::write(site.config_file(), text.replace(&gone, "")).unwrap();
    daemon.signal(Signal::SIGHUP);
    let said = daemon.logs("let go of");
    assert!(said.contains("sink=gone") && said.contains(told["id"].as_str().unwrap()), "{said}");
    let (code, log) = daemon.stop();
    assert_eq!(code, Some(0), "{log}");
    assert!(site.ledger().fleet().messages.is_empty());
    assert!(receiver.is_quiet(), "{log}");
}

/// The service within this process, on the lab's clock.
struct Inside {
    runtime: Runtime,
    orders: mpsc::Sender<Order>,
    running: JoinHandle<Result<(), Fault>>,
}

impl Inside {
    fn start(site: &Site) -> Inside {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let time = site.fleet.clock().clone();
        let clock = Clock::of(move || Timestamp::from_second(time.now()).unwrap());
        let (orders, given) = mpsc::channel(1);
        let running = runtime.spawn(daemon::obey(site.config(), clock, given));
        let inside = Inside { runtime, orders, running };
        inside.answers(&site.path("control.sock"));
        inside
    }

    /// Waits until it answers questions.
    fn answers(&self, socket: &Path) {
        let until = Instant::now() + PATIENCE;
        while std::os::unix::net::UnixStream::connect(socket).is_err() {
            assert!(Instant::now() < until && !self.running.is_finished(), "the daemon does not answer");
            std::thread::yield_now();
        }
    }

    fn stop(self) {
        self.orders.blocking_send(Order::Stop("the test")).unwrap();
        self.runtime.block_on(self.running).unwrap().unwrap();
    }
}

/// Makes the daemon look at everything, and changes nothing.
fn stir(site: &Site) {
    site.run(["silence", "end", "s-0000000000"]);
}

/// A server that has not synchronised for 100 days: one more thing to tell.
fn neglect(site: &Site, server: &str) {
    let at = Timestamp::from_second(site.fleet.clock().now() - 100 * DAY).unwrap().to_string();
    site.run(["on-prem", "synced", server, "--at", &at]).exits(0);
}

/// What a sink is tried with next. Its rest may have begun only after the clock was moved; then it is moved on.
#[track_caller]
fn tried(receivers: &Receivers, receiver: &mut Receiver, site: &Site) -> Value {
    let until = Instant::now() + PATIENCE;
    while Instant::now() < until {
        let moment = Duration::from_secs(2);
        if let Some(request) = receivers.0.block_on(receiver.request_within(moment)) {
            return request.json();
        }
        site.advance(60);
        stir(site);
    }
    panic!("it is not tried again");
}

#[test]
fn a_sink_that_was_down_for_an_hour_has_each_message_once_and_in_order() {
    const TURNED_AWAY: &str = "503 Service Unavailable";
    let receivers = Receivers::new();
    let (mut up, mut down) = (receivers.start(), receivers.start());
    let site = late(&["edge-1"], &format!("{}{}", webhook("up", up.port), webhook("down", down.port)));
    (0..1000).for_each(|_| down.answer(TURNED_AWAY, "not now"));
    let mut inside = Inside::start(&site);
    site.run(["poll", "edge-1"]).exits(0);
    let began = site.fleet.clock().now();
    let mut made = vec![receivers.message(&mut up)];
    assert_eq!(about(&made[0]), ("overdue", "critical", vec!["edge-1"]));
    for minutes in (10..60).step_by(10) {
        site.advance(600);
        neglect(&site, &format!("house-{minutes}"));
        let told = receivers.message(&mut up);
        assert_eq!(about(&told), ("overdue", "critical", vec![format!("On-Prem house-{minutes}").as_str()]));
        made.push(told);
        // The oldest is tried again, and nothing else.
        assert_eq!(tried(&receivers, &mut down, &site), made[0]);
        if minutes == 30 {
            inside.stop();
            inside = Inside::start(&site);
            assert_eq!(tried(&receivers, &mut down, &site), made[0], "it waits on disk");
        }
    }
    assert_eq!(made.len(), 6);
    assert!(site.fleet.clock().now() - began >= 3000);

    // It is there again; with the last that was turned away an hour is over.
    down.answers.lock().unwrap().clear();
    site.advance(600);
    stir(&site);
    let mut arrived = vec![tried(&receivers, &mut down, &site)];
    while arrived.len() < made.len() {
        arrived.push(receivers.message(&mut down));
    }
    assert_eq!(arrived, made);
    inside.stop();
    assert!(up.is_quiet() && down.is_quiet(), "told twice");
    let ledger = site.ledger();
    assert!(ledger.fleet().messages.is_empty());
}

#[test]
fn a_silence_hushes_until_it_is_ended() {
    let receivers = Receivers::new();
    let mut receiver = receivers.start();
    let poll = format!("{LIMITS}spread = \"0s\"\n{ALERTS}{}", webhook("ops", receiver.port));
    let site = Site::with(["edge-1", "edge-2"].map(hasty).to_vec(), &poll, |_| "deliver");
    site.advance(3600);
    let inside = Inside::start(&site);
    site.run(["poll", "--all"]).exits(0);
    let until = Timestamp::from_second(site.fleet.clock().now() + 10 * DAY).unwrap().to_string();
    site.run(["silence", "add", "--device", "edge-1", "--until", &until, "--note", "moving house"]).exits(0);
    site.advance(4 * DAY);
    stir(&site);
    let told = receivers.message(&mut receiver);
    assert_eq!(about(&told), ("overdue", "critical", vec!["edge-2"]));
    // The register hides nothing.
    let states: BTreeMap<String, String> = site
        .status()
        .iter()
        .map(|row| (row["device"].as_str().unwrap().to_owned(), row["state"].as_str().unwrap().to_owned()))
        .collect();
    assert!(states.values().all(|state| state == "overdue"), "{states:?}");
    // And what else is wrong is told at once.
    neglect(&site, "house");
    assert_eq!(about(&receivers.message(&mut receiver)).2, ["On-Prem house"]);

    let silences: Vec<Value> = site.run(["silence", "list", "--format", "json"]).exits(0).json();
    site.run(["silence", "end", silences[0]["id"].as_str().unwrap()]).exits(0);
    let told = receivers.message(&mut receiver);
    assert_eq!(about(&told), ("overdue", "critical", vec!["edge-1"]));
    inside.stop();
    assert!(receiver.is_quiet());
}
