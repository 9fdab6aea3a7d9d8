//! Alerts: their labels against a receiver that keeps them, and their life in a real Alertmanager where there is one.

use std::collections::BTreeSet;
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use slp_collector::domain::message::Message;
use tokio::process::{Child, Command};

use super::*;
use crate::support;
use crate::support::receiver::{PATIENCE, Receiver};

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

/// A real Alertmanager on a port of its own, or `None` where there is none.
async fn alertmanager(folder: &Path) -> Option<(Child, u16)> {
    let program = "prometheus-alertmanager";
    if !Command::new(program).arg("--version").output().await.is_ok_and(|output| output.status.success()) {
        assert!(!support::required("alertmanager"), "SLP_REQUIRE asks for alertmanager, but it cannot be run");
        println!("skipped: {program} cannot be run");
        return None;
    }
    fs::write(folder.join("alertmanager.yml"), "route: {receiver: nobody}\nreceivers: [{name: nobody}]\n").unwrap();
    for _ in 0..5 {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut child = Command::new(program)
            .arg(format!("--config.file={}", folder.join("alertmanager.yml").display()))
            .arg(format!("--storage.path={}", folder.join("data").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .arg("--cluster.listen-address=")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let up = async {
            while tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_err() {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            up = tokio::time::timeout(PATIENCE, up) => {
                up.expect("Alertmanager listens in time");
                return Some((child, port));
            }
            _ = child.wait() => {}
        }
    }
    panic!("Alertmanager did not start");
}

/// What it holds as active, by name, severity and device.
async fn active(port: u16) -> Vec<String> {
    let url = format!("http://127.0.0.1:{port}/api/v2/alerts?active=true");
    let request =
        format!("GET {} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", &url[url.find("/api").unwrap()..]);
    let mut stream = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut stream, request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    tokio::time::timeout(PATIENCE, tokio::io::AsyncReadExt::read_to_string(&mut stream, &mut answer))
        .await
        .unwrap()
        .unwrap();
    let json = &answer[answer.find("\r\n\r\n").unwrap()..];
    let json = &json[json.find('[').unwrap()..=json.rfind(']').unwrap()];
    let alerts: Value = serde_json::from_str(json).unwrap();
    let label = |alert: &Value, name: &str| alert["labels"][name].as_str().unwrap_or("-").to_owned();
    let mut alerts: Vec<String> = alerts
        .as_array()
        .unwrap()
        .iter()
        .map(|alert| format!("{} {} {}", label(alert, "alertname"), label(alert, "severity"), label(alert, "device")))
        .collect();
    alerts.sort();
    alerts
}

#[tokio::test]
async fn a_real_alertmanager_sees_one_alert_a_device_from_reminder_to_met() {
    let folder = tempfile::tempdir().unwrap();
    let Some((mut child, port)) = alertmanager(folder.path()).await else { return };
    let sinks = sink(folder.path(), port);
    // Its API takes the clock for what fires.
    let now = Timestamp::now();
    let told = |topic, severity, at| Message { topic, severity, at, ..overdue(2) };
    let before = |seconds: i64| now - jiff::SignedDuration::from_secs(seconds);
    sinks.send("am", &told(Topic::Reminder, Severity::Warning, before(30))).await.unwrap();
    assert_eq!(active(port).await, ["SlpDeadline warning edge-0000", "SlpDeadline warning edge-0001"]);
    sinks.send("am", &told(Topic::Overdue, Severity::Critical, before(20))).await.unwrap();
    assert_eq!(active(port).await, ["SlpDeadline critical edge-0000", "SlpDeadline critical edge-0001"]);
    let mut met = told(Topic::Met, Severity::Info, before(10));
    met.lines.truncate(1);
    sinks.send("am", &met).await.unwrap();
    assert_eq!(active(port).await, ["SlpDeadline critical edge-0001"]);
    for (_, told) in sinks.heartbeat(now, Duration::from_secs(900)).await {
        told.unwrap();
    }
    assert_eq!(active(port).await, ["SlpCollectorAlive info -", "SlpDeadline critical edge-0001"]);
    child.kill().await.unwrap();
}
