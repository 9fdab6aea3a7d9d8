//! Alerts: their labels against a receiver that keeps them, and their life in a real Alertmanager where there is one.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::Value;
use slp_collector::domain::message::Message;

use super::*;
use crate::support::alertmanager::{NOBODY, active, alertmanager};
use crate::support::receiver::Receiver;

fn sink(folder: &Path, port: u16) -> Sinks {
    sinks(folder, &format!("[sinks.am]\ntype = \"alertmanager\"\nurl = \"http://127.0.0.1:{port}/\"\n"))
}

/// Labels and end of each alert that does not end at once.
fn firing(alerts: &Value) -> Vec<(&Value, &str)> {
    let alerts = alerts.as_array().unwrap().iter().filter(|alert| alert["startsAt"] != alert["endsAt"]);
    alerts.map(|alert| (&alert["labels"], alert["endsAt"].as_str().unwrap())).collect()
}

#[tokio::test]
async fn a_line_is_an_alert_that_its_end_ends() {
    let folder = tempfile::tempdir().unwrap();
    let mut receiver = Receiver::start(None).await;
    let sinks = sink(folder.path(), receiver.port);
    sinks.send("am", &overdue(2)).await.unwrap();
    let request = receiver.request().await;
    assert_eq!(request.line, "POST /api/v2/alerts");
    let told = request.json();
    let [(first, ends), (second, _)] = firing(&told)[..] else { panic!("{told}") };
    let labels = serde_json::json!({
        "alertname": "SlpDeadline", "collector": "north", "severity": "critical", "site": "dark", "device": "edge-0000",
    });
    assert_eq!((first, ends), (&labels, "2027-01-05T08:00:00Z"));
    assert_eq!(second["device"], "edge-0001");
    let annotations = &told.as_array().unwrap().iter().find(|alert| alert["labels"] == labels).unwrap()["annotations"];
    assert_eq!(annotations["due"], "2026-11-20T08:00:00Z");
    assert_eq!(annotations["instance"], "PID:C9300-48T,SN:FOCedge-0000");

    let met = Message { topic: Topic::Met, severity: Severity::Info, at: at("2026-11-22T08:00:00Z"), ..overdue(2) };
    sinks.send("am", &met).await.unwrap();
    let ended = receiver.request().await.json();
    assert_eq!(firing(&ended), []);
    let all = |alerts: &Value| -> BTreeSet<String> {
        alerts.as_array().unwrap().iter().map(|alert| alert["labels"].to_string()).collect()
    };
    assert_eq!(all(&told), all(&ended), "whatever fires has an end with the same labels");

    let violation = Message { topic: Topic::Violation, ..overdue(1) };
    sinks.send("am", &violation).await.unwrap();
    let told = receiver.request().await.json();
    let [(labels, _)] = firing(&told)[..] else { panic!("{told}") };
    let id = violation.lines[0].violation.as_ref().unwrap().as_str();
    assert_eq!((&labels["alertname"], &labels["kind"]), (&"SlpViolation".into(), &"ack-overdue".into()));
    assert_eq!(labels["violation"], id);
}

#[tokio::test]
async fn many_lines_go_in_parts_and_a_digest_is_one() {
    let folder = tempfile::tempdir().unwrap();
    let mut receiver = Receiver::start(None).await;
    let sinks = sink(folder.path(), receiver.port);
    sinks.send("am", &overdue(5000)).await.unwrap();
    let mut count = 0;
    for _ in 0..15 {
        count += receiver.request().await.json().as_array().unwrap().len();
    }
    assert_eq!(count, 15_000);
    sinks.send("am", &Message { topic: Topic::Digest, site: None, ..overdue(5000) }).await.unwrap();
    assert_eq!(receiver.request().await.json().as_array().unwrap().len(), 1);
    assert!(receiver.is_quiet());
}

#[tokio::test]
async fn the_heartbeat_fires_until_it_is_not_repeated() {
    let folder = tempfile::tempdir().unwrap();
    let mut receiver = Receiver::start(None).await;
    let sinks = sink(folder.path(), receiver.port);
    let told = sinks.heartbeat(at("2026-11-21T08:00:00Z"), Duration::from_secs(900)).await;
    assert!(matches!(told[..], [("am", Ok(()))]), "{told:?}");
    let alert = &receiver.request().await.json()[0];
    assert_eq!(alert["labels"]["alertname"], "SlpCollectorAlive");
    assert_eq!(
        (&alert["startsAt"], &alert["endsAt"]),
        (&"2026-11-21T08:00:00Z".into(), &"2026-11-21T08:15:00Z".into())
    );
    receiver.answer("500 Internal Server Error", "");
    let told = sinks.heartbeat(at("2026-11-21T08:00:00Z"), Duration::from_secs(900)).await;
    assert!(matches!(&told[..], [("am", Err(error))] if error.is_transient()), "{told:?}");
}

#[tokio::test]
async fn a_real_alertmanager_sees_one_alert_a_device_from_reminder_to_met() {
    let folder = tempfile::tempdir().unwrap();
    let Some(server) = alertmanager(folder.path(), NOBODY) else { return };
    let sinks = sink(folder.path(), server.port);
    // Its API takes the clock for what fires.
    let now = Timestamp::now();
    let told = |topic, severity, at| Message { topic, severity, at, ..overdue(2) };
    let before = |seconds: i64| now - jiff::SignedDuration::from_secs(seconds);
    sinks.send("am", &told(Topic::Reminder, Severity::Warning, before(30))).await.unwrap();
    assert_eq!(active(&server), ["SlpDeadline warning edge-0000", "SlpDeadline warning edge-0001"]);
    sinks.send("am", &told(Topic::Overdue, Severity::Critical, before(20))).await.unwrap();
    assert_eq!(active(&server), ["SlpDeadline critical edge-0000", "SlpDeadline critical edge-0001"]);
    let mut met = told(Topic::Met, Severity::Info, before(10));
    met.lines.truncate(1);
    sinks.send("am", &met).await.unwrap();
    assert_eq!(active(&server), ["SlpDeadline critical edge-0001"]);
    for (_, told) in sinks.heartbeat(now, Duration::from_secs(900)).await {
        told.unwrap();
    }
    assert_eq!(active(&server), ["SlpCollectorAlive info -", "SlpDeadline critical edge-0001"]);
}
