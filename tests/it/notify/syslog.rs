//! Syslog against rsyslogd over UDP and TCP, and against a listener of our own in TLS.

use std::process::Stdio;

use slp_collector::domain::digest::Sha256;
use slp_collector::domain::message::Message;
use slp_collector::notify::Error;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader, Lines};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};

use super::*;
use crate::support;
use crate::support::receiver::{PATIENCE, acceptor};

/// rsyslogd with ports of its own; what it reads it passes on to us, piece by piece.
struct Rsyslogd {
    _folder: tempfile::TempDir,
    server: Child,
    listener: TcpListener,
    passed: Option<Lines<BufReader<TcpStream>>>,
    udp: u16,
    tcp: u16,
}

impl Rsyslogd {
    async fn start() -> Option<Rsyslogd> {
        support::peer("/usr/sbin/rsyslogd", &["-v"])?;
        let folder = tempfile::tempdir().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let passed = listener.local_addr().unwrap().port();
        for _ in 0..5 {
            // Another process may take the port between our letting go and its taking it.
            let udp = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            let path = |name: &str| folder.path().join(name).display().to_string();
            let configuration = format!(
                r#"global(workDirectory="{}" maxMessageSize="8k")
module(load="imudp") module(load="imtcp")
template(name="all" type="string" string="%pri%|%timestamp:::date-rfc3339%|%app-name%|%msgid%|%structured-data%|%msg%\n")
input(type="imudp" address="127.0.0.1" port="{udp}")
input(type="imtcp" address="127.0.0.1" port="0" listenPortFileName="{}")
action(type="omfwd" target="127.0.0.1" port="{passed}" protocol="tcp" template="all")
"#,
                path(""),
                path("port"),
            );
            fs::write(folder.path().join("conf"), configuration).unwrap();
            let mut server = Command::new("/usr/sbin/rsyslogd")
                .args(["-n", "-f", &path("conf"), "-i", &path("pid")])
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .kill_on_drop(true)
                .spawn()
                .unwrap();
            let ready = async {
                loop {
                    // It has the one port when nobody else can, and wrote down the other.
                    let taken = std::net::UdpSocket::bind(("127.0.0.1", udp)).is_err();
                    let written = fs::read_to_string(folder.path().join("port")).unwrap_or_default();
                    match written.trim().parse() {
                        Ok(tcp) if taken => return tcp,
                        _ => tokio::task::yield_now().await,
                    }
                }
            };
            tokio::select! {
                ready = tokio::time::timeout(PATIENCE, ready) => {
                    let tcp = ready.expect("rsyslogd listens in time");
                    return Some(Rsyslogd { _folder: folder, server, listener, passed: None, udp, tcp });
                }
                _ = server.wait() => {}
            }
        }
        panic!("rsyslogd did not start");
    }

    /// The next line that is about us: priority, time, program, message id, structured data, text.
    async fn line(&mut self) -> Vec<String> {
        let reading = async {
            if self.passed.is_none() {
                self.passed = Some(BufReader::new(self.listener.accept().await.unwrap().0).lines());
            }
            let passed = self.passed.as_mut().unwrap();
            loop {
                let line = passed.next_line().await.unwrap().expect("rsyslogd runs");
                if line.contains("|slp-collector|") {
                    return line.splitn(6, '|').map(str::to_owned).collect();
                }
            }
        };
        tokio::time::timeout(PATIENCE, reading).await.expect("a line in time")
    }
}

fn sink(folder: &Path, port: u16, more: &str) -> Sinks {
    sinks(folder, &format!("[sinks.log]\ntype = \"syslog\"\nserver = \"127.0.0.1\"\nport = {port}\n{more}\n"))
}

#[tokio::test]
async fn rsyslogd_reads_every_line_over_udp_and_tcp() {
    let folder = tempfile::tempdir().unwrap();
    let Some(mut rsyslogd) = Rsyslogd::start().await else { return };
    for (port, more) in [(rsyslogd.udp, ""), (rsyslogd.tcp, "transport = \"tcp\"\nfacility = \"local3\"")] {
        let facility = if more.is_empty() { 3 } else { 19 };
        let mut message = overdue(2);
        message.lines[1].device = Some(DeviceName::from("e\"dge\\ ]x"));
        message.lines[1].what = format!("{EVIL} {}", "long ".repeat(2000));
        sink(folder.path(), port, more).send("log", &message).await.unwrap();
        let summary = rsyslogd.line().await;
        let pri = (facility * 8 + 2).to_string();
        assert_eq!(summary[..4], [pri.as_str(), "2026-11-21T08:00:00.000Z", "slp-collector", "overdue"]);
        let data = r#"[slp@32473 id="m-0123456789" severity="critical" site="dark" lines="2"]"#;
        assert_eq!((summary[4].as_str(), summary[5].trim()), (data, "2 devices of dark are overdue"));
        let first = rsyslogd.line().await;
        let violation = message.lines[0].violation.as_ref().unwrap();
        let data = format!(
            "[slp@32473 id=\"m-0123456789\" severity=\"critical\" line=\"1\" site=\"dark\" device=\"edge-0000\" \
             pid=\"C9300-48T\" sn=\"FOCedge-0000\" state=\"overdue\" due=\"2026-11-20T08:00:00Z\" \
             leaveBy=\"2026-11-10T08:00:00Z\" kind=\"ack-overdue\" violation=\"{violation}\"]"
        );
        assert_eq!((first[4].as_str(), first[5].trim()), (data.as_str(), "edge-0000: overdue for a day"));
        // Whatever a device is called or says, it is one line, its own, and not endless.
        let second = rsyslogd.line().await;
        assert!(second[4].contains(r#" device="e\"dge\\ \]x" pid="#), "{second:?}");
        assert!(second[5].contains(r"</script>\r\nBcc: x@example.com\u{1b}[2J\u{202e}]"), "{second:?}");
        assert!(second[5].ends_with('…') && second.concat().len() < 2048, "{second:?}");
    }
    rsyslogd.server.kill().await.unwrap();
}

#[tokio::test]
async fn a_summary_says_how_many_lines_are_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let Some(mut rsyslogd) = Rsyslogd::start().await else { return };
    sink(folder.path(), rsyslogd.tcp, "transport = \"tcp\"").send("log", &overdue(5000)).await.unwrap();
    let summary = rsyslogd.line().await;
    assert_eq!(summary[5].trim(), "5000 devices of dark are overdue; 4000 of 5000 lines are not in the log");
    for number in 1..=1000 {
        assert!(rsyslogd.line().await[4].contains(&format!(" line=\"{number}\" ")));
    }
    rsyslogd.server.kill().await.unwrap();
}

#[tokio::test]
async fn tls_is_for_the_right_certificate_alone_and_counts_its_octets() {
    let folder = tempfile::tempdir().unwrap();
    let (chain, pin, key, ca) = support::certificate("127.0.0.1");
    fs::write(folder.path().join("ca.pem"), ca).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let acceptor = acceptor(&chain, &key);
    // What comes over one connection; none where the handshake fails.
    let hear = async || {
        let (stream, _) = listener.accept().await.unwrap();
        let mut stream = acceptor.accept(stream).await.ok()?;
        let mut heard = String::new();
        stream.read_to_string(&mut heard).await.unwrap();
        Some(heard)
    };
    let message = Message { title: "Größe".to_owned(), ..overdue(3) };
    for trust in [format!("pin = \"{pin}\""), "ca_file = \"ca.pem\"".to_owned()] {
        let sinks = sink(folder.path(), port, &format!("transport = \"tls\"\n{trust}"));
        let (heard, sent) =
            tokio::time::timeout(PATIENCE, async { tokio::join!(hear(), sinks.send("log", &message)) }).await.unwrap();
        sent.unwrap();
        let heard = heard.unwrap();
        let (mut rest, mut frames) = (heard.as_bytes(), Vec::new());
        while !rest.is_empty() {
            let space = rest.iter().position(|byte| *byte == b' ').unwrap();
            let length: usize = std::str::from_utf8(&rest[..space]).unwrap().parse().unwrap();
            frames.push(std::str::from_utf8(&rest[space + 1..space + 1 + length]).unwrap());
            rest = &rest[space + 1 + length..];
        }
        assert_eq!(frames.len(), 4);
        assert!(frames[0].starts_with("<26>1 2026-11-21T08:00:00.000Z ") && frames[0].ends_with("] Größe"), "{heard}");
    }
    for trust in [format!("pin = \"{}\"", Sha256::of(b"x")), String::new()] {
        let sinks = sink(folder.path(), port, &format!("transport = \"tls\"\n{trust}"));
        let (heard, sent) =
            tokio::time::timeout(PATIENCE, async { tokio::join!(hear(), sinks.send("log", &message)) }).await.unwrap();
        assert!(matches!(sent, Err(Error::Untrusted { .. })), "{sent:?}");
        assert_eq!(heard, None);
    }
}
