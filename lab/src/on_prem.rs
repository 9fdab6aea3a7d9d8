//! License On-Prem, as far as public programs show its API: a token, accounts, product instances, licences, alerts.
//!
//! *Documented by programs that used the real one:* paths, methods, the token's two grants in JSON, the lists' names, the
//! members of accounts, licences and alerts, `sudi` of a product instance. *Inferred:* `lastContactDate`, `hostName` and
//! `totalRecords`, from Cisco's cloud API, and that `offset` and `limit` turn pages. *Invented:* how the last synchronisation and
//! the version are called, the bodies of refusals, and that a token ends after so many requests.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Body, Bytes, Frame, Incoming};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

use crate::lock;

/// The largest body that is read.
const LARGEST: usize = 1 << 20;

/// What the server knows, and who may ask.
#[derive(Debug, Clone)]
pub struct Setup {
    pub client: (String, String),
    /// Where one is set, the client alone is not enough.
    pub user: Option<(String, String)>,
    pub accounts: Vec<Local>,
    /// So many product instances a page; none: all at once.
    pub page: Option<usize>,
    pub version: Option<String>,
    pub certificate: Certificate,
}

/// An account of the server's own.
#[derive(Debug, Clone, Default)]
pub struct Local {
    pub name: String,
    pub smart_account: Option<String>,
    pub synchronised: Option<String>,
    pub virtual_accounts: Vec<(String, Vec<Product>)>,
}

/// A product instance.
#[derive(Debug, Clone, Default)]
pub struct Product {
    pub pid: String,
    pub serial: String,
    pub host: Option<String>,
    pub contact: Option<String>,
}

/// Who vouches for the server, and until when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Certificate {
    /// An authority, until 2049.
    Vouched,
    /// An authority, until that first day of a month.
    VouchedUntil(i32, u8),
    /// The authority too, and it ended in 2020.
    Expired,
    SelfSigned,
}

/// What goes wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    Status(u16),
    /// A page of HTML, with 200.
    Page,
    /// The answer breaks off in its middle.
    Cut,
    /// JSON of another shape.
    Shape(Value),
    /// The token is not good any more.
    TokenEnded,
    /// Nothing ever comes.
    Silence,
}

/// A server that listens; it ends with this.
pub struct OnPrem {
    pub addr: SocketAddr,
    /// The authority that vouches for it, as PEM; for a self-signed certificate, that one.
    pub authority: String,
    /// The server's own certificate.
    pub certificate: Vec<u8>,
    state: Arc<State>,
    serving: JoinHandle<()>,
}

struct State {
    setup: Mutex<Setup>,
    /// A part of a path, what goes wrong there, and how often still.
    faults: Mutex<Vec<(String, Fault, u32)>>,
    requests: Mutex<Vec<String>>,
    tokens: Mutex<(u32, Vec<String>)>,
}

impl OnPrem {
    /// Listens on loopback, on a port that the system chooses.
    pub async fn start(setup: Setup) -> io::Result<OnPrem> {
        let (authority, certificate, config) = certified(setup.certificate);
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let addr = listener.local_addr()?;
        let state = Arc::new(State {
            setup: Mutex::new(setup),
            faults: Mutex::default(),
            requests: Mutex::default(),
            tokens: Mutex::default(),
        });
        let serving = tokio::spawn(serve(listener, TlsAcceptor::from(config), state.clone()));
        Ok(OnPrem { addr, authority, certificate, state, serving })
    }

    /// From now on it knows this.
    pub fn change(&self, change: impl FnOnce(&mut Setup)) {
        change(&mut lock(&self.state.setup));
    }

    /// The next `times` requests whose path has `part` in it go wrong.
    pub fn fails(&self, part: &str, fault: Fault, times: u32) {
        lock(&self.state.faults).push((part.to_owned(), fault, times));
    }

    /// `METHOD path` of every request so far.
    pub fn requests(&self) -> Vec<String> {
        lock(&self.state.requests).clone()
    }

    /// How often a token was asked for.
    pub fn logins(&self) -> usize {
        self.requests().iter().filter(|request| request.ends_with("/oauth/token")).count()
    }
}

impl Drop for OnPrem {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// The authority's PEM, the server's DER, and the TLS that goes with them.
fn certified(certificate: Certificate) -> (String, Vec<u8>, Arc<ServerConfig>) {
    let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    let mut params = CertificateParams::new(names).expect("names that a certificate may have");
    params.distinguished_name.push(DnType::CommonName, "ssm.lab.example");
    params.not_before = date_time_ymd(2018, 3, 1);
    params.not_after = match certificate {
        Certificate::Vouched | Certificate::SelfSigned => date_time_ymd(2049, 1, 1),
        Certificate::VouchedUntil(year, month) => date_time_ymd(year, month, 1),
        Certificate::Expired => date_time_ymd(2020, 1, 1),
    };
    let key = KeyPair::generate().expect("a key");
    let (own, authority) = if certificate == Certificate::SelfSigned {
        let own = params.self_signed(&key).expect("the parameters make a certificate");
        let pem = own.pem();
        (own, pem)
    } else {
        let mut above = CertificateParams::new(Vec::new()).expect("no names");
        above.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        above.distinguished_name.push(DnType::CommonName, "Lab Authority");
        (above.not_before, above.not_after) = (date_time_ymd(2018, 1, 1), date_time_ymd(2049, 6, 1));
        let key_above = KeyPair::generate().expect("a key");
        let pem = above.self_signed(&key_above).expect("the parameters make a certificate").pem();
        let issuer = Issuer::from_params(&above, &key_above);
        (params.signed_by(&key, &issuer).expect("the parameters make a certificate"), pem)
    };
    let der = own.der().to_vec();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring knows both versions")
        .with_no_client_auth()
        .with_single_cert(vec![CertificateDer::from(der.clone())], key)
        .expect("the key is the certificate's");
    (authority, der, Arc::new(config))
}

async fn serve(listener: TcpListener, acceptor: TlsAcceptor, state: Arc<State>) {
    let mut connections = JoinSet::new();
    while let Ok((socket, _)) = listener.accept().await {
        let (acceptor, state) = (acceptor.clone(), state.clone());
        connections.spawn(async move {
            let Ok(stream) = acceptor.accept(socket).await else { return };
            let service = service_fn(move |request| respond(state.clone(), request));
            // A connection that fails is the peer's news.
            drop(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await);
        });
        while connections.try_join_next().is_some() {}
    }
}

async fn respond(
    state: Arc<State>,
    request: Request<Incoming>,
) -> Result<Response<BoxBody<Bytes, io::Error>>, io::Error> {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let query = request.uri().query().unwrap_or_default().to_owned();
    lock(&state.requests).push(format!("{method} {}", request.uri()));
    let bearer = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let body = Limited::new(request.into_body(), LARGEST).collect().await.map_err(io::Error::other)?.to_bytes();
    let fault = state.fault(&path);
    if fault == Some(Fault::TokenEnded) {
        lock(&state.tokens).1.clear();
    }
    let (status, mut answer) = match &fault {
        Some(Fault::Silence) => return std::future::pending().await,
        Some(Fault::Status(status)) => (*status, json!({ "error": "internal", "message": "something went wrong" })),
        Some(Fault::Shape(value)) => (200, value.clone()),
        _ if path.ends_with("/oauth/token") => state.token(&body),
        _ if !state.knows(bearer.as_deref()) => (401, json!({ "error": "The access token is invalid" })),
        _ => state.answer(&method, &path, &query, &body),
    };
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let text = match fault {
        Some(Fault::Page) => "<html><body>Sign in</body></html>".to_owned(),
        _ => std::mem::take(&mut answer).to_string(),
    };
    let kind = if fault == Some(Fault::Page) { "text/html" } else { "application/json" };
    let bytes = Bytes::from(text);
    let body = match fault {
        Some(Fault::Cut) => Broken { half: Some(bytes.slice(..bytes.len() / 2)), rested: false }.boxed(),
        _ => Full::new(bytes).map_err(|never| match never {}).boxed(),
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    Ok(response)
}

/// A body that ends with its connection, after its head and first half went out.
struct Broken {
    half: Option<Bytes>,
    rested: bool,
}

impl Body for Broken {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if let Some(half) = self.half.take() {
            return Poll::Ready(Some(Ok(Frame::data(half))));
        }
        if !self.rested {
            // What was handed over is flushed meanwhile.
            self.rested = true;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(Some(Err(io::ErrorKind::BrokenPipe.into())))
    }
}

impl State {
    fn fault(&self, path: &str) -> Option<Fault> {
        let mut faults = lock(&self.faults);
        let (_, fault, left) = faults.iter_mut().find(|(part, _, left)| *left > 0 && path.contains(part.as_str()))?;
        *left -= 1;
        Some(fault.clone())
    }

    fn token(&self, body: &[u8]) -> (u16, Value) {
        let asked: Value = serde_json::from_slice(body).unwrap_or_default();
        let is = |key: &str, wanted: &str| asked[key].as_str() == Some(wanted);
        let setup = lock(&self.setup);
        if !is("client_id", &setup.client.0) || !is("client_secret", &setup.client.1) {
            return (401, json!({ "error": "invalid_client", "error_description": "Client authentication failed" }));
        }
        if let Some((user, password)) = &setup.user
            && !(is("grant_type", "password") && is("username", user) && is("password", password))
        {
            return (400, json!({ "error": "invalid_grant", "error_description": "The grant is invalid" }));
        }
        let mut tokens = lock(&self.tokens);
        tokens.0 += 1;
        let token = format!("token-{}", tokens.0);
        tokens.1.push(token.clone());
        (200, json!({ "access_token": token, "token_type": "bearer", "expires_in": 7200 }))
    }

    fn knows(&self, bearer: Option<&str>) -> bool {
        let token = bearer.and_then(|bearer| bearer.strip_prefix("Bearer "));
        token.is_some_and(|token| lock(&self.tokens).1.iter().any(|known| known == token))
    }

    fn answer(&self, method: &Method, path: &str, query: &str, body: &[u8]) -> (u16, Value) {
        let nothing = (404, json!({ "error": "not found" }));
        let setup = lock(&self.setup);
        let Some(path) = path.strip_prefix("/api/v1/") else { return nothing };
        let parts: Vec<String> = path.split('/').map(decoded).collect();
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        let local = |name: &str| setup.accounts.iter().find(|local| local.name == name);
        let asked: Value = serde_json::from_slice(body).unwrap_or_default();
        match (method.as_str(), &parts[..]) {
            ("POST", ["upstream_satellites", "accounts"]) => {
                let mut answer = json!({ "accounts": setup.accounts.iter().map(account).collect::<Vec<_>>() });
                if let Some(version) = &setup.version {
                    answer["version"] = version.as_str().into();
                }
                (200, answer)
            }
            ("GET", ["accounts", name, "virtual-accounts"]) => match local(name) {
                Some(local) => {
                    let names =
                        local.virtual_accounts.iter().map(|(name, _)| json!({ "name": name, "description": "" }));
                    (200, json!({ "virtualAccounts": names.collect::<Vec<_>>() }))
                }
                None => nothing,
            },
            ("GET", ["accounts", name, "virtual-accounts", inside, "devices"]) => {
                let found =
                    local(name).and_then(|local| local.virtual_accounts.iter().find(|(name, _)| name == inside));
                match found {
                    Some((_, products)) => (200, page(products, setup.page, query)),
                    None => nothing,
                }
            }
            ("POST", ["accounts", name, "licenses"]) if asked["limit"] == -1 => match local(name) {
                Some(_) => (
                    200,
                    json!({ "licenses": [{
                    "license": "network-advantage", "status": "In Compliance", "inUse": 3, "available": 7, "quantity": 10,
                }] }),
                ),
                None => nothing,
            },
            ("POST", ["accounts", name, "alerts"]) if asked["limit"] == -1 => match local(name) {
                Some(_) => (
                    200,
                    json!({ "alerts": [{
                    "messageType": "Synchronization Overdue", "severity": "Major", "source": name,
                }] }),
                ),
                None => nothing,
            },
            _ => nothing,
        }
    }
}

fn account(local: &Local) -> Value {
    let mut account = json!({
        "account_id": 7, "domain": local.name, "name": local.name, "cslu_tenant_url": "https://lab.example/cslu/v1/pi/x-1",
        "cssm_smart_account_id": 1, "cssm_smart_account_name": local.smart_account,
    });
    if let Some(synchronised) = &local.synchronised {
        account["last_synchronized_at"] = synchronised.as_str().into();
    }
    account
}

fn page(products: &[Product], page: Option<usize>, query: &str) -> Value {
    let number = |key: &str| query.split('&').find_map(|pair| pair.strip_prefix(key)?.strip_prefix('=')?.parse().ok());
    let from = number("offset").unwrap_or(0).min(products.len());
    let to = page.map_or(products.len(), |page| from.saturating_add(page)).min(products.len());
    let device = |product: &Product| {
        let mut device = json!({
            "sudi": { "udiPid": product.pid, "udiSerialNumber": product.serial, "uuid": null },
            "productTagName": "regid.2017-05.com.cisco.C9300,v1.0_0001",
        });
        if let Some(host) = &product.host {
            device["hostName"] = host.as_str().into();
        }
        if let Some(contact) = &product.contact {
            device["lastContactDate"] = contact.as_str().into();
        }
        device
    };
    let devices: Vec<Value> = products[from..to].iter().map(device).collect();
    json!({ "totalRecords": products.len(), "devices": devices })
}

fn decoded(part: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = part.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let hex = after.get(..2).and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        match (first, hex) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            _ => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
