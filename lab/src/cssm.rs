//! Cisco's cloud API as samples show it: token, accounts, usage reports, acknowledgements, devices, licences. HTTPS on
//! loopback.
//!
//! Paths, keys and statuses are those of Cisco's public samples. **Invented by the lab**: that an upload is taken whole or not
//! at all, the words of a duplicate's refusal, the HTTP statuses of refusals, and how long an answer takes. What is uploaded goes
//! through the same checks as a file at the portal does, every signature included.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use data_encoding::BASE64;
use rcgen::{CertificateParams, KeyPair};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring as provider;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use crate::account::Account;
use crate::clock::Clock;
use crate::lock;
use crate::portal::Portal;
use crate::saved::rum_report;
use crate::udi::Udi;

/// The first number of an answer: no double-precision number holds it.
const FIRST_POLL: u64 = 773_126_444_402_795_033;
/// The largest request, in bytes.
const LARGEST: usize = 64 << 20;
const BASE: &str = "/services/api/smart-accounts-and-licensing/";
const TOKEN: &str = "/as/token.oauth2";

/// What a request is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    Token,
    Accounts,
    Report,
    Poll,
    Devices,
    Licences,
    Unknown,
}

/// What goes wrong at one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// The token is not known any more.
    TokenExpired,
    /// This status and a short body.
    Status(u16),
    /// Somebody else answers: a page to log in at.
    LoginPage,
    /// Half of the answer comes, then the connection ends.
    Cut,
    /// It is done, and no answer comes.
    Lost,
    /// Nothing is done and no answer comes.
    Silent,
    /// The answer to an upload is not ready.
    Working,
    /// `OK_POLL` with a message, which is an error.
    Message(&'static str, &'static str),
    /// `FAILED` with a message.
    Failed(&'static str),
    /// The reports of this device are taken, and no acknowledgement comes for it.
    Without(Udi),
}

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Asked {
    pub step: Step,
    pub path: String,
    /// Names in lower case.
    pub headers: BTreeMap<String, String>,
    pub body: Vec<u8>,
}

/// The server; it ends with this.
#[derive(Debug)]
pub struct Cssm {
    pub addr: SocketAddr,
    fingerprint: [u8; 32],
    shared: Arc<Mutex<Server>>,
    serving: JoinHandle<()>,
}

#[derive(Debug)]
struct Server {
    clock: Clock,
    client: (String, String),
    accounts: Vec<Account>,
    portal: Portal,
    tokens: BTreeSet<String>,
    given: u64,
    answers: BTreeMap<u64, Vec<(Udi, Vec<u8>)>>,
    devices: Vec<Value>,
    licences: Vec<Value>,
    interval: u64,
    troubles: VecDeque<(Step, Trouble)>,
    asked: Vec<Asked>,
}

impl Drop for Cssm {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Cssm {
    /// Listens, and knows this client by id and secret, and these accounts; their ids are numbers as text.
    pub async fn start(clock: Clock, client: (&str, &str), accounts: Vec<Account>) -> io::Result<Cssm> {
        let key = KeyPair::generate().map_err(io::Error::other)?;
        let params = CertificateParams::new(vec!["127.0.0.1".to_string()]).map_err(io::Error::other)?;
        let der = params.self_signed(&key).map_err(io::Error::other)?.der().clone();
        let digest = ring::digest::digest(&ring::digest::SHA256, &der);
        let fingerprint = digest.as_ref().try_into().expect("SHA-256 has 32 bytes");
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let config = ServerConfig::builder_with_provider(Arc::new(provider::default_provider()))
            .with_safe_default_protocol_versions()
            .and_then(|config| config.with_no_client_auth().with_single_cert(vec![der], key))
            .map_err(io::Error::other)?;
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let addr = listener.local_addr()?;
        let shared = Arc::new(Mutex::new(Server {
            clock,
            client: (client.0.to_string(), client.1.to_string()),
            accounts,
            portal: Portal::new(),
            tokens: BTreeSet::new(),
            given: 0,
            answers: BTreeMap::new(),
            devices: Vec::new(),
            licences: Vec::new(),
            interval: 300,
            troubles: VecDeque::new(),
            asked: Vec::new(),
        }));
        let serving = tokio::spawn(serve(listener, acceptor, Arc::clone(&shared)));
        Ok(Cssm { addr, fingerprint, shared, serving })
    }

    pub fn url(&self) -> String {
        format!("https://{}{}", self.addr, BASE.trim_end_matches('/'))
    }

    pub fn token_url(&self) -> String {
        format!("https://{}{TOKEN}", self.addr)
    }

    /// SHA-256 of the certificate, in hex.
    pub fn pin(&self) -> String {
        data_encoding::HEXLOWER.encode(&self.fingerprint)
    }

    /// The next so many requests of this step go wrong.
    pub fn trouble(&self, step: Step, trouble: Trouble, times: usize) {
        let mut server = lock(&self.shared);
        server.troubles.extend(std::iter::repeat_n((step, trouble), times));
    }

    /// Troubles that did not strike yet.
    pub fn troubles_left(&self) -> usize {
        lock(&self.shared).troubles.len()
    }

    /// So many seconds are said to pass before an answer is ready.
    pub fn set_interval(&self, seconds: u64) {
        lock(&self.shared).interval = seconds;
    }

    /// Another secret from now on.
    pub fn set_secret(&self, secret: &str) {
        lock(&self.shared).client.1 = secret.to_string();
    }

    /// A device as the read-only view tells it.
    pub fn know(&self, udi: &Udi, virtual_account: &str, last_contact: &str) {
        lock(&self.shared).devices.push(json!({
            "licenseUsage": [{ "license": "network-advantage", "quantity": 1 }],
            "hostName": "",
            "sudi": { "udiPid": udi.pid, "udiSerialNumber": udi.sn, "uuid": null, "udiVid": null },
            "displayName": format!("UDI_PID:{}; UDI_SN:{}; ", udi.pid, udi.sn),
            "virtualAccount": virtual_account,
            "status": "In Compliance",
            "lastContactDate": last_contact,
        }));
    }

    /// A licence as the read-only view counts it, in every account.
    pub fn count_licence(&self, tag: &str, name: &str, entitled: u64, in_use: u64) {
        lock(&self.shared).licences.push(json!({
            "tag": tag, "display_name": name, "compliance_status": "In Compliance",
            "prepaid_entitled": entitled, "prepaid_inuse": in_use,
        }));
    }

    /// Everything that was asked so far.
    pub fn asked(&self) -> Vec<Asked> {
        lock(&self.shared).asked.clone()
    }

    /// How often this was asked.
    pub fn count(&self, step: Step) -> usize {
        lock(&self.shared).asked.iter().filter(|asked| asked.step == step).count()
    }

    /// Every acknowledgement so far, as a person finds it at the portal.
    pub fn acknowledgements(&self) -> Vec<(Udi, Vec<u8>)> {
        lock(&self.shared).answers.values().flatten().cloned().collect()
    }

    /// Looks at what checks the uploads, or acts on it.
    pub fn portal<T>(&self, act: impl FnOnce(&mut Portal) -> T) -> T {
        act(&mut lock(&self.shared).portal)
    }
}

async fn serve(listener: TcpListener, acceptor: TlsAcceptor, shared: Arc<Mutex<Server>>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((stream, _)) = accepted else { continue };
                let (acceptor, shared) = (acceptor.clone(), Arc::clone(&shared));
                // A connection that fails is the peer's news.
                connections.spawn(async move { drop(speak(stream, acceptor, &shared).await) });
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

/// One answer, before it is bytes.
struct Answer {
    status: u16,
    kind: &'static str,
    body: String,
    cut: bool,
}

impl Answer {
    fn json(status: u16, body: &Value) -> Answer {
        Answer { status, kind: "application/json", body: body.to_string(), cut: false }
    }
}

async fn speak(stream: TcpStream, acceptor: TlsAcceptor, shared: &Mutex<Server>) -> io::Result<()> {
    let mut stream = BufReader::new(acceptor.accept(stream).await?);
    while let Some(asked) = request(&mut stream).await? {
        let (answer, silent) = {
            let mut server = lock(shared);
            let trouble = server.strike(asked.step);
            let silent = trouble == Some(Trouble::Silent);
            let lost = trouble == Some(Trouble::Lost);
            let answer = if silent { None } else { Some(server.answer(&asked, trouble)).filter(|_| !lost) };
            server.asked.push(asked);
            (answer, silent)
        };
        if silent {
            return std::future::pending().await;
        }
        let Some(answer) = answer else { return Ok(()) };
        let (status, kind, body) = (answer.status, answer.kind, answer.body.as_bytes());
        let head = format!("HTTP/1.1 {status} x\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n", body.len());
        stream.write_all(head.as_bytes()).await?;
        stream.write_all(if answer.cut { &body[..body.len() / 2] } else { body }).await?;
        stream.flush().await?;
        if answer.cut {
            return stream.shutdown().await;
        }
    }
    Ok(())
}

async fn request<S: tokio::io::AsyncBufRead + Unpin>(stream: &mut S) -> io::Result<Option<Asked>> {
    let mut line = String::new();
    if stream.read_line(&mut line).await? == 0 {
        return Ok(None);
    }
    let mut words = line.split_whitespace().map(str::to_string);
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_string());
    }
    let length = headers.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    if length > LARGEST {
        return Ok(None);
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    let step = match (method.as_str(), path.strip_prefix(BASE).unwrap_or(&path)) {
        ("POST", TOKEN) => Step::Token,
        ("GET", "v2/accounts/search") => Step::Accounts,
        ("POST", "v2/devices/reportusage") => Step::Report,
        ("POST", "v2/accounts/poll") => Step::Poll,
        ("POST", "v3/licenses/summary") => Step::Licences,
        ("POST", path) if path.starts_with("v1/accounts/") && path.ends_with("/devices") => Step::Devices,
        _ => Step::Unknown,
    };
    Ok(Some(Asked { step, path, headers, body }))
}

impl Server {
    fn strike(&mut self, step: Step) -> Option<Trouble> {
        let at = self.troubles.iter().position(|(of, _)| *of == step)?;
        self.troubles.remove(at).map(|(_, trouble)| trouble)
    }

    fn answer(&mut self, asked: &Asked, trouble: Option<Trouble>) -> Answer {
        match &trouble {
            Some(Trouble::Status(status)) => return Answer::json(*status, &json!({ "error": "lab" })),
            Some(Trouble::LoginPage) => {
                let body = "<!DOCTYPE html><html><title>Log in</title></html>".to_string();
                return Answer { status: 200, kind: "text/html", body, cut: false };
            }
            Some(Trouble::TokenExpired) => self.tokens.clear(),
            Some(Trouble::Failed(message)) => return Answer::json(200, &failed(message)),
            _ => {}
        }
        if asked.step == Step::Token {
            let answer = self.token(&asked.body);
            return Answer { cut: trouble == Some(Trouble::Cut), ..answer };
        }
        let bearer = asked.headers.get("authorization").and_then(|value| value.strip_prefix("Bearer "));
        if !bearer.is_some_and(|bearer| self.tokens.contains(bearer)) {
            return Answer::json(401, &json!({ "fault": { "faultstring": "Invalid Access Token" } }));
        }
        let body: Value = serde_json::from_slice(&asked.body).unwrap_or_default();
        let answer = match asked.step {
            Step::Token | Step::Unknown => Answer::json(404, &json!({ "error": "no such path" })),
            Step::Accounts => Answer::json(200, &self.list()),
            Step::Report => match self.account(asked) {
                Ok(()) => self.report(&body, trouble.as_ref()),
                Err(answer) => answer,
            },
            Step::Poll => self.poll(&body, trouble.as_ref()),
            Step::Devices => self.page(&body),
            Step::Licences => {
                let unused = json!({
                    "tag": "regid.2017-05.com.cisco.c9300_dna_advantage,1.0_x", "display_name": "dna-advantage",
                    "compliance_status": "In Compliance", "prepaid_entitled": 10, "prepaid_inuse": 3,
                });
                let summary: Vec<&Value> = std::iter::once(&unused).chain(&self.licences).collect();
                Answer::json(200, &json!({ "status": "SUCCESS", "message": "Retrieved summary.", "summary": summary }))
            }
        };
        Answer { cut: trouble == Some(Trouble::Cut), ..answer }
    }

    fn token(&mut self, body: &[u8]) -> Answer {
        let form = String::from_utf8_lossy(body);
        let field = |name: &str| {
            let value = form.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
            decoded(value.unwrap_or_default())
        };
        let known = field("client_id") == self.client.0 && field("client_secret") == self.client.1;
        if field("grant_type") != "client_credentials" || !known {
            let told = json!({ "error": "invalid_client", "error_description": format!("you sent {form}") });
            return Answer::json(401, &told);
        }
        self.given += 1;
        let token = format!("lab-token-{}", self.given);
        self.tokens.insert(token.clone());
        Answer::json(200, &json!({ "access_token": token, "token_type": "Bearer", "expires_in": 3599 }))
    }

    fn list(&self) -> Value {
        let mut smart: BTreeMap<&str, (&Account, Vec<Value>)> = BTreeMap::new();
        for account in &self.accounts {
            let inside = &mut smart.entry(&account.smart_id).or_insert((account, Vec::new())).1;
            inside.push(json!({
                "default": false, "name": account.virtual_name, "virtual_account_id": account.virtual_id,
            }));
        }
        let told = smart.into_values().map(|(account, inside)| {
            json!({
                "account_id": account.smart_id, "domain": account.domain, "name": account.smart,
                "virtual_accounts": inside,
            })
        });
        json!({ "message_code": "", "accounts": told.collect::<Vec<_>>(), "message": "", "status": "COMPLETE" })
    }

    /// Do the headers name an account that there is?
    fn account(&self, asked: &Asked) -> Result<(), Answer> {
        let header = |name: &str| asked.headers.get(name).map(String::as_str).unwrap_or_default();
        let ids = (header("x-csw-smart-account-id"), header("x-csw-virtual-account-id"));
        let known = self.accounts.iter().any(|one| (one.smart_id.as_str(), one.virtual_id.as_str()) == ids);
        let system =
            serde_json::from_str::<Value>(header("x-csw-requesting-system")).is_ok_and(|value| value.is_object());
        if known && system { Ok(()) } else { Err(Answer::json(403, &failed("no such account"))) }
    }

    fn report(&mut self, body: &Value, trouble: Option<&Trouble>) -> Answer {
        let mut trial = self.portal.clone();
        let mut acknowledged = Vec::new();
        for device in body.pointer("/data/reports").and_then(Value::as_array).into_iter().flatten() {
            let part = |key: &str| device.pointer(key).and_then(Value::as_str).unwrap_or_default();
            let udi = Udi::new(part("/sudi/udi_pid"), part("/sudi/udi_serial_number"));
            let mut file = "<smartLicense>".to_string();
            for usage in device.get("usage").and_then(Value::as_array).into_iter().flatten() {
                file.push_str(&rum_report(&usage.to_string()));
            }
            file.push_str("</smartLicense>");
            match trial.upload(self.clock.now(), "usage.txt", file.as_bytes()) {
                Ok(answer) => acknowledged.push((udi, answer.bytes)),
                Err(refusal) if refusal.reason.starts_with("duplicate") => {
                    return Answer::json(200, &failed("Duplicate usage report received"));
                }
                Err(refusal) => return Answer::json(200, &failed(&refusal.reason)),
            }
        }
        if acknowledged.is_empty() {
            return Answer::json(400, &failed("no reports"));
        }
        self.portal = trial;
        if let Some(Trouble::Without(udi)) = trouble {
            acknowledged.retain(|(of, _)| of != udi);
        }
        let poll_id = FIRST_POLL + self.answers.len() as u64;
        self.answers.insert(poll_id, acknowledged);
        let told = json!({
            "status": "OK_POLL", "message_code": null, "message": null,
            "timestamp": body.pointer("/data/timestamp"), "nonce": body.pointer("/data/nonce"), "type": null,
            "poll_id": poll_id, "poll_interval": self.interval, "action": "acknowledgements",
        });
        Answer::json(202, &told)
    }

    fn poll(&self, body: &Value, trouble: Option<&Trouble>) -> Answer {
        let (code, message) = match trouble {
            Some(Trouble::Message(code, message)) => (*code, *message),
            _ => ("", ""),
        };
        let waits = matches!(trouble, Some(Trouble::Working | Trouble::Message(..)));
        let poll_id = body.pointer("/data/poll_id").and_then(Value::as_u64);
        let Some(answer) = poll_id.and_then(|id| self.answers.get(&id)) else {
            return Answer::json(200, &failed("unknown poll_id"));
        };
        if waits {
            let told = json!({
                "status": "OK_POLL", "message_code": code, "message": message, "poll_id": poll_id, "poll_interval": 60,
            });
            return Answer::json(200, &told);
        }
        let acknowledgements: Vec<Value> = answer
            .iter()
            .map(|(udi, ack)| {
                json!({ "sudi": udi, "software_tag_identifier": udi.pid, "smart_license": BASE64.encode(ack) })
            })
            .collect();
        let told = json!({
            "status": "COMPLETE", "message_code": "", "message": "", "nonce": body.pointer("/data/nonce"),
            "type": "acknowledgements", "data": { "acknowledgements": acknowledgements },
        });
        Answer::json(200, &told)
    }

    fn page(&self, body: &Value) -> Answer {
        let number =
            |key: &str| body.get(key).and_then(Value::as_u64).and_then(|n| usize::try_from(n).ok()).unwrap_or(0);
        let wanted: Vec<&str> = body
            .get("virtualAccounts")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        let inside = |device: &&Value| device["virtualAccount"].as_str().is_some_and(|name| wanted.contains(&name));
        let all: Vec<&Value> = self.devices.iter().filter(inside).collect();
        let page: Vec<&&Value> = all.iter().skip(number("offset")).take(number("limit")).collect();
        let told = json!({ "totalRecords": all.len(), "devices": page, "statusMessage": "", "status": "SUCCESS" });
        Answer::json(200, &told)
    }
}

fn failed(message: &str) -> Value {
    json!({ "status": "FAILED", "message_code": "LAB", "message": message })
}

/// A value of a form.
fn decoded(text: &str) -> String {
    let (mut bytes, mut rest) = (Vec::new(), text.as_bytes());
    while let Some((&first, after)) = rest.split_first() {
        let hex = (first == b'%').then(|| after.get(..2)).flatten();
        let byte = hex.and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        bytes.push(byte.unwrap_or(if first == b'+' { b' ' } else { first }));
        rest = if byte.is_some() { &after[2..] } else { after };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
