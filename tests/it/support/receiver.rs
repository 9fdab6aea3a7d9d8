//! A small HTTP(S) server on loopback: hands over what it was sent, answers what it is told to.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;

/// Long enough for a machine under load.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A request as it came.
#[derive(Debug)]
pub struct Request {
    /// Method and path.
    pub line: String,
    /// `name: value`, names in lower case.
    pub headers: Vec<String>,
    pub body: Vec<u8>,
    /// Was it answered with 200?
    pub taken: bool,
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find_map(|header| header.strip_prefix(name)?.strip_prefix(": "))
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// The server; it ends with this.
pub struct Receiver {
    pub port: u16,
    requests: mpsc::UnboundedReceiver<Request>,
    /// Whole answers, for one request each; then it says 200. An empty one is silence for ever.
    pub answers: Arc<Mutex<VecDeque<String>>>,
    serving: tokio::task::JoinHandle<()>,
}

impl Receiver {
    /// In TLS when there is a chain and a key, both PEM.
    pub async fn start(tls: Option<(&str, &str)>) -> Receiver {
        Receiver::start_with(tls.map(|(chain, key)| acceptor(chain, key))).await
    }

    /// In TLS, and only with clients whom that authority vouches for; all PEM.
    pub async fn start_for(chain: &str, key: &str, clients: &str) -> Receiver {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(clients.as_bytes()).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
        Receiver::start_with(Some(acceptor_with(chain, key, verifier))).await
    }

    async fn start_with(acceptor: Option<TlsAcceptor>) -> Receiver {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (tell, requests) = mpsc::unbounded_channel();
        let answers: Arc<Mutex<VecDeque<String>>> = Arc::default();
        let given = answers.clone();
        let serving = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (tell, given, acceptor) = (tell.clone(), given.clone(), acceptor.clone());
                tokio::spawn(async move {
                    match acceptor {
                        None => serve(stream, &tell, &given).await,
                        Some(acceptor) => match acceptor.accept(stream).await {
                            Ok(stream) => serve(stream, &tell, &given).await,
                            Err(_) => None,
                        },
                    }
                });
            }
        });
        Receiver { port, requests, answers, serving }
    }

    /// Answers the next request so; `body` must be one line.
    pub fn answer(&self, status: &str, body: &str) {
        let answer = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len());
        self.answers.lock().unwrap().push_back(answer);
    }

    /// Puts the next request off for so many seconds.
    pub fn put_off(&self, status: &str, seconds: u32) {
        let answer =
            format!("HTTP/1.1 {status}\r\nRetry-After: {seconds}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        self.answers.lock().unwrap().push_back(answer);
    }

    /// Says nothing to the next request.
    pub fn hang(&self) {
        self.answers.lock().unwrap().push_back(String::new());
    }

    pub async fn request(&mut self) -> Request {
        self.request_within(PATIENCE).await.expect("a request in time")
    }

    pub async fn request_within(&mut self, limit: Duration) -> Option<Request> {
        tokio::time::timeout(limit, self.requests.recv()).await.ok().map(Option::unwrap)
    }

    /// Was nothing more asked?
    pub fn is_quiet(&mut self) -> bool {
        self.requests.try_recv().is_err()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// For a server with this chain and key, both PEM.
pub fn acceptor(chain: &str, key: &str) -> TlsAcceptor {
    acceptor_with(chain, key, WebPkiClientVerifier::no_client_auth())
}

fn acceptor_with(chain: &str, key: &str, clients: Arc<dyn ClientCertVerifier>) -> TlsAcceptor {
    let chain = CertificateDer::pem_slice_iter(chain.as_bytes()).map(Result::unwrap).collect();
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(clients)
        .with_single_cert(chain, key)
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

/// One request of one connection.
async fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    tell: &mpsc::UnboundedSender<Request>,
    answers: &Mutex<VecDeque<String>>,
) -> Option<()> {
    let mut stream = BufReader::new(stream);
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await.ok().filter(|read| *read > 0)?;
        match line.trim_end() {
            "" => break,
            line => lines.push(line.to_owned()),
        }
    }
    let line = lines.remove(0).trim_end_matches(" HTTP/1.1").to_owned();
    let lower = |header: String| {
        let (name, value) = header.split_once(": ").unwrap();
        format!("{}: {value}", name.to_ascii_lowercase())
    };
    let headers: Vec<String> = lines.into_iter().map(lower).collect();
    let length = headers.iter().find_map(|header| header.strip_prefix("content-length: ")?.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    stream.read_exact(&mut body).await.ok()?;
    let answer = answers.lock().unwrap().pop_front();
    let answer =
        answer.unwrap_or_else(|| "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".to_owned());
    let taken = answer.starts_with("HTTP/1.1 200 ");
    tell.send(Request { line, headers, body, taken }).ok()?;
    if answer.is_empty() {
        std::future::pending::<()>().await;
    }
    stream.write_all(answer.as_bytes()).await.ok()?;
    stream.shutdown().await.ok()
}
