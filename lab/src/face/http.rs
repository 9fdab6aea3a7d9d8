//! HTTPS as the device's web server speaks it: TLS, Basic logins, and its limits.

use std::convert::Infallible;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use data_encoding::BASE64;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Body, Bytes, Frame, Incoming};
use hyper::header::{
    ALLOW, AUTHORIZATION, CONNECTION, CONTENT_TYPE, COOKIE, DATE, HeaderValue, SET_COOKIE, WWW_AUTHENTICATE,
};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

use crate::cli::time;
use crate::face::certificate::Shown;
use crate::face::page::{HTML, JSON, Page};
use crate::face::station::Station;
use crate::face::{Way, nxapi, restconf, smartlic};
use crate::fault::Fault;
use crate::fault::wire::{Tamper, Wire};

/// A handshake that takes longer is given up.
const HANDSHAKE: Duration = Duration::from_secs(30);

/// Serves a device until the task is aborted; its connections end with it.
pub async fn serve(station: Arc<Station>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = station.accept(Way::Https) => match accepted {
                Ok(socket) => {
                    connections.spawn(connection(Arc::clone(&station), socket));
                }
                // Out of descriptors, most likely: others must close some first.
                Err(_) => sleep(station.spec.limits.idle / 1000).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn connection(station: Arc<Station>, socket: TcpStream) {
    let mut hang_up = station.hang_up.subscribe();
    station.meter.connection();
    let open = station.meter.open.enter();
    if open.now > station.spec.limits.connections {
        return;
    }
    tokio::select! {
        // A connection that fails is the peer's news, not ours: the counters tell.
        _ = spoken(&station, socket) => {}
        _ = hang_up.changed() => {}
    }
}

async fn spoken(station: &Arc<Station>, socket: TcpStream) -> io::Result<()> {
    let shown = match station.faults.at_accept(Way::Https) {
        Some(Fault::ResetOnAccept) => return socket.set_zero_linger(),
        Some(Fault::HangHandshake) => return std::future::pending().await,
        Some(Fault::ExpiredCertificate) => Shown::Expired,
        Some(Fault::ChangedCertificate) => Shown::Foreign,
        _ => Shown::Own,
    };
    socket.set_nodelay(true)?;
    let limits = &station.spec.limits;
    let certificate = station.certificates.of(&station.spec, shown);
    let handshake = TlsAcceptor::from(Arc::clone(&certificate.config)).accept(socket);
    let stream = match timeout(HANDSHAKE, handshake).await {
        Ok(Ok(stream)) => stream,
        _ => {
            station.meter.handshake_failed();
            return Ok(());
        }
    };
    let tamper = Tamper::default();
    let wire = Wire::new(stream, tamper.clone(), Arc::clone(&station.meter), limits.idle);
    let served = AtomicU32::new(0);
    let service = service_fn(|request| {
        let number = served.fetch_add(1, Ordering::Relaxed) + 1;
        respond(station, &tamper, number >= limits.requests_per_connection, request)
    });
    let mut builder = hyper::server::conn::http1::Builder::new();
    let mut speaking = pin!(builder.auto_date_header(false).serve_connection(TokioIo::new(wire), service));
    let ended = tokio::select! {
        ended = speaking.as_mut() => ended,
        () = sleep(limits.life) => {
            speaking.as_mut().graceful_shutdown();
            speaking.await
        }
    };
    ended.map_err(io::Error::other)
}

type Answer = Response<BoxBody<Bytes, Infallible>>;

/// One request and its response. `last` is true for the last one a connection may carry.
async fn respond(
    station: &Station,
    tamper: &Tamper,
    last: bool,
    request: Request<Incoming>,
) -> Result<Answer, Infallible> {
    let _here = station.meter.in_flight.enter();
    let _fleet = station.fleet_in_flight.enter();
    let path = request.uri().path().to_string();
    station.meter.request(request.method().as_str(), &path);
    let fault = station.faults.at_request(&path);
    if fault == Some(Fault::Hang) {
        return std::future::pending().await;
    }
    tamper.begin(fault.clone());
    let mut page = page(station, fault.as_ref(), &path, request).await;
    let mut huge = None;
    match fault {
        Some(Fault::TruncatedJson) => page.body.truncate(page.body.len() / 2),
        Some(Fault::WrongContentType) => page.kind = HTML,
        Some(Fault::HugeBody(bytes)) => huge = Some(Huge { left: bytes, begun: false }),
        _ => {}
    }
    let mut response = Response::new(match huge {
        Some(huge) => huge.boxed(),
        None => Full::new(Bytes::from(page.body)).boxed(),
    });
    *response.status_mut() = StatusCode::from_u16(page.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(page.kind));
    if let Ok(date) = HeaderValue::from_str(&time::date(station.device_clock())) {
        headers.insert(DATE, date);
    }
    if let Some(allow) = page.allow {
        headers.insert(ALLOW, HeaderValue::from_static(allow));
    }
    if let Some(cookie) = page.cookie.and_then(|cookie| HeaderValue::from_str(&cookie).ok()) {
        headers.insert(SET_COOKIE, cookie);
    }
    if page.status == 401 {
        headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"level_15_access\""));
    }
    if last {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    Ok(response)
}

async fn page(station: &Station, fault: Option<&Fault>, path: &str, request: Request<Incoming>) -> Page {
    let header = |name| request.headers().get(name).and_then(|value| value.to_str().ok());
    let nxapi = station.spec.faces.nxapi && path == nxapi::PATH;
    let remembered = nxapi && header(COOKIE).is_some_and(|cookies| nxapi::remembers(station, cookies));
    if nxapi && !remembered {
        station.meter.request("LOGIN", path);
    }
    if fault == Some(&Fault::RefuseLogin) || !(remembered || may_enter(station, &request)) {
        station.meter.login_refused();
        return Page::bare(401, "Unauthorized");
    }
    if fault == Some(&Fault::Forbidden) {
        return Page::bare(403, "Forbidden");
    }
    if fault == Some(&Fault::Status404) {
        return Page::bare(404, "Not Found");
    }
    if fault == Some(&Fault::Status500) {
        return Page::text(500, JSON, "{\"error\":{\"message\":\"internal error\"}}");
    }
    let method = request.method().as_str().to_string();
    let query = request.uri().query().map(str::to_string);
    let content_type = header(CONTENT_TYPE).map(str::to_string);
    let body = match Limited::new(request.into_body(), station.spec.limits.body).collect().await {
        Ok(body) => body.to_bytes(),
        Err(_) => return Page::bare(413, "Content Too Large"),
    };
    let faces = station.spec.faces;
    if faces.smartlic && path.starts_with(smartlic::ROOT) {
        smartlic::answer(station, &method, path, &body)
    } else if faces.restconf && path.starts_with(restconf::ROOT) {
        restconf::answer(station, &method, path, query.as_deref(), &body)
    } else if nxapi {
        let cookie = if remembered { None } else { nxapi::cookie(station) };
        Page { cookie, ..nxapi::answer(station, &method, content_type.as_deref(), &body) }
    } else {
        Page::bare(404, "Not Found")
    }
}

fn may_enter(station: &Station, request: &Request<Incoming>) -> bool {
    let given = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let given = given.and_then(|value| value.strip_prefix("Basic ")).and_then(|login| {
        let login = BASE64.decode(login.trim().as_bytes()).ok()?;
        String::from_utf8(login).ok()
    });
    given.is_some_and(|login| {
        login.split_once(':') == Some((station.spec.user.as_str(), station.spec.password.as_str()))
    })
}

/// A body that begins like an answer and goes on in spaces.
struct Huge {
    left: u64,
    begun: bool,
}

static SPACES: [u8; 16_384] = [b' '; 16_384];

impl Body for Huge {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let this = self.get_mut();
        if this.left == 0 {
            return Poll::Ready(None);
        }
        let piece: &'static [u8] = if this.begun { &SPACES } else { b"{\"usage\":[" };
        this.begun = true;
        let length = piece.len().min(usize::try_from(this.left).unwrap_or(usize::MAX));
        this.left -= length as u64;
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&piece[..length])))))
    }
}
