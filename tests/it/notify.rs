//! How people are told: each sink against a peer, from the configuration file on.

mod alertmanager;
mod command;
mod mail;
mod probe;
mod syslog;
mod webhook;

use std::fs;
use std::path::Path;

use jiff::Timestamp;
use slp_collector::config::Config;
use slp_collector::domain::deadline::ObligationState;
use slp_collector::domain::instance::{Account, DeviceName, Site, Udi};
use slp_collector::domain::message::{Line, Message, Topic};
use slp_collector::domain::violation::{Kind, Severity, Subject, ViolationId};
use slp_collector::notify::Sinks;

/// Foreign text as bad as it gets.
const EVIL: &str = "<script>alert(\"1\")</script>\r\nBcc: x@example.com\u{1b}[2J\u{202e}]\"\\ ü";

/// The configuration with these sinks and the sites `dark` and `hq`.
fn configured(folder: &Path, sinks: &str) -> Config {
    let file = folder.join("slp-collector.toml");
    let text = format!("[collector]\nname = \"north\"\n[sites.dark]\n[sites.hq]\n{sinks}");
    fs::write(&file, text).unwrap();
    fs::write(folder.join("devices.csv"), "name,address\n").unwrap();
    Config::load(&file).unwrap_or_else(|mistakes| panic!("{mistakes}"))
}

fn sinks(folder: &Path, text: &str) -> Sinks {
    Sinks::new(&configured(folder, text))
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn line(name: &str, what: &str) -> Line {
    let udi = Udi::new("C9300-48T", format!("FOC{name}"));
    Line {
        name: name.to_owned(),
        device: Some(DeviceName::from(name)),
        udi: Some(udi.clone()),
        site: Site::from("dark"),
        account: Account { smart_account: Some("example.com".into()), virtual_account: None },
        state: Some(ObligationState::Overdue),
        due: Some(at("2026-11-20T08:00:00Z")),
        leave_by: Some(at("2026-11-10T08:00:00Z")),
        violation: Some(ViolationId::of(Kind::AckOverdue, &Subject::Instance(udi))),
        kind: Some(Kind::AckOverdue),
        what: what.to_owned(),
        remedy: Some(Kind::AckOverdue.remedy().to_owned()),
    }
}

/// `count` devices of the site `dark` are overdue.
fn overdue(count: usize) -> Message {
    Message {
        id: "m-0123456789".to_owned(),
        at: at("2026-11-21T08:00:00Z"),
        topic: Topic::Overdue,
        severity: Severity::Critical,
        site: Some(Site::from("dark")),
        title: format!("{count} devices of dark are overdue"),
        text: "The oldest is overdue for a day.".to_owned(),
        lines: (0..count).map(|n| line(&format!("edge-{n:04}"), "overdue for a day")).collect(),
    }
}

#[test]
fn a_sink_wants_what_it_was_configured_for() {
    let folder = tempfile::tempdir().unwrap();
    let sinks = sinks(
        folder.path(),
        r#"
[sinks.all]
type = "command"
command = ["/bin/true"]
[sinks.am]
type = "alertmanager"
url = "http://127.0.0.1:9093"
severity = "critical"
[sinks.dark]
type = "command"
command = ["/bin/true"]
sites = ["dark"]
[sinks.pager]
type = "command"
command = ["/bin/true"]
severity = "critical"
topics = ["overdue", "violation", "met"]
"#,
    );
    assert_eq!(sinks.names().collect::<Vec<_>>(), ["all", "am", "dark", "pager"]);
    let wanting = |message: &Message| sinks.names().filter(|name| sinks.wants(name, message)).collect::<Vec<_>>();
    assert_eq!(wanting(&overdue(2)), ["all", "am", "dark", "pager"]);
    assert_eq!(wanting(&Message { severity: Severity::Warning, ..overdue(2) }), ["all", "dark"]);
    assert_eq!(wanting(&Message { site: Some(Site::from("hq")), ..overdue(2) }), ["all", "am", "pager"]);
    assert_eq!(wanting(&Message { topic: Topic::Reminder, ..overdue(2) }), ["all", "am", "dark"]);
    // An end reaches whoever may have had the beginning as an alert.
    let met = Message { topic: Topic::Met, severity: Severity::Info, ..overdue(2) };
    assert_eq!(wanting(&met), ["all", "am", "dark"]);
    // About no site: by its lines, or to everybody.
    let digest = Message { topic: Topic::Digest, severity: Severity::Info, site: None, ..overdue(1) };
    assert_eq!(wanting(&digest), ["all", "dark"]);
    let mut elsewhere = digest.clone();
    elsewhere.lines[0].site = Site::from("hq");
    assert_eq!(wanting(&elsewhere), ["all"]);
    assert_eq!(wanting(&Message { lines: Vec::new(), ..elsewhere }), ["all", "dark"]);
    assert_eq!(wanting(&slp_collector::notify::test_message(at("2026-11-21T08:00:00Z"))).len(), 4);
    assert!(!sinks.wants("nobody", &overdue(1)));
}
