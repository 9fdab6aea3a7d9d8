//! Answers recorded from real switches, and drafts after them, through the whole client.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::thread::JoinHandle;

use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::PrivateKeyDer;

use super::*;
use crate::support;

/// A web server that gives these answers, status and body, one a request; and the requests it got.
fn giving(answers: Vec<(u16, Vec<u8>)>) -> (u16, JoinHandle<Vec<String>>) {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap().self_signed(&key).unwrap();
    let config = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], PrivateKeyDer::try_from(key.serialize_der()).unwrap())
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let served = std::thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let mut connection = rustls::ServerConnection::new(Arc::new(config)).unwrap();
        let mut tls = rustls::Stream::new(&mut connection, &mut socket);
        let mut requests = Vec::new();
        for (status, body) in answers {
            requests.push(request(&mut tls));
            let head = format!(
                "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
                 Set-Cookie: other=1; Path=/\r\nSet-Cookie: nxapi_auth=admin:a=b/c; Secure; HttpOnly;\r\n\r\n",
                body.len()
            );
            tls.write_all(&[head.as_bytes(), &body].concat()).unwrap();
            tls.flush().unwrap();
        }
        requests
    });
    (port, served)
}

/// One request, head and body.
fn request(stream: &mut impl Read) -> String {
    let mut text = String::new();
    let mut byte = [0];
    while !text.ends_with("\r\n\r\n") {
        stream.read_exact(&mut byte).unwrap();
        text.push(char::from(byte[0]));
    }
    let length = text.to_ascii_lowercase();
    let length = length.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap().parse().unwrap();
    let mut body = vec![0; length];
    stream.read_exact(&mut body).unwrap();
    text + std::str::from_utf8(&body).unwrap()
}

/// What these commands come to when the switch answers so, and what it was sent.
async fn told(answers: Vec<(u16, Vec<u8>)>, commands: &[&str]) -> (Result<Vec<(String, bool)>, Error>, Vec<String>) {
    let (port, served) = giving(answers);
    let login = Login { username: "admin".to_owned(), password: "right".to_owned() };
    let limits = Limits { read: Duration::from_secs(5), ..Limits::default() };
    let target = Target { authority: format!("127.0.0.1:{port}"), trust: Trust::Learn, login, limits };
    let told = NxApi::new(target, Budget::new(64 << 20)).run("ask", commands).await;
    let told = told.map(|answers| answers.into_iter().map(|answer| (answer.text, answer.refused)).collect());
    (told, served.join().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn json_rpc_answers_are_read() {
    let Some(captures) = support::captures() else { return };
    let read = |name: &str| std::fs::read(captures.join("nxos/nxapi").join(name)).unwrap();
    let (answers, requests) =
        told(vec![(200, read("jsonrpc_show_hostname_raw__response.json"))], &["show hostname"]).await;
    assert_eq!(answers.unwrap(), [("nxos.domain.com \n".to_owned(), false)]);
    let expected = std::fs::read(captures.join("drafts/nxos/nxapi_jsonrpc_cli_ascii_request.json")).unwrap();
    let value = |text: &[u8]| serde_json::from_slice::<serde_json::Value>(text).unwrap();
    let (head, body) = requests[0].split_once("\r\n\r\n").unwrap();
    let mut expected = value(&expected);
    expected[0]["params"]["cmd"] = "show hostname".into();
    assert_eq!(value(body.as_bytes()), expected);
    assert!(head.starts_with("POST /ins HTTP/1.1"), "{head}");
    assert!(head.to_ascii_lowercase().contains("content-type: application/json-rpc"), "{head}");

    let settings = ["logging history size 200", "logging history size 300", "logging history size 400"];
    let name = "jsonrpc_logging_history_size_200__logging_history_size_300__logging_history_size_400__response.json";
    assert_eq!(told(vec![(200, read(name))], &settings).await.0.unwrap().len(), 3);
    for status in [200, 500] {
        let bogus = read("jsonrpc_bogus_command__response.json");
        let answers = told(vec![(status, bogus)], &["bogus command", "show hostname"]).await.0.unwrap();
        assert_eq!(answers, [("% Invalid command\n".to_owned(), true)]);
    }
    let structured = read("jsonrpc_show_hostname__response.json");
    assert!(matches!(told(vec![(200, structured)], &["show hostname"]).await.0, Err(Error::Misbehaved { .. })));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ins_api_answers_are_read() {
    let Some(captures) = support::captures() else { return };
    let draft = |name: &str| std::fs::read(captures.join("drafts/nxos").join(name)).unwrap();
    let unspoken = || (400, b"<html></html>".to_vec());
    let (answers, requests) =
        told(vec![unspoken(), (200, draft("nxapi_show_license_usage.ascii.200.json"))], &["show license usage"]).await;
    let answers = answers.unwrap();
    assert!(answers[0].0.starts_with("License Authorization:\n") && !answers[0].1);
    // The cookie of the first answer goes with the second request, and no other cookie does.
    assert!(!requests[0].to_ascii_lowercase().contains("cookie:"));
    let head = requests[1].split_once("\r\n\r\n").unwrap().0.to_ascii_lowercase();
    assert!(head.contains("cookie: nxapi_auth=admin:a=b/c\r\n") && head.contains("authorization: basic"), "{head}");

    let refused = told(vec![unspoken(), (200, draft("nxapi_show_license_rum.400.json"))], &["show license rum id all"]);
    let refused = refused.await.0.unwrap();
    assert!(refused[0].0.contains("% Invalid command at '^' marker.") && refused[0].1);
    let structured = told(vec![unspoken(), (200, draft("nxapi_show_license_all.501.json"))], &["show license all"]);
    let error = structured.await.0.unwrap_err();
    assert!(matches!(error, Error::Declined { .. }) && error.to_string().contains("501"), "{error}");
}
