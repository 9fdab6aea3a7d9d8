//! Watching from outside: status page, metrics, health. It reads and never writes, and sees neither flow nor devices.
//!
//! | path | what |
//! | --- | --- |
//! | `/` | the register for a person: HTML without scripts |
//! | `/status.json` | the same for a program |
//! | `/metrics` | Prometheus' text format, version 0.0.4 |
//! | `/livez` | 200 while the daemon's loop turns |
//! | `/readyz` | 200 while the ledger is open and without trouble |
//!
//! There is no login: it listens on loopback unless the operator says otherwise. A browser on the same machine can be
//! led here by a name that some page's owner makes point here, so on loopback the `Host` of a request must be local.
//! Each connection is one request, bounded in size and time, and so is the number of connections.

mod figures;
mod page;
mod query;

use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use hyper::header::{self, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use jiff::Timestamp;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use self::figures::Cache;
use self::query::Query;
use crate::domain::plan::{Settings, Watched};
use crate::ledger::Ledger;
use crate::metrics::{self, Metrics};

/// Connections at once; whoever comes then waits to be accepted.
const CONNECTIONS: usize = 32;
/// The largest head of a request, in bytes.
const HEAD: usize = 16 << 10;
/// How long a head may take to come.
const HEAD_TIME: Duration = Duration::from_secs(5);
/// How long a whole connection may take, the answer included.
const WHOLE_TIME: Duration = Duration::from_secs(60);
/// A loop that has not turned for so long is stuck: as long as systemd's watchdog waits.
const STILL: Duration = Duration::from_secs(180);
/// A scrape rather gets figures that were good for the last one than waits longer for newer ones.
const SCRAPE_PATIENCE: Duration = Duration::from_millis(25);
/// A person waits for the present.
const PAGE_PATIENCE: Duration = Duration::from_secs(10);

/// What can be seen from here.
pub struct View {
    /// This collector's name.
    pub name: String,
    /// In the order of names.
    pub watched: Arc<[Watched]>,
    pub settings: Arc<Settings>,
    pub ledger: Ledger,
    pub metrics: Arc<Metrics>,
    pub now: Box<dyn Fn() -> Timestamp + Send + Sync>,
    /// Has each device its own series, or each site alone?
    pub per_device: bool,
}

/// Answers requests until nobody shows anything any more (the sender is gone).
pub async fn serve(mut views: watch::Receiver<Arc<View>>, listener: TcpListener) {
    let local = listener.local_addr().is_ok_and(|addr| addr.ip().is_loopback());
    let cache = Arc::new(Cache::default());
    let first = views.borrow_and_update().clone();
    cache.refresh(first);
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            changed = views.changed() => match changed {
                Ok(()) => continue,
                Err(_) => return,
            },
            Some(_) = connections.join_next() => continue,
            accepted = listener.accept(), if connections.len() < CONNECTIONS => accepted,
        };
        let Ok((stream, _)) = accepted else {
            // Out of descriptors: others finish and give some back.
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let server = Server { view: views.borrow().clone(), cache: cache.clone(), local };
        connections.spawn(converse(server, stream));
    }
}

async fn converse(server: Server, stream: TcpStream) {
    let server = Arc::new(server);
    let answer = service_fn(move |request: Request<Incoming>| {
        let server = server.clone();
        async move { Ok::<_, Infallible>(server.answer(&request).await) }
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD_TIME).max_buf_size(HEAD).keep_alive(false);
    let conversation = http.serve_connection(TokioIo::new(stream), answer);
    match tokio::time::timeout(WHOLE_TIME, conversation).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "an HTTP connection ended early"),
        Err(_) => tracing::debug!("an HTTP connection took too long"),
    }
}

/// What one connection is answered from.
struct Server {
    view: Arc<View>,
    cache: Arc<Cache>,
    /// We listen on loopback.
    local: bool,
}

impl Server {
    async fn answer(&self, request: &Request<Incoming>) -> Response<Parts> {
        let mut response = self.respond(request).await;
        let headers = response.headers_mut();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
        headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(NOTHING));
        if response.extensions().get::<Page>().is_some()
            && let Ok(policy) = HeaderValue::from_str(&page::content_security_policy())
        {
            response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
        }
        response
    }

    async fn respond(&self, request: &Request<Incoming>) -> Response<Parts> {
        if self.local && !request.headers().get(header::HOST).is_none_or(is_local) {
            return say(StatusCode::MISDIRECTED_REQUEST, "this address answers under a local name only\n");
        }
        let known = ["/", "/status.json", "/metrics", "/livez", "/readyz"];
        let path = request.uri().path();
        if !known.contains(&path) {
            return say(StatusCode::NOT_FOUND, "nothing here; see / and /metrics\n");
        }
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            let mut response = say(StatusCode::METHOD_NOT_ALLOWED, "this can only be read\n");
            response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
            return response;
        }
        match path {
            "/livez" => self.live(),
            "/readyz" => self.ready(),
            "/metrics" => self.metrics().await,
            path => self.register(path == "/", request.uri().query().unwrap_or_default()).await,
        }
    }

    fn live(&self) -> Response<Parts> {
        match self.view.metrics.still() {
            Some(still) if still <= STILL => say(StatusCode::OK, "ok\n"),
            Some(still) => say(
                StatusCode::SERVICE_UNAVAILABLE,
                &format!("the loop has not turned for {} seconds\n", still.as_secs()),
            ),
            None => say(StatusCode::SERVICE_UNAVAILABLE, "the loop has not turned yet\n"),
        }
    }

    fn ready(&self) -> Response<Parts> {
        match self.view.ledger.trouble() {
            None => say(StatusCode::OK, "ok\n"),
            Some(trouble) => say(StatusCode::SERVICE_UNAVAILABLE, &format!("the ledger: {trouble}\n")),
        }
    }

    async fn metrics(&self) -> Response<Parts> {
        let Some(figures) = self.cache.figures(&self.view, SCRAPE_PATIENCE).await else { return failed() };
        let ledger = &self.view.ledger;
        let standing = ledger.standing();
        let own = metrics::own(
            &self.view.metrics,
            metrics::Ledger {
                records: figures.overview.records,
                bytes: figures.bytes,
                segments: standing.segments,
                batches: standing.seq,
                trouble: ledger.trouble().is_some(),
            },
        );
        respond("text/plain; version=0.0.4; charset=utf-8", [own.into(), figures.text.clone()])
    }

    async fn register(&self, html: bool, query: &str) -> Response<Parts> {
        let query = match Query::read(query) {
            Ok(query) => query,
            Err(reason) => return say(StatusCode::BAD_REQUEST, &format!("{reason}\n")),
        };
        let Some(figures) = self.cache.figures(&self.view, PAGE_PATIENCE).await else { return failed() };
        let drawn = tokio::task::spawn_blocking(move || {
            let part = query.part(&figures);
            if html { page::html(&figures, &query, &part) } else { page::json(&figures, &query, &part) }
        });
        match drawn.await {
            Ok(text) if html => {
                let mut response = respond("text/html; charset=utf-8", [text.into()]);
                response.extensions_mut().insert(Page);
                response
            }
            Ok(text) => respond("application/json", [text.into()]),
            Err(_) => failed(),
        }
    }
}

/// Marks an answer that a browser draws.
#[derive(Clone)]
struct Page;

/// What any other answer may load: nothing.
const NOTHING: &str = "default-src 'none'; frame-ancestors 'none'";

fn respond<const N: usize>(kind: &'static str, parts: [Bytes; N]) -> Response<Parts> {
    let mut response = Response::new(Parts(VecDeque::from(parts)));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

fn say(status: StatusCode, text: &str) -> Response<Parts> {
    let mut response = respond("text/plain; charset=utf-8", [text.to_owned().into()]);
    *response.status_mut() = status;
    response
}

fn failed() -> Response<Parts> {
    say(StatusCode::INTERNAL_SERVER_ERROR, "a mistake of the program; the log has it\n")
}

/// Does this `Host` name the machine itself, by a name or an address that nobody else can give away?
fn is_local(host: &HeaderValue) -> bool {
    let Ok(host) = host.to_str() else { return false };
    if let Ok(addr) = host.parse::<SocketAddr>() {
        return addr.ip().is_loopback();
    }
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.parse::<u16>().is_ok() => name,
        _ => host,
    };
    let name = name.trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// A body whose parts are there already and may be shared with other answers.
struct Parts(VecDeque<Bytes>);

impl Body for Parts {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.pop_front().map(|part| Ok(Frame::data(part))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0.iter().map(|part| part.len() as u64).sum())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_others_give_away_is_not_local() {
        let local = |host: &'static str| is_local(&HeaderValue::from_static(host));
        for host in ["localhost", "LOCALHOST:9824", "127.0.0.1", "127.0.0.1:9824", "127.9.9.9:1", "[::1]:9824", "[::1]"]
        {
            assert!(local(host), "{host}");
        }
        for host in
            ["", "evil.example", "evil.example:9824", "localhost.evil.example", "192.0.2.1:9824", "[2001:db8::1]"]
        {
            assert!(!local(host), "{host}");
        }
    }
}
