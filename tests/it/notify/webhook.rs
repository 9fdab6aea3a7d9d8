//! The webhook against a receiver that takes, refuses, repeats secrets, redirects, hangs and shows other certificates.

use std::time::{Duration, Instant};

use slp_collector::domain::digest::Sha256;
use slp_collector::domain::event::Blame;
use slp_collector::domain::instance::Site;
use slp_collector::domain::message::Message;
use slp_collector::notify::Error;

use super::*;
use crate::support;
use crate::support::receiver::Receiver;

#[tokio::test]
async fn the_message_arrives_as_the_documented_json_with_its_id_and_a_token() {
    let folder = tempfile::tempdir().unwrap();
    let mut receiver = Receiver::start(None).await;
    fs::write(folder.path().join("token"), "hunter2-token\n").unwrap();
    let sinks = sinks(
        folder.path(),
        &format!(
            "[sinks.ops]\ntype = \"webhook\"\nurl = \"http://127.0.0.1:{}/hooks/slp?x=1\"\ntoken_file = \"token\"\n",
            receiver.port
        ),
    );
    sinks.send("ops", &overdue(1)).await.unwrap();
    let request = receiver.request().await;
    assert_eq!(request.line, "POST /hooks/slp?x=1");
    assert_eq!(request.header("idempotency-key"), Some("m-0123456789"));
    assert_eq!(request.header("authorization"), Some("Bearer hunter2-token"));
    assert_eq!(request.header("content-type"), Some("application/json"));
    let line = &overdue(1).lines[0];
    let expected = serde_json::json!({
        "version": 1, "collector": "north", "id": "m-0123456789", "at": "2026-11-21T08:00:00Z",
        "topic": "overdue", "severity": "critical", "site": "dark", "title": "1 devices of dark are overdue",
        "text": "The oldest is overdue for a day.",
        "lines": [{
            "name": "edge-0000", "device": "edge-0000", "instance": {"pid": "C9300-48T", "sn": "FOCedge-0000"},
            "site": "dark", "smart_account": "example.com", "virtual_account": null, "state": "overdue",
            "due": "2026-11-20T08:00:00Z", "leave_by": "2026-11-10T08:00:00Z",
            "violation": line.violation.as_ref().unwrap().as_str(), "kind": "ack-overdue",
            "what": "overdue for a day", "remedy": line.remedy,
        }],
    });
    assert_eq!(request.json(), expected);
    // The example of the documentation has these keys and no others.
    let manual = include_str!("../../../docs/operations.md");
    let example = manual.split("```json\n").nth(1).unwrap().split("```").next().unwrap();
    let example: serde_json::Value = serde_json::from_str(example).unwrap();
    let keys = |value: &serde_json::Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(keys(&example), keys(&expected));
    assert_eq!(keys(&example["lines"][0]), keys(&expected["lines"][0]));
}

#[tokio::test]
async fn a_large_message_goes_whole_and_another_sites_lines_stay_here() {
    let folder = tempfile::tempdir().unwrap();
    let mut receiver = Receiver::start(None).await;
    let sinks = sinks(
        folder.path(),
        &format!(
            "[sinks.hq]\ntype = \"webhook\"\nurl = \"http://127.0.0.1:{}\"\nsites = [\"hq\"]\n\
             [sinks.ops]\ntype = \"webhook\"\nurl = \"http://127.0.0.1:{}\"\n",
            receiver.port, receiver.port
        ),
    );
    let mut message = Message { site: None, ..overdue(5000) };
    message.lines[7].site = Site::from("hq");
    sinks.send("ops", &message).await.unwrap();
    assert_eq!(receiver.request().await.json()["lines"].as_array().unwrap().len(), 5000);
    sinks.send("hq", &message).await.unwrap();
    let told = receiver.request().await.json();
    assert_eq!(told["lines"].as_array().unwrap().len(), 1);
    assert_eq!(told["lines"][0]["name"], "edge-0007");
}

#[tokio::test]
async fn each_refusal_says_whose_turn_it_is_and_no_secret() {
    let folder = tempfile::tempdir().unwrap();
    let mut receiver = Receiver::start(None).await;
    fs::write(folder.path().join("password"), "hunter2").unwrap();
    let sinks = sinks(
        folder.path(),
        &format!(
            "[sinks.ops]\ntype = \"webhook\"\nurl = \"http://127.0.0.1:{}/secret-path\"\nusername = \"slp\"\n\
             password_file = \"password\"\n",
            receiver.port
        ),
    );
    let encoded = "c2xwOmh1bnRlcjI=";
    for (status, transient, said) in [
        ("401 Unauthorized", false, "password"),
        ("403 Forbidden", false, "password"),
        ("404 Not Found", false, "path of url"),
        ("413 Payload Too Large", false, "size"),
        ("422 Unprocessable", false, "docs/operations.md"),
        ("302 Found", false, "redirects"),
        ("408 Request Timeout", true, "tried again"),
        ("429 Too Many Requests", true, "tried again"),
        ("500 Internal Server Error", true, "tried again"),
        ("503 Service Unavailable", true, "tried again"),
    ] {
        receiver.answer(status, &format!("you sent hunter2 and {encoded}\u{1b}[2J {}", "long ".repeat(2000)));
        let error = sinks.send("ops", &overdue(1)).await.unwrap_err();
        assert_eq!(receiver.request().await.header("authorization"), Some(format!("Basic {encoded}").as_str()));
        assert_eq!((error.is_transient(), error.blame()), (transient, Blame::Refused), "{status}: {error}");
        assert!(error.remedy().contains(said), "{status}: {}", error.remedy());
        let shown = format!("{error} {error:?} {sinks:?}");
        assert!(shown.contains(&format!("HTTP {}: you sent <secret> and <secret>", &status[..3])), "{shown}");
        for hidden in ["hunter2", encoded, "secret-path", "\u{1b}"] {
            assert!(!shown.contains(hidden), "{hidden:?} in {shown}");
        }
        assert!(error.to_string().chars().count() < 300, "{error}");
    }
    assert!(receiver.is_quiet(), "a redirect is not followed, and nothing is asked twice");
    fs::remove_file(folder.path().join("password")).unwrap();
    let error = sinks.send("ops", &overdue(1)).await.unwrap_err();
    assert!(matches!(error, Error::Secret(_)) && !error.is_transient(), "{error}");
    assert!(error.to_string().contains("sinks.ops"), "{error}");
}

#[tokio::test]
async fn silence_is_bounded_and_a_closed_port_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let mut receiver = Receiver::start(None).await;
    let sink = |port: u16, limit: &str| {
        let text =
            format!("[sinks.ops]\ntype = \"webhook\"\nurl = \"http://127.0.0.1:{port}/x\"\ntimeout = \"{limit}\"\n");
        sinks(folder.path(), &text)
    };
    receiver.hang();
    let begin = Instant::now();
    let error = sink(receiver.port, "300ms").send("ops", &overdue(1)).await.unwrap_err();
    assert!(begin.elapsed() < Duration::from_secs(10));
    receiver.request().await;
    assert_eq!(error.to_string(), format!("webhook http://127.0.0.1:{} took longer than 300ms", receiver.port));
    assert!(error.is_transient());

    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let error = sink(closed, "10s").send("ops", &overdue(1)).await.unwrap_err();
    assert!(matches!(error, Error::Unreachable { .. }) && error.is_transient(), "{error:?}");
    assert!(!error.to_string().contains("/x"), "{error}");
    let unknown = sink(closed, "10s").send("nobody", &overdue(1)).await.unwrap_err();
    assert!(matches!(unknown, Error::Unknown(_)), "{unknown:?}");
}

#[tokio::test]
async fn only_the_pinned_or_vouched_for_certificate_is_told_anything() {
    let folder = tempfile::tempdir().unwrap();
    let (chain, pin, key, ca) = support::certificate("127.0.0.1");
    let (_, _, _, stranger) = support::certificate("127.0.0.1");
    fs::write(folder.path().join("ca.pem"), ca).unwrap();
    fs::write(folder.path().join("stranger.pem"), stranger).unwrap();
    fs::write(folder.path().join("empty.pem"), "").unwrap();
    let mut receiver = Receiver::start(Some((&chain, &key))).await;
    let sink = |trust: &str| {
        let url = format!("https://127.0.0.1:{}/", receiver.port);
        sinks(folder.path(), &format!("[sinks.ops]\ntype = \"webhook\"\nurl = \"{url}\"\n{trust}\n"))
    };
    let [pinned, vouched, other, strange, of_system, empty] = [
        format!("pin = \"{pin}\""),
        "ca_file = \"ca.pem\"".to_owned(),
        format!("pin = \"{}\"", Sha256::of(b"another certificate")),
        "ca_file = \"stranger.pem\"".to_owned(),
        String::new(),
        "ca_file = \"empty.pem\"".to_owned(),
    ]
    .map(|trust| sink(&trust));
    for sinks in [pinned, vouched] {
        sinks.send("ops", &overdue(1)).await.unwrap();
        assert_eq!(receiver.request().await.header("idempotency-key"), Some("m-0123456789"));
    }
    for sinks in [other, strange, of_system] {
        let error = sinks.send("ops", &overdue(1)).await.unwrap_err();
        assert!(matches!(error, Error::Untrusted { .. }) && !error.is_transient(), "{error:?}");
        assert_eq!(error.blame(), Blame::Untrusted);
        assert!(error.remedy().contains("pin"), "{error}");
    }
    let error = empty.send("ops", &overdue(1)).await.unwrap_err();
    assert!(matches!(error, Error::Ours(_)) && error.to_string().contains("empty.pem"), "{error:?}");
    assert!(receiver.is_quiet());
}
