//! Mail against aiosmtpd, and against servers that misbehave before TLS.

use std::process::Stdio;

use serde_json::Value;
use slp_collector::domain::digest::Sha256;
use slp_collector::domain::message::Message;
use slp_collector::notify::Error;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use super::*;
use crate::support;
use crate::support::receiver::PATIENCE;

/// A mail server with a certificate of its own authority; it ends when its standard input does.
struct Smtpd {
    folder: tempfile::TempDir,
    _server: Child,
    told: Lines<BufReader<ChildStdout>>,
    port: u16,
    pin: Sha256,
}

impl Smtpd {
    /// `mode`: starttls, tls or plain; `login`: login or open.
    async fn start(mode: &str, login: &str) -> Option<Smtpd> {
        let python = support::python()?;
        let folder = tempfile::tempdir().unwrap();
        let (chain, pin, key, ca) = support::certificate("127.0.0.1");
        for (name, content) in [("chain.pem", chain), ("key.pem", key), ("ca.pem", ca)] {
            fs::write(folder.path().join(name), content).unwrap();
        }
        fs::write(folder.path().join("right"), "hunter2\n").unwrap();
        fs::write(folder.path().join("wrong"), "hunter3\n").unwrap();
        let mut server = Command::new(python)
            .args(["-c", include_str!("smtpd.py"), mode])
            .args([folder.path().join("chain.pem"), folder.path().join("key.pem")])
            .arg(login)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let told = BufReader::new(server.stdout.take().unwrap()).lines();
        let mut smtpd = Smtpd { folder, _server: server, told, port: 0, pin };
        smtpd.port = smtpd.next().await["port"].as_u64().unwrap().try_into().unwrap();
        Some(smtpd)
    }

    async fn next(&mut self) -> Value {
        let line = tokio::time::timeout(PATIENCE, self.told.next_line()).await.expect("a line in time").unwrap();
        serde_json::from_str(&line.expect("the server runs")).unwrap()
    }

    fn sink(&self, more: &str) -> Sinks {
        sink(self.folder.path(), self.port, more)
    }
}

fn sink(folder: &Path, port: u16, more: &str) -> Sinks {
    let text = format!(
        "[sinks.noc]\ntype = \"mail\"\nserver = \"127.0.0.1\"\nport = {port}\nfrom = \"slp@example.com\"\n{more}\n"
    );
    let to = if more.contains("to = ") { "" } else { "to = [\"noc@example.com\", \"boss@example.com\"]\n" };
    sinks(folder, &format!("{text}{to}"))
}

fn header<'m>(mail: &'m Value, name: &str) -> Vec<&'m str> {
    let headers = mail["headers"].as_array().unwrap().iter();
    headers.filter(|header| header[0] == name).map(|header| header[1].as_str().unwrap()).collect()
}

#[tokio::test]
async fn mail_goes_encrypted_with_both_forms_and_the_same_id_each_time() {
    for (mode, more) in [("starttls", ""), ("tls", "tls = \"tls\"\n")] {
        let Some(mut smtpd) = Smtpd::start(mode, "login").await else { return };
        let sinks = smtpd.sink(&format!("{more}ca_file = \"ca.pem\"\nusername = \"slp\"\npassword_file = \"right\""));
        for _ in 0..2 {
            sinks.send("noc", &overdue(3)).await.unwrap();
            assert_eq!(smtpd.next().await, serde_json::json!({"tried": "slp", "good": true}));
            let mail = smtpd.next().await;
            assert_eq!((&mail["encrypted"], &mail["login"]), (&true.into(), &"slp".into()), "{mode}");
            assert_eq!(mail["sender"], "slp@example.com");
            assert_eq!(mail["recipients"], serde_json::json!(["noc@example.com", "boss@example.com"]));
            assert_eq!(header(&mail, "Message-ID"), ["<m-0123456789.slp-collector@example.com>"]);
            assert_eq!(header(&mail, "Subject"), ["[critical] 3 devices of dark are overdue"]);
            assert_eq!(header(&mail, "Auto-Submitted"), ["auto-generated"]);
            assert_eq!(header(&mail, "Date"), ["Sat, 21 Nov 2026 08:00:00 +0000"]);
            let (text, html) = (&mail["parts"]["text/plain"], mail["parts"]["text/html"].as_str().unwrap());
            let text = text.as_str().unwrap().replace("\r\n", "\n");
            support::golden("notify-mail.txt", &text);
            assert_eq!(html.matches("<tr>").count(), 4, "{html}");
        }
    }
}

#[tokio::test]
async fn foreign_text_stays_text() {
    let Some(mut smtpd) = Smtpd::start("starttls", "open").await else { return };
    let sinks = smtpd.sink(&format!("pin = \"{}\"", smtpd.pin));
    let mut message = Message { title: EVIL.to_owned(), text: EVIL.to_owned(), ..overdue(0) };
    message.lines = vec![Line { name: EVIL.to_owned(), ..line("x", EVIL) }];
    message.id = "m-1\r\nBcc: x@example.com".to_owned();
    sinks.send("noc", &message).await.unwrap();
    let mail = smtpd.next().await;
    assert_eq!(mail["recipients"].as_array().unwrap().len(), 2);
    assert_eq!(header(&mail, "Bcc"), [""; 0]);
    let names: Vec<&str> =
        mail["headers"].as_array().unwrap().iter().map(|header| header[0].as_str().unwrap()).collect();
    assert_eq!(names.len(), 9, "{names:?}");
    let subject = header(&mail, "Subject")[0];
    assert!(
        subject.contains(r"</script>\r\nBcc: x@example.com\u{1b}[2J\u{202e}]") && subject.ends_with('ü'),
        "{subject}"
    );
    let (text, html) = (mail["parts"]["text/plain"].as_str().unwrap(), mail["parts"]["text/html"].as_str().unwrap());
    assert!(!html.contains("<script") && html.contains("&lt;script&gt;alert(&quot;1&quot;)"), "{html}");
    for part in [text, html] {
        assert!(!part.contains('\u{1b}') && !part.contains('\u{202e}'), "{part}");
    }
}

#[tokio::test]
async fn a_mail_carries_a_bounded_table_and_says_how_many_more_there_are() {
    let Some(mut smtpd) = Smtpd::start("starttls", "open").await else { return };
    let sinks = smtpd.sink(&format!("pin = \"{}\"", smtpd.pin));
    let message = overdue(5000);
    // At once: it says that it took the mail after it told us all of it.
    let (sent, mail) = tokio::join!(sinks.send("noc", &message), smtpd.next());
    sent.unwrap();
    for part in ["text/plain", "text/html"] {
        let part = mail["parts"][part].as_str().unwrap();
        assert!(part.contains("and 4500 more") && part.contains("edge-0499") && !part.contains("edge-0500"));
    }
    // RFC 5322 allows 998.
    assert!(mail["longest"].as_u64().unwrap() <= 998, "{}", mail["longest"]);
}

#[tokio::test]
async fn each_refusal_says_whose_turn_it_is() {
    let Some(mut smtpd) = Smtpd::start("starttls", "login").await else { return };
    let login = "username = \"slp\"\npassword_file = \"wrong\"";
    let pin = format!("pin = \"{}\"", smtpd.pin);
    let error = smtpd.sink(&format!("{pin}\n{login}")).send("noc", &overdue(1)).await.unwrap_err();
    assert!(matches!(&error, Error::Refused { remedy, .. } if remedy.contains("password")), "{error:?}");
    assert!(error.to_string().contains("535") && !format!("{error:?}").contains("hunter3"), "{error:?}");
    assert_eq!(smtpd.next().await["good"], false);
    // Its password goes to nobody else.
    for trust in [format!("pin = \"{}\"", Sha256::of(b"x")), String::new()] {
        let error = smtpd.sink(&format!("{trust}\n{login}")).send("noc", &overdue(1)).await.unwrap_err();
        assert!(matches!(error, Error::Untrusted { .. }) && !error.is_transient(), "{error:?}");
    }

    let Some(open) = Smtpd::start("starttls", "open").await else { return };
    let pin = format!("pin = \"{}\"", open.pin);
    for (to, transient) in [("nobody", false), ("later", true)] {
        let sinks = open.sink(&format!("{pin}\nto = [\"noc@example.com\", \"{to}@example.com\"]"));
        let error = sinks.send("noc", &overdue(1)).await.unwrap_err();
        assert_eq!(error.is_transient(), transient, "{error:?}");
    }
    let Some(plain) = Smtpd::start("plain", "open").await else { return };
    let error = plain.sink("ca_file = \"ca.pem\"").send("noc", &overdue(1)).await.unwrap_err();
    assert!(matches!(&error, Error::Refused { remedy, .. } if remedy.contains("STARTTLS")), "{error:?}");
}

/// What somebody between may do before TLS begins.
#[tokio::test]
async fn nothing_but_a_proper_dialogue_leads_to_tls() {
    let folder = tempfile::tempdir().unwrap();
    for (answers, expected) in [
        (&["220 a\r\n", "250-b\r\n250 STARTTLS\r\n", "220 go\r\n235 logged in\r\n"][..], "more in the clear"),
        (&["220 a\r\n", "250-b\r\n250 SIZE\r\n"], "does not offer STARTTLS"),
        (&["220 a\r\n", "250 STARTTLS\r\n", "454 4.7.0 not now\r\n"], "454 4.7.0 not now"),
        (&["554 5.7.1 go\u{1b}[2J away\r\n"], "554 5.7.1 go\\u{1b}[2J away"),
        (&["HTTP/1.1 400 Bad Request\r\n"], "expected a reply of SMTP"),
        (&["22\r\n"], "expected a reply of SMTP"),
        (&["2ü0 a\r\n"], "expected a reply of SMTP"),
        (&[""], "hung up"),
    ] {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let serving = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut heard = Vec::new();
            for (at, answer) in answers.iter().enumerate() {
                if at > 0 {
                    let mut part = [0; 512];
                    let read = stream.read(&mut part).await.unwrap();
                    heard.extend_from_slice(&part[..read]);
                }
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
            stream.shutdown().await.unwrap();
            drop(stream.read_to_end(&mut heard).await);
            String::from_utf8_lossy(&heard).into_owned()
        });
        let pin = format!("pin = \"{}\"", Sha256::of(b"x"));
        let error = sink(folder.path(), port, &pin).send("noc", &overdue(1)).await.unwrap_err();
        assert!(error.to_string().contains(expected), "{expected}: {error}");
        let heard = tokio::time::timeout(PATIENCE, serving).await.unwrap().unwrap();
        assert!(!heard.contains("MAIL") && !heard.contains("overdue"), "{heard}");
    }
}
