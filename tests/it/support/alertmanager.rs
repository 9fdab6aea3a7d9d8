//! Prometheus' Alertmanager, and whatever else of Prometheus listens: each on a free port, ended with its test.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::channel;
use std::time::Instant;

use serde_json::Value;

use super::receiver::PATIENCE;

/// A route to nobody.
pub const NOBODY: &str = "route: {receiver: nobody}\nreceivers: [{name: nobody}]\n";

/// A program of the Prometheus family that listens.
pub struct Server {
    child: Child,
    pub port: u16,
}

impl Server {
    /// Waits until it listens, wherever the system put it.
    pub fn start(mut command: Command) -> Server {
        command.arg("--web.listen-address=127.0.0.1:0");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let log = BufReader::new(child.stderr.take().unwrap());
        let mut server = Server { child, port: 0 };
        let (tell, lines) = channel();
        // To its end, or the program would wait for its log to be read.
        std::thread::spawn(move || log.lines().map_while(Result::ok).for_each(|line| drop(tell.send(line))));
        let until = Instant::now() + PATIENCE;
        let mut said = String::new();
        loop {
            let line = lines.recv_timeout(until.saturating_duration_since(Instant::now()));
            let line = line.unwrap_or_else(|error| panic!("it does not listen ({error}):\n{said}"));
            if line.contains("msg=\"Listening on\"") {
                server.port = line.rsplit(':').next().unwrap().trim().parse().unwrap();
                return server;
            }
            said += &format!("{line}\n");
        }
    }

    /// What it answers to a GET.
    pub fn get(&self, target: &str) -> Value {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        // Of the older version, whose answers come in one piece.
        write!(stream, "GET {target} HTTP/1.0\r\nHost: localhost\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {head}\n{body}"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A real Alertmanager, or `None` where there is none.
#[allow(clippy::print_stdout)]
pub fn alertmanager(folder: &Path, configuration: &str) -> Option<Server> {
    let program = "prometheus-alertmanager";
    if !Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success()) {
        assert!(!super::required("alertmanager"), "SLP_REQUIRE asks for alertmanager, but it cannot be run");
        println!("skipped: {program} cannot be run");
        return None;
    }
    let file = folder.join("alertmanager.yml");
    fs::write(&file, configuration).unwrap();
    let mut command = Command::new(program);
    command
        .arg(format!("--config.file={}", file.display()))
        .arg(format!("--storage.path={}", folder.join("alertmanager").display()))
        .arg("--cluster.listen-address=");
    Some(Server::start(command))
}

/// What an Alertmanager holds as active, by name, severity and device.
pub fn active(alertmanager: &Server) -> Vec<String> {
    let alerts = alertmanager.get("/api/v2/alerts?active=true");
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
