//! The way of alerts whole: the daemon's metrics and alerts, Prometheus, Alertmanager, and whoever is called at last.

use std::fs;
use std::path::Path;
use std::time::Instant;

use serde_json::Value;

use super::{Receivers, acknowledge, late};
use crate::daemon::Daemon;
use crate::support::alertmanager::{NOBODY, Server, active, alertmanager};
use crate::support::peer;
use crate::support::receiver::{PATIENCE, Receiver};

/// Alertmanager's route to a receiver, without its usual pauses.
fn route(port: u16) -> String {
    format!(
        "route: {{receiver: hook, group_by: [alertname], group_wait: 0s, group_interval: 1s}}\n\
         receivers: [{{name: hook, webhook_configs: [{{url: 'http://127.0.0.1:{port}/'}}]}}]\n"
    )
}

/// A Prometheus with the rules that are shipped.
fn prometheus(folder: &Path, scraped: &str, alertmanager: &Server) -> Option<Server> {
    let mut command = peer("prometheus", &["--version"])?;
    let rules = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/prometheus-rules.yml");
    let text = format!(
        "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\n\
         rule_files: ['{}']\n\
         scrape_configs: [{{job_name: slp, static_configs: [{{targets: ['{scraped}']}}]}}]\n\
         alerting: {{alertmanagers: [{{static_configs: [{{targets: ['127.0.0.1:{}']}}]}}]}}\n",
        rules.display(),
        alertmanager.port
    );
    let file = folder.join("prometheus.yml");
    fs::write(&file, text).unwrap();
    command
        .arg(format!("--config.file={}", file.display()))
        .arg(format!("--storage.tsdb.path={}", folder.join("prometheus").display()))
        .arg("--rules.alert.resend-delay=1s");
    Some(Server::start(command))
}

/// Waits for a notification about an alert of that name and status.
#[track_caller]
fn notified(receivers: &Receivers, receiver: &mut Receiver, name: &str, status: &str) -> Value {
    let until = Instant::now() + PATIENCE;
    loop {
        assert!(Instant::now() < until, "{name} is not {status}");
        let told = receivers.message(receiver);
        let alerts = told["alerts"].as_array().unwrap();
        let wanted = |alert: &&Value| alert["labels"]["alertname"] == name && alert["status"] == status;
        if let Some(alert) = alerts.iter().find(wanted) {
            return alert.clone();
        }
    }
}

#[test]
fn an_overdue_device_goes_through_prometheus_and_alertmanager_to_a_webhook() {
    let receivers = Receivers::new();
    let mut receiver = receivers.start();
    let mut site = late(&["edge-1"], "[http]\nlisten = \"127.0.0.1:0\"\n");
    let Some(alertmanager) = alertmanager(&site.path(""), &route(receiver.port)) else { return };
    let mut daemon = Daemon::start(&site, None);
    let line = daemon.logs("status page and metrics");
    let scraped = line.split("http://").nth(1).and_then(|rest| rest.split('/').next()).unwrap().to_owned();
    daemon.logs("run over the fleet ended");
    let Some(_prometheus) = prometheus(&site.path(""), &scraped, &alertmanager) else { return };
    let alert = notified(&receivers, &mut receiver, "SlpOverdue", "firing");
    assert_eq!(alert["labels"]["severity"], "critical");
    assert!(alert["annotations"]["summary"].as_str().unwrap().starts_with("1 devices"), "{alert}");

    acknowledge(&mut site);
    site.run(["poll", "edge-1"]).exits(0);
    notified(&receivers, &mut receiver, "SlpOverdue", "resolved");
    assert_eq!(daemon.stop().0, Some(0));
}

/// Waits until an Alertmanager holds just these.
#[track_caller]
fn holds(alertmanager: &Server, expected: &[&str]) {
    let until = Instant::now() + PATIENCE;
    loop {
        let held = active(alertmanager);
        if held == expected {
            return;
        }
        assert!(Instant::now() < until, "{held:?}");
        std::thread::yield_now();
    }
}

#[test]
fn the_daemon_itself_raises_and_ends_an_alert_and_is_known_to_be_alive() {
    let folder = tempfile::tempdir().unwrap();
    let Some(server) = alertmanager(folder.path(), NOBODY) else { return };
    let sink = "[sinks.am]\ntype = \"alertmanager\"\ntopics = [\"overdue\", \"met\"]\n";
    let mut site = late(&["edge-1"], &format!("{sink}url = \"http://127.0.0.1:{}\"\n", server.port));
    let mut daemon = Daemon::start(&site, None);
    holds(&server, &["SlpCollectorAlive info -"]);
    daemon.logs("run over the fleet ended");
    site.run(["poll", "edge-1"]).exits(0);
    holds(&server, &["SlpCollectorAlive info -", "SlpDeadline critical edge-1"]);
    acknowledge(&mut site);
    site.run(["poll", "edge-1"]).exits(0);
    holds(&server, &["SlpCollectorAlive info -"]);
    assert_eq!(daemon.stop().0, Some(0));
}
