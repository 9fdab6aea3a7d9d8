//! The register reckoned up: for monitoring, for the weeks to come, for a calendar, for an auditor.

use std::fs;

use jiff::{SignedDuration, Timestamp};
use lab::specs;
use serde_json::Value;
use slp_collector::cli::evidence::{Form, print};
use slp_collector::domain::deadline::Rules;
use slp_collector::domain::event::{Event, Fact, StateRead};
use slp_collector::domain::evidence::{Evidence, Reckoner};
use slp_collector::domain::fleet::Fleet;
use slp_collector::domain::policy::Policy;
use slp_collector::domain::violation::{Kind, Subject, ViolationId};

use crate::daemon::Daemon;
use crate::support::site::{LIMITS, Site, ran};
use crate::support::{data, golden, peer};

/// Two devices, polled, of which nothing is due soon.
fn site() -> Site {
    let specs = vec![specs::switch("edge-1"), specs::switch("edge-2")];
    // The lab's clock stands days behind ours, which a daemon would find.
    let settings = format!(
        "{LIMITS}spread = \"0s\"\n[violations]\noff = [\"clock-skew\"]\nseverity = {{ out-of-compliance = \"critical\" }}\n"
    );
    let site = Site::with(specs, &settings, |_| "deliver");
    site.advance(3600);
    site.run(["poll", "--all", "--close"]).exits(0);
    site
}

#[test]
fn monitor_says_ok_warning_critical_or_unknown() {
    let site = site();
    let fine = site.run(["monitor", "--warning", "2d", "--critical", "1d"]).exits(0);
    assert!(fine.out.starts_with("SLP OK - 2 obligations, none near"), "{fine:?}");
    assert_eq!((fine.out.lines().count(), fine.out.matches('|').count()), (1, 1));
    let near = site.run(["monitor", "--warning", "400d", "--critical", "1d"]).exits(1);
    assert!(near.out.starts_with("SLP WARNING - 2 to leave within 400d"), "{near:?}");
    site.run(["monitor", "--warning", "400d", "--critical", "400d"]).exits(2);

    // Nobody looked since: it is found all the same.
    let ledger = site.ledger();
    let instance = ledger.fleet().of_device(&"edge-1".into()).unwrap().clone();
    let mut state = instance.state.unwrap();
    state.compliance.upgrade_right = Some("Out of Compliance".to_owned());
    let read = StateRead { udi: instance.udi.clone(), state: Box::new(state) };
    ledger.append(Timestamp::now(), vec![Fact::StateRead(read)], Vec::new()).unwrap();
    drop(ledger);
    let critical = site.run(["monitor", "--warning", "2d", "--critical", "1d"]).exits(2);
    assert!(critical.out.contains("1 critical violations") && critical.out.contains("violations_critical=1;;0;0"));
    // A person knows of it, and it is critical all the same.
    let id = ViolationId::of(Kind::OutOfCompliance, &Subject::Instance(instance.udi)).to_string();
    site.run(["violation", "acknowledge", &id, "--note", "ordered"]).exits(0);
    let critical = site.run(["monitor", "--warning", "2d", "--critical", "1d"]).exits(2);
    assert!(critical.out.contains("1 critical violations") && critical.out.contains("violations_critical=1;;0;0"));

    // Another process has the ledger, and it answers no question.
    let held = site.ledger();
    let unknown = site.run(["monitor"]).exits(3);
    assert!(unknown.out.starts_with("SLP UNKNOWN - ") && unknown.out.contains("in use by process"), "{unknown:?}");
    drop(held);
    assert!(site.run(["monitor", "--warning", "soon"]).exits(3).out.starts_with("SLP UNKNOWN - error: invalid value"));
    assert!(site.run(["monitor", "--warning", "1d", "--critical", "2d"]).exits(3).out.contains("nearer"));
    fs::write(site.config_file(), "[collector]\nnme = \"x\"\n").unwrap();
    let unknown = site.run(["monitor"]).exits(3);
    assert!(unknown.out.contains("nme") && unknown.out.lines().count() == 1, "{unknown:?}");
}

#[test]
fn the_running_daemon_answers_monitor_and_forecast_and_evidence() {
    let site = site();
    let daemon = Daemon::start(&site, None);
    site.run(["monitor", "--warning", "2d", "--critical", "1d"]).exits(0);
    let weeks: Vec<Value> = site.run(["forecast", "--days", "400", "--format", "json"]).exits(0).json();
    assert_eq!(weeks.len(), 58);
    assert_eq!(weeks.iter().map(|week| week["due"].as_u64().unwrap()).sum::<u64>(), 2);
    let due = weeks.iter().find(|week| week["due"] != 0).unwrap();
    assert!(due["resets"] == 2 || due["due"] == 1, "{due}");
    assert!(!due["exchange"].is_null());
    let csv = site.run(["forecast", "--format", "csv"]).exits(0);
    assert_eq!(csv.out.lines().count(), 1 + 18);
    site.run(["forecast", "--days", "0"]).exits(64);
    let evidence: Value = site.run(["evidence", "--from", "-30d", "--to", "+1d", "--format", "json"]).exits(0).json();
    assert_eq!(evidence["groups"], Value::Array(Vec::new()), "nothing was due yet");
    assert!(site.run(["evidence", "--from", "+1d", "--to", "+2d"]).exits(64).err.contains("empty"));
    assert_eq!(daemon.stop().0, Some(0));
}

#[test]
fn the_calendar_is_one_that_others_read() {
    let site = site();
    let calendar = site.run(["status", "--format", "ics"]).exits(0).out;
    assert_eq!(calendar.matches("BEGIN:VEVENT\r\n").count(), 4);
    let Some(python) = std::env::var_os("SLP_PYTHON") else {
        assert!(!crate::support::required("python"), "SLP_REQUIRE asks for python, but SLP_PYTHON is not set");
        println!("skipped: SLP_PYTHON is not set");
        return;
    };
    let Some(mut reader) = peer(&python.to_string_lossy(), &["-c", "import icalendar"]) else { return };
    let path = site.path("deadlines.ics");
    fs::write(&path, calendar).unwrap();
    let script = "import sys, icalendar\n\
                  for event in icalendar.Calendar.from_ical(open(sys.argv[1], 'rb').read()).walk('VEVENT'):\n\
                  \x20   print(event.decoded('dtstart').isoformat(), event['summary'])\n";
    let read = ran(reader.args(["-c", script]).arg(&path)).exits(0);
    let rows = site.status();
    let mut expected: Vec<String> = Vec::new();
    for row in &rows {
        let day = |key: &str| row[key].as_str().unwrap()[..10].to_owned();
        let name = row["device"].as_str().unwrap();
        expected.push(format!("{} {name}: usage report must leave", day("leave_by")));
        expected.push(format!("{} {name}: acknowledgement due", day("due")));
    }
    let mut got: Vec<String> = read.out.lines().map(str::to_owned).collect();
    expected.sort();
    got.sort();
    assert_eq!(got, expected);
}

/// The invented events of `evidence-events.ndjson`, reckoned over the first quarter.
fn quarter() -> Evidence {
    let at = |text: &str| -> Timestamp { text.parse().unwrap() };
    let policy = Policy::cisco_default();
    let due_soon = SignedDuration::from_hours(30 * 24);
    let rules = Rules { due_soon, ios_xe: policy.clone(), ios_xr: policy.clone(), nx_os: policy };
    let period = (at("2026-01-01T00:00:00Z"), at("2026-04-01T00:00:00Z"));
    let mut reckoner = Reckoner::new(Fleet::default(), Timestamp::UNIX_EPOCH, false, period, None, &[], &rules);
    for line in fs::read_to_string(data("evidence-events.ndjson")).unwrap().lines() {
        reckoner.take(&serde_json::from_str::<Event>(line).unwrap());
    }
    reckoner.end()
}

#[test]
fn the_period_report_reads_as_it_did() {
    let evidence = quarter();
    let printed = |form| {
        let mut out = Vec::new();
        print(&evidence, form, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    };
    golden("evidence.txt", &printed(Form::Text));
    golden("evidence.json", &printed(Form::Json));
    golden("evidence.csv", &printed(Form::Csv));
    let read: Evidence = serde_json::from_str(&printed(Form::Json)).unwrap();
    assert_eq!(read, evidence);
}

#[test]
fn the_ledger_tells_the_same_period_from_any_of_its_segments() {
    let site = site();
    let ledger = site.ledger();
    for line in fs::read_to_string(data("evidence-events.ndjson")).unwrap().lines() {
        let event: Event = serde_json::from_str(line).unwrap();
        ledger.append(event.at, vec![event.fact], Vec::new()).unwrap();
    }
    drop(ledger);
    let evidence = |args: &[&str]| -> Value {
        let all = ["evidence", "--from", "2026-01-01", "--to", "2026-04-01", "--format", "json"];
        site.run(all.iter().copied().chain(args.iter().copied())).exits(0).json()
    };
    // The lab's devices were never due then.
    assert_eq!(evidence(&[]), serde_json::to_value(quarter()).unwrap());
    assert_eq!(evidence(&["--account", "nobody"])["groups"], Value::Array(Vec::new()));
    site.ledger().seal().unwrap();
    assert_eq!(evidence(&[]), serde_json::to_value(quarter()).unwrap());
}
