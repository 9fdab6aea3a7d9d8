//! The figures of a fleet against its register, without a daemon.

use std::collections::BTreeSet;
use std::fs;

use jiff::Timestamp;
use slp_collector::config::Config;
use slp_collector::domain::event::{Blame, ContactLost, DeviceRetired, Fact, StateRead, ViolationResolved};
use slp_collector::domain::instance::{Site, Udi};
use slp_collector::domain::overview::{Overview, Who};
use slp_collector::domain::policy::Policy;
use slp_collector::domain::state::{DeviceState, Model, Stamp, UsageReporting};
use slp_collector::domain::status;
use slp_collector::domain::violation::{Finding, Kind, Severity, Subject};
use slp_collector::flow::{self, Clock, House};
use slp_collector::metrics;

use crate::support::made;

const DAY: i64 = 86_400;

fn now() -> Timestamp {
    at(0)
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_790_000_000 + seconds).unwrap()
}

/// A device that has told who it is and when it is due.
fn known(device: &str, sn: &str, due: i64) -> Vec<Fact> {
    let udi = Udi::new("C9300-48T", sn);
    let state = DeviceState {
        model: Model::Slp,
        policy: Some(Policy::cisco_default().into()),
        usage_reporting: UsageReporting {
            last_ack: Some(Stamp::utc(at(-60 * DAY)).into()),
            next_ack_deadline: Some(Stamp::utc(at(due * DAY)).into()),
            ..UsageReporting::default()
        },
        udi: Some(udi.clone()),
        ..DeviceState::default()
    };
    vec![made::identified(device, "hq", udi.clone()), Fact::StateRead(StateRead { udi, state: Box::new(state) })]
}

fn finding(kind: Kind, device: &str) -> Finding {
    Finding {
        kind,
        subject: Subject::Device(device.into()),
        device: Some(device.into()),
        site: Site::from("hq"),
        severity: kind.severity(),
        explanation: "made up".to_owned(),
        evidence: Vec::new(),
    }
}

/// Four devices of the inventory: one late, one well, one silent, one never reached; and of devices that are gone, one
/// by its old name, one whose name another chassis has now, one retired.
fn house(folder: &std::path::Path) -> House {
    let file = folder.join("slp-collector.toml");
    fs::write(&file, "[collector]\nstate_dir = \"state\"\n[sites.hq]\n[sites.far]\n[defaults]\ncredential = \"net\"\n[credentials.net]\nusername = \"u\"\npassword_credential = \"net\"\n").unwrap();
    let csv = "name,address,site,access\nlate,192.0.2.1,hq,\nnever,192.0.2.4,far,\nsilent,192.0.2.3,hq,\nwell,192.0.2.2,hq,\nvisited,,far,by-hand\n";
    fs::write(folder.join("devices.csv"), csv).unwrap();
    let config = Config::load(&file).unwrap_or_else(|mistakes| panic!("{mistakes}"));
    let ledger = flow::open_ledger(&config).unwrap();
    let mut facts = Vec::new();
    facts.extend(known("late", "FOC0", 11));
    for (device, sn, due) in
        [("late", "FOC1", -2), ("well", "FOC2", 70), ("silent", "FOC3", 20), ("old", "FOC4", 5), ("done", "FOC5", 1)]
    {
        facts.extend(known(device, sn, due));
    }
    let retired = DeviceRetired {
        device: Some("done".into()),
        udi: Some(Udi::new("C9300-48T", "FOC5")),
        note: "sold".to_owned(),
    };
    facts.push(Fact::DeviceRetired(retired));
    let lost = ContactLost { device: "silent".into(), blame: Blame::Unreachable, cause: "no answer".to_owned() };
    facts.push(Fact::ContactLost(lost));
    for (kind, device) in [(Kind::AckOverdue, "late"), (Kind::Unreachable, "silent"), (Kind::Unreachable, "well")] {
        facts.push(Fact::ViolationFound(Box::new(finding(kind, device))));
    }
    facts.push(Fact::ViolationResolved(ViolationResolved {
        id: finding(Kind::Unreachable, "well").id(),
        cause: "it answered".to_owned(),
    }));
    ledger.append(now(), facts, Vec::new()).unwrap();
    ledger.note_contacts(&[("late".into(), now()), ("well".into(), now()), ("silent".into(), at(-9 * DAY))]).unwrap();
    House::new(config, ledger, Clock::of(now))
}

#[test]
fn figures_are_those_of_the_register() {
    let folder = tempfile::tempdir().unwrap();
    let house = house(folder.path());
    let fleet = house.ledger.fleet();
    let overview = Overview::of(&fleet, &house.watched, &house.settings, now());
    let rows = status::rows(&fleet, &house.watched, &house.settings, now(), now());
    let rows: Vec<_> = rows.iter().filter(|row| row.instance.as_ref().is_none_or(|one| one.sn != "FOC5")).collect();
    assert_eq!(overview.entries.len(), rows.len());
    for (entry, row) in overview.entries.iter().zip(rows) {
        let told = (entry.state, entry.due, entry.leave_by, entry.last_ack);
        assert_eq!(told, (row.state, row.due, row.leave_by, row.last_ack), "{row:?}");
        if let Who::Listed(index) = entry.who {
            assert_eq!(Some(&house.watched[index].name), row.device.as_ref());
            assert_eq!((entry.contact, entry.last_contact), (row.contact, row.last_contact));
        }
    }
    let hq = &overview.sites[&Site::from("hq")];
    assert_eq!((hq.down, hq.due, hq.states.iter().sum::<usize>()), (1, Some(at(-2 * DAY)), 5));
    assert_eq!(overview.totals().iter().sum::<usize>(), overview.entries.len());
    assert_eq!(overview.violations.len(), 2, "what is resolved does not count");

    let mut pieces = Overview::begun(now());
    for index in 0..house.watched.len() {
        pieces.add(&fleet, &house.watched, index..index + 1, &house.settings);
    }
    pieces.finish(&fleet, &house.watched, &house.settings);
    assert_eq!(pieces, overview);
}

#[test]
fn every_series_is_there_once() {
    let folder = tempfile::tempdir().unwrap();
    let house = house(folder.path());
    let overview = Overview::of(&house.ledger.fleet(), &house.watched, &house.settings, now());
    let text = metrics::fleet(&overview, &house.watched, true);
    let series = text.lines().filter(|line| !line.starts_with('#')).map(|line| line.rsplit_once(' ').unwrap().0);
    let series: Vec<&str> = series.collect();
    assert_eq!(series.iter().collect::<BTreeSet<_>>().len(), series.len(), "{text}");
    let overdue = Severity::Critical;
    for line in [
        "slp_state{device=\"late\",site=\"hq\",state=\"overdue\"} 1",
        "slp_state{device=\"old\",site=\"hq\",state=\"due-soon\"} 1",
        "slp_state{device=\"PID:C9300-48T,SN:FOC0\",site=\"hq\",state=\"due-soon\"} 1",
        "slp_state{device=\"never\",site=\"far\",state=\"unknown\"} 1",
        "slp_contact{device=\"visited\",site=\"far\",contact=\"never\"} 1",
        "slp_contact{device=\"silent\",site=\"hq\",contact=\"stale\"} 1",
        "slp_up{device=\"silent\",site=\"hq\"} 0",
        "slp_up{device=\"never\",site=\"far\"} 0",
        "slp_up{device=\"well\",site=\"hq\"} 1",
        "slp_last_contact_timestamp_seconds{device=\"never\",site=\"far\"} 0",
        "slp_deadline_timestamp_seconds{device=\"late\",site=\"hq\"} 1789827200",
        &format!("slp_violations{{kind=\"ack-overdue\",severity=\"{overdue}\"}} 1"),
        "slp_violations{kind=\"unreachable\",severity=\"warning\"} 1",
        "slp_violations{kind=\"clock-skew\",severity=\"warning\"} 0",
        "slp_site_violations{site=\"hq\",severity=\"critical\"} 1",
        "slp_site_devices{site=\"hq\",state=\"overdue\"} 1",
    ] {
        assert!(text.lines().any(|own| own == line), "no {line} in\n{text}");
    }
    assert!(!text.contains("FOC5") && !text.contains("done"), "what is retired owes nothing:\n{text}");
    let polled = text.lines().filter(|line| line.starts_with("slp_up{")).count();
    assert_eq!(polled, 4, "nobody polls what is visited");
}
