//! Page, metrics and health of a running daemon, and what Prometheus' own tools say of them.

mod figures;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use lab::{Fault, Spec, specs};
use serde_json::Value;
use slp_collector::metrics::FAMILIES;

use crate::daemon::Daemon;
use crate::support::peer;
use crate::support::site::{LIMITS, Site};

/// No test waits longer for an answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// A daemon over simulated devices, and where it can be watched.
struct Watched {
    site: Site,
    daemon: Daemon,
    addr: String,
}

impl Watched {
    /// It has polled everybody once. `http` are more lines of `[http]`.
    fn start(specs: Vec<Spec>, down: &[&str], http: &str) -> Watched {
        let poll = format!("{LIMITS}spread = \"0s\"\n\n[http]\nlisten = \"127.0.0.1:0\"\n{http}");
        let site = Site::with(specs, &poll, |_| "deliver");
        site.advance(3600);
        for name in down {
            site.device(name).set_fault(Fault::RefuseConnection);
        }
        let mut daemon = Daemon::start(&site, None);
        let line = daemon.logs("status page and metrics");
        let addr = line.split("http://").nth(1).and_then(|rest| rest.split('/').next()).unwrap().to_owned();
        daemon.logs("run over the fleet ended");
        Watched { site, daemon, addr }
    }

    fn get(&self, target: &str) -> Answer {
        self.say(&format!("GET {target} HTTP/1.1\r\nHost: {}\r\n\r\n", self.addr))
    }

    /// Says just these bytes and reads to the end.
    fn say(&self, bytes: &str) -> Answer {
        let mut stream = TcpStream::connect(&self.addr).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        // It may have answered and gone before all is said.
        let _ = stream.write_all(bytes.as_bytes());
        let mut text = Vec::new();
        let _ = stream.read_to_end(&mut text);
        let text = String::from_utf8(text).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {text:?}"));
        let mut lines = head.lines();
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let header = |line: &str| line.split_once(": ").map(|(key, value)| (key.to_lowercase(), value.to_owned()));
        Answer { status, headers: lines.filter_map(header).collect(), body: body.to_owned() }
    }

    fn metrics(&self) -> String {
        let answer = self.get("/metrics");
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.body
    }

    /// Scrapes until this many devices are down: on a busy machine a scrape may get the figures of the one before.
    #[track_caller]
    fn metrics_with_down(&self, down: f64) -> String {
        let until = Instant::now() + PATIENCE;
        loop {
            let text = self.metrics();
            if samples(&text, "slp_site_devices_down").values().sum::<f64>() == down {
                return text;
            }
            assert!(Instant::now() < until, "not {down} devices down:\n{text}");
        }
    }
}

#[derive(Debug)]
struct Answer {
    status: u16,
    headers: BTreeMap<String, String>,
    body: String,
}

/// The samples of one metric, labels as they are written.
fn samples<'a>(text: &'a str, name: &str) -> BTreeMap<&'a str, f64> {
    text.lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.strip_prefix(name))
        .filter(|rest| rest.starts_with(['{', ' ']))
        .map(|rest| rest.rsplit_once(' ').unwrap())
        .map(|(labels, value)| (labels, value.parse().unwrap()))
        .collect()
}

fn switches(names: &[&str]) -> Vec<Spec> {
    names.iter().map(|name| specs::switch(name)).collect()
}

#[test]
fn metrics_tell_every_device_and_how_it_stands() {
    let watched = Watched::start(switches(&["edge-1", "edge-2", "edge-3"]), &["edge-3"], "");
    let text = watched.metrics_with_down(1.0);
    let row = watched.site.status().into_iter().find(|row| row["device"] == "edge-1").unwrap();
    let instant = |key: &str| row[key].as_str().unwrap().parse::<jiff::Timestamp>().unwrap().as_second() as f64;
    let of = |name: &str, device: &str| {
        let found = samples(&text, name).into_iter().find(|(labels, _)| labels.contains(&format!("\"{device}\"")));
        found.map(|(labels, value)| (labels.to_owned(), value))
    };
    assert_eq!(of("slp_up", "edge-1").unwrap().1, 1.0);
    assert_eq!(of("slp_up", "edge-3").unwrap().1, 0.0);
    assert_eq!(of("slp_last_contact_timestamp_seconds", "edge-3").unwrap().1, 0.0);
    assert!(of("slp_last_contact_timestamp_seconds", "edge-1").unwrap().1 > 1_700_000_000.0);
    assert_eq!(of("slp_deadline_timestamp_seconds", "edge-1").unwrap().1, instant("due"));
    assert_eq!(of("slp_leave_by_timestamp_seconds", "edge-1").unwrap().1, instant("leave_by"));
    assert_eq!(of("slp_deadline_timestamp_seconds", "edge-3"), None);
    let word = |value: &Value| value.as_str().unwrap().to_owned();
    assert!(of("slp_state", "edge-1").unwrap().0.contains(&format!("state=\"{}\"", word(&row["state"]))));
    assert!(of("slp_contact", "edge-3").unwrap().0.contains("contact=\"never\""));
    let total: f64 = samples(&text, "slp_site_devices").values().sum();
    assert_eq!(total, 3.0);
    let polls = samples(&text, "slp_polls_total");
    assert_eq!((polls["{outcome=\"answered\"}"], polls["{outcome=\"unreachable\"}"]), (2.0, 1.0));
    assert_eq!(samples(&text, "slp_poll_duration_seconds_count")[""], 3.0);
    for positive in ["slp_ledger_records", "slp_ledger_bytes", "slp_ledger_segments", "slp_ledger_batches_total"] {
        assert!(samples(&text, positive)[""] > 0.0, "{positive}");
    }
    assert_eq!(samples(&text, "slp_ledger_trouble")[""], 0.0);
    assert!(samples(&text, "slp_heartbeat_timestamp_seconds")[""] > 1_700_000_000.0);

    // What a poll changes is in the next scrape.
    watched.site.device("edge-1").set_fault(Fault::RefuseConnection);
    assert_eq!(watched.site.run(["poll", "edge-1"]).code, 1);
    watched.metrics_with_down(2.0);
    watched.daemon.stop();
}

#[test]
fn promtool_finds_nothing_to_say_about_a_scrape() {
    let Some(mut promtool) = peer("promtool", &["--version"]) else { return };
    let watched = Watched::start(switches(&["edge-1", "edge-2"]), &["edge-2"], "");
    let text = watched.metrics_with_down(1.0);
    let mut check = promtool.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    check = check.stderr(Stdio::piped());
    let mut check = check.spawn().unwrap();
    check.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = check.wait_with_output().unwrap();
    let told = [output.stdout, output.stderr].concat();
    assert!(output.status.success() && told.is_empty(), "{}", String::from_utf8_lossy(&told));
}

#[test]
fn without_devices_of_their_own_sites_still_tell() {
    let watched = Watched::start(switches(&["edge-1"]), &[], "per_device = \"never\"\n");
    let text = watched.metrics_with_down(0.0);
    assert!(!text.contains("edge-1"), "{text}");
    assert_eq!(samples(&text, "slp_site_deadline_timestamp_seconds").len(), 1);
    watched.daemon.stop();
}

#[test]
fn the_page_is_read_without_scripts_and_page_by_page() {
    let names: Vec<String> = (0..5).map(|n| format!("edge-{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let watched = Watched::start(switches(&names), &["edge-4"], "");
    let page = watched.get("/");
    assert_eq!(page.status, 200);
    assert_eq!(page.headers["content-type"], "text/html; charset=utf-8");
    let policy = &page.headers["content-security-policy"];
    assert!(policy.starts_with("default-src 'none'; style-src 'sha256-") && !policy.contains("unsafe"), "{policy}");
    assert!(!page.body.contains("<script") && page.body.contains("edge-0"), "{}", page.body);
    let json = |target: &str| -> Value { serde_json::from_str(&watched.get(target).body).unwrap() };
    let whole = json("/status.json");
    assert_eq!(whole["rows"], Value::from(watched.site.status()), "the same rows as the verb's");
    assert_eq!((whole["matching"].as_u64(), whole["pages"].as_u64()), (Some(5), Some(1)));
    let mut seen = Vec::new();
    for number in 1..=3 {
        let part = json(&format!("/status.json?rows=2&page={number}"));
        assert_eq!(part["pages"], 3);
        seen.extend(part["rows"].as_array().unwrap().clone());
    }
    assert_eq!(Value::from(seen), whole["rows"]);
    assert_eq!(json("/status.json?state=unknown")["matching"], 1);
    assert_eq!(json("/status.json?site=nowhere")["rows"].as_array().unwrap().len(), 0);
    assert_eq!(json("/status.json?page=9")["rows"].as_array().unwrap().len(), 0);
    let hostile = watched.get("/?site=%22%3E%3Cscript%3Ealert(1)%3C/script%3E");
    assert_eq!(hostile.status, 200);
    assert!(!hostile.body.contains("<script"), "{}", hostile.body);
    assert_eq!(watched.get("/?state=ill").status, 400);
    watched.daemon.stop();
}

#[test]
fn it_can_only_be_read_and_only_so_much_at_once() {
    let watched = Watched::start(switches(&["edge-1"]), &[], "");
    assert_eq!((watched.get("/livez").status, watched.get("/readyz").status), (200, 200));
    assert_eq!(watched.get("/nowhere").status, 404);
    let host = &watched.addr;
    for method in ["POST", "PUT", "DELETE", "OPTIONS"] {
        let refused = watched.say(&format!("{method} / HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\n\r\n"));
        assert_eq!((refused.status, refused.headers["allow"].as_str()), (405, "GET, HEAD"), "{method}");
    }
    let head = watched.say(&format!("HEAD /metrics HTTP/1.1\r\nHost: {host}\r\n\r\n"));
    assert_eq!((head.status, head.body.as_str()), (200, ""));
    assert!(head.headers["content-length"].parse::<usize>().unwrap() > 1000);
    // A page elsewhere that made its name point here.
    assert_eq!(watched.say("GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n").status, 421);
    let long = "x".repeat(64 << 10);
    let refused = watched.say(&format!("GET /?site={long} HTTP/1.1\r\nHost: {host}\r\n\r\n")).status;
    assert!([414, 431].contains(&refused), "{refused}");
    assert_eq!(watched.say("nonsense\r\n\r\n").status, 400);
    // Whoever says nothing takes one place and no more; there are 32 of them.
    let idle: Vec<TcpStream> = (0..31).map(|_| TcpStream::connect(host).unwrap()).collect();
    assert_eq!(watched.get("/livez").status, 200);
    // With the last place taken the next one waits until heads that do not come are given up.
    let _last = [TcpStream::connect(host).unwrap(), TcpStream::connect(host).unwrap()];
    assert_eq!(watched.get("/livez").status, 200);
    drop(idle);
    watched.daemon.stop();
}

#[test]
fn a_port_of_another_program_is_no_reason_not_to_poll() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let poll = format!("{LIMITS}spread = \"0s\"\n\n[http]\nlisten = \"{}\"\n", taken.local_addr().unwrap());
    let site = Site::with(switches(&["edge-1"]), &poll, |_| "observe");
    site.advance(3600);
    let mut daemon = Daemon::start(&site, None);
    daemon.logs("no status page and no metrics");
    daemon.logs("run over the fleet ended");
    assert_eq!(daemon.stop().0, Some(0));
}

#[test]
fn listening_beyond_the_machine_is_warned_of() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("c.toml");
    fs::write(&config, "[http]\nlisten = \"0.0.0.0:9824\"\n").unwrap();
    fs::write(folder.path().join("devices.csv"), "name,address\n").unwrap();
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let code = slp_collector::cli::check_config::run(
        &slp_collector::cli::check_config::Args { probe: false },
        &config,
        jiff::Timestamp::UNIX_EPOCH,
        &mut out,
        &mut err,
    );
    let err = String::from_utf8(err).unwrap();
    assert_eq!(code, 0);
    assert!(err.starts_with("warning: http.listen is 0.0.0.0:9824"), "{err}");
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn promtool(arguments: &[&str], file: &str) -> Option<()> {
    let mut promtool: Command = peer("promtool", &["--version"])?;
    let output = promtool.args(arguments).arg(file).current_dir(root().join("config")).output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}");
    Some(())
}

#[test]
fn promtool_takes_the_rules_and_their_tests_pass() {
    if promtool(&["check", "rules"], "prometheus-rules.yml").is_some() {
        promtool(&["test", "rules"], "prometheus-rules.test.yml");
    }
}

#[test]
fn every_alert_has_its_test() {
    let rules = fs::read_to_string(root().join("config/prometheus-rules.yml")).unwrap();
    let tests = fs::read_to_string(root().join("config/prometheus-rules.test.yml")).unwrap();
    let alerts: Vec<&str> = rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    assert!(alerts.len() >= 10, "{alerts:?}");
    for alert in alerts {
        assert!(tests.contains(&format!("alertname: {alert}\n")), "{alert} has no test");
    }
}

/// Every `slp_…` word of a text.
fn names(text: &str) -> BTreeSet<String> {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.split(|c| !word(c)).filter(|name| name.starts_with("slp_")).map(str::to_owned).collect()
}

#[test]
fn rules_and_dashboard_name_only_metrics_that_there_are() {
    let mut known: BTreeSet<String> = FAMILIES.iter().map(|family| family.name.to_owned()).collect();
    known.extend(["bucket", "sum", "count"].map(|part| format!("slp_poll_duration_seconds_{part}")));
    for file in ["prometheus-rules.yml", "prometheus-rules.test.yml", "grafana-dashboard.json"] {
        let used = names(&fs::read_to_string(root().join("config").join(file)).unwrap());
        assert!(!used.is_empty(), "{file}");
        let unknown: Vec<&String> = used.difference(&known).collect();
        assert!(unknown.is_empty(), "{file}: {unknown:?}");
    }
}

#[test]
fn the_dashboard_is_whole() {
    let text = fs::read_to_string(root().join("config/grafana-dashboard.json")).unwrap();
    let dashboard: Value = serde_json::from_str(&text).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let ids: BTreeSet<u64> = panels.iter().map(|panel| panel["id"].as_u64().unwrap()).collect();
    assert_eq!(ids.len(), panels.len(), "two panels of one id");
    for panel in panels {
        let title = panel["title"].as_str().unwrap();
        let targets = panel["targets"].as_array().unwrap();
        assert!(!targets.is_empty(), "{title} asks for nothing");
        for target in targets {
            let expr = target["expr"].as_str().unwrap();
            assert!(expr.contains("slp_"), "{title}: {expr}");
            assert_eq!(target["datasource"]["uid"], "${datasource}", "{title}");
        }
        let place = &panel["gridPos"];
        assert!(place["x"].as_u64().unwrap() + place["w"].as_u64().unwrap() <= 24, "{title} stands out");
    }
}

#[test]
fn the_manual_lists_every_metric() {
    let manual = fs::read_to_string(root().join("docs/operations.md")).unwrap();
    let listed: Vec<&str> = manual.lines().filter(|line| line.starts_with("| `slp_")).collect();
    let expected: Vec<String> = FAMILIES
        .iter()
        .map(|family| {
            let labels: Vec<String> = family.labels.iter().map(|label| format!("`{label}`")).collect();
            let (kind, labels) = (family.kind.word(), labels.join(", "));
            format!("| `{}` | {kind} | {labels} | {} |", family.name, family.help)
        })
        .collect();
    let missing: Vec<&String> = expected.iter().filter(|row| !listed.contains(&row.as_str())).collect();
    assert!(
        missing.is_empty() && listed.len() == expected.len(),
        "docs/operations.md should have\n{}",
        expected.join("\n")
    );
}

/// Files that the manual tells to copy.
#[test]
fn shipped_files_are_where_the_manual_says() {
    let manual = fs::read_to_string(root().join("docs/operations.md")).unwrap();
    for file in ["config/prometheus-rules.yml", "config/grafana-dashboard.json"] {
        let path: PathBuf = root().join(file);
        assert!(manual.contains(file) && path.exists(), "{file}");
    }
}
