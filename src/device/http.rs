//! HTTPS with one device: Basic login on every request, no redirects, no proxy, bounded bodies.

use std::time::Duration;

use jiff::Timestamp;
use jiff::fmt::rfc2822;
use reqwest::header::{ACCEPT, AGE, CONTENT_TYPE, COOKIE, DATE, HeaderMap, HeaderName, HeaderValue, SET_COOKIE, VIA};
use reqwest::{Client, Method, StatusCode};
use serde_json::Value;

use super::budget::{Budget, Share};
use super::tape::{Exchange, Over, Tape};
use super::{Error, Refusal, Target};
use crate::domain::digest::Sha256;
use crate::domain::problem::{excerpt, printable};
use crate::domain::state::Stamp;
use crate::tls::{self, Shown, Trust};

/// What an answer without an announced length may hold before it takes its share of the budget, in bytes. Many
/// devices announce none; were each taken for the largest, few polls could be under way at once.
const SMALL: u64 = 64 << 10;

/// An answer that was read to its end.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) body: Vec<u8>,
    pub(super) share: Share,
}

/// A request's body and its type.
pub(super) struct Body {
    pub(super) content_type: &'static str,
    pub(super) bytes: Vec<u8>,
}

pub(super) struct Http {
    target: Target,
    budget: Budget,
    base: String,
    client: Option<(Client, Shown)>,
    /// Requests sent over the present connection.
    sent: u32,
    /// How long silence may last.
    patience: Duration,
    proven: Option<Sha256>,
    /// The status that refused the login: nothing is sent any more.
    refused: Option<u16>,
    cookie: Option<Cookie>,
    /// By the last answer.
    clock: Option<Stamp>,
    tape: Tape,
}

/// A cookie of this name, as it is sent back once the device has set it.
struct Cookie {
    name: &'static str,
    pair: Option<HeaderValue>,
}

impl Http {
    pub(super) fn new(target: Target, budget: Budget) -> Self {
        let base = format!("https://{}", target.authority);
        let patience = target.limits.read;
        Http {
            target,
            budget,
            base,
            client: None,
            sent: 0,
            patience,
            proven: None,
            refused: None,
            cookie: None,
            clock: None,
            tape: Tape::default(),
        }
    }

    /// From now on answers may take as long as a save or an import does. The first time costs a new connection.
    pub(super) fn be_patient(&mut self) {
        if self.patience < self.target.limits.slow {
            self.patience = self.target.limits.slow;
            self.client = None;
        }
    }

    /// Sends a cookie of this name back with every further request, beside the login.
    pub(super) fn keeping(mut self, name: &'static str) -> Self {
        self.cookie = Some(Cookie { name, pair: None });
        self
    }

    pub(super) fn taped(mut self, tape: &Tape) -> Self {
        self.tape = tape.clone();
        self
    }

    pub(super) fn proven(&self) -> Option<Sha256> {
        self.proven
    }

    /// The device's clock to the second, as its last answer was dated: see [`clock`].
    pub(super) fn clock(&self) -> Option<Stamp> {
        self.clock.clone()
    }

    /// One request, noted on the tape or answered by it; see [`request`](Self::request).
    pub(super) async fn ask(
        &mut self,
        step: &'static str,
        method: Method,
        path: &str,
        accept: &'static str,
        body: Option<Body>,
    ) -> Result<Answer, Error> {
        let text = body.as_ref().map(|body| String::from_utf8_lossy(&body.bytes));
        let sent = format!("{method} {path}{}", text.map(|text| format!("\n{text}")).unwrap_or_default());
        if let Some(played) = self.tape.play(Over::Http, &sent) {
            let played = played?;
            let status = played.status.and_then(|status| StatusCode::from_u16(status).ok()).unwrap_or_default();
            if let StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN = status {
                return Err(Error::LoginRefused { step, refusal: Refusal::Http(status.as_u16()) });
            }
            let body = played.got.into_bytes();
            let share = self.budget.share(body.len() as u64).await;
            return Ok(Answer { status, body, share });
        }
        let outcome = Box::pin(self.request(step, method, path, accept, body)).await;
        let (status, body) = match &outcome {
            Ok(answer) => (answer.status.as_u16(), answer.body.as_slice()),
            Err(Error::LoginRefused { refusal: Refusal::Http(status), .. }) => (*status, [].as_slice()),
            Err(_) => return outcome,
        };
        let got = || String::from_utf8_lossy(body).into_owned();
        self.tape.note(|| Exchange { over: Over::Http, sent, got: got(), status: Some(status), refused: None });
        outcome
    }

    /// One request. A refused login, a failing handshake, silence and an oversized body are
    /// errors; any other status is for the caller to judge.
    async fn request(
        &mut self,
        step: &'static str,
        method: Method,
        path: &str,
        accept: &'static str,
        body: Option<Body>,
    ) -> Result<Answer, Error> {
        if let Some(status) = self.refused {
            return Err(Error::LoginRefused { step, refusal: Refusal::Http(status) });
        }
        if self.sent >= self.target.limits.requests_per_connection {
            self.client = None;
        }
        let (client, shown) = self.client(step)?;
        let mut request = client
            .request(method, format!("{}{path}", self.base))
            .basic_auth(&self.target.login.username, Some(&self.target.login.password))
            .header(ACCEPT, HeaderValue::from_static(accept));
        if let Some(body) = body {
            request = request.header(CONTENT_TYPE, HeaderValue::from_static(body.content_type)).body(body.bytes);
        }
        if let Some(pair) = self.cookie.as_ref().and_then(|cookie| cookie.pair.clone()) {
            request = request.header(COOKIE, pair);
        }
        self.sent += 1;
        let answer = request.send().await;
        let mut answer = answer.map_err(|error| self.failed(step, &error, shown.fingerprint()))?;
        // An answer came over the connection, so the peer holds the certificate's key.
        self.proven = shown.fingerprint().or(self.proven);
        self.clock = clock(answer.headers());
        let status = answer.status();
        if status == StatusCode::UNAUTHORIZED || status == StatusCode::FORBIDDEN {
            self.refused = Some(status.as_u16());
            return Err(Error::LoginRefused { step, refusal: Refusal::Http(status.as_u16()) });
        }
        if let Some(cookie) = &mut self.cookie {
            cookie.take(answer.headers());
        }
        let html = |kind: &HeaderValue| kind.as_bytes().starts_with(b"text/html");
        if status.is_success() && answer.headers().get(CONTENT_TYPE).is_some_and(html) {
            // A proxy's or a portal's page, whatever stands in it.
            let got = "a page of type text/html".to_owned();
            return Err(Error::Misbehaved { step, expected: "JSON", got });
        }
        let limit = self.target.limits.body;
        let announced = answer.content_length();
        if announced.is_some_and(|length| length > limit) {
            return Err(Error::TooLarge { step, limit });
        }
        let mut share = match announced {
            Some(length) => Some(self.budget.share(length).await),
            None => None,
        };
        let mut bytes = Vec::with_capacity(usize::try_from(announced.unwrap_or(0)).unwrap_or(0));
        while let Some(chunk) = answer.chunk().await.map_err(|error| self.failed(step, &error, None))? {
            let length = (bytes.len() + chunk.len()) as u64;
            if length > limit {
                self.client = None;
                return Err(Error::TooLarge { step, limit });
            }
            if share.is_none() && length > SMALL {
                share = Some(self.budget.share(limit).await);
            }
            bytes.extend_from_slice(&chunk);
        }
        let mut share = share.unwrap_or_default();
        share.keep(bytes.len() as u64);
        Ok(Answer { status, body: bytes, share })
    }

    fn client(&mut self, step: &'static str) -> Result<(Client, Shown), Error> {
        if let Some((client, shown)) = &self.client {
            return Ok((client.clone(), shown.clone()));
        }
        let ours = |cause: String| Error::Ours { step, cause };
        let (config, shown) = tls::client(self.target.trust.clone()).map_err(|error| ours(error.to_string()))?;
        let client = Client::builder()
            .tls_backend_preconfigured(config)
            .http1_only()
            .https_only(true)
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .no_proxy()
            .referer(false)
            .tcp_nodelay(true)
            .pool_max_idle_per_host(1)
            .connect_timeout(self.target.limits.connect)
            .read_timeout(self.patience)
            .build()
            .map_err(|error| ours(innermost(&error)))?;
        self.sent = 0;
        self.client = Some((client.clone(), shown.clone()));
        Ok((client, shown))
    }

    fn failed(&mut self, step: &'static str, error: &reqwest::Error, shown: Option<Sha256>) -> Error {
        self.client = None;
        let address = self.base.clone();
        if let Some(failure) = tls::failure(error) {
            return match (&self.target.trust, shown) {
                (Trust::Pin(pinned), Some(shown)) if *pinned != shown => {
                    Error::ChangedCertificate { step, pinned: *pinned, shown }
                }
                _ if failure.certificate => Error::Untrusted { step, cause: failure.cause },
                _ => Error::Unreachable { step, address, cause: format!("TLS: {}", failure.cause) },
            };
        }
        if error.is_timeout() {
            let limit = if error.is_connect() { self.target.limits.connect } else { self.patience };
            return Error::Unreachable { step, address, cause: format!("nothing came for {limit:?}") };
        }
        Error::Unreachable { step, address, cause: innermost(error) }
    }
}

impl Cookie {
    fn take(&mut self, headers: &HeaderMap) {
        let own = |value: &HeaderValue| {
            let pair = value.as_bytes().split(|byte| *byte == b';').next()?.trim_ascii();
            pair.strip_prefix(self.name.as_bytes())?.strip_prefix(b"=").filter(|value| !value.is_empty())?;
            HeaderValue::from_bytes(pair).ok()
        };
        if let Some(mut pair) = headers.get_all(SET_COOKIE).iter().filter_map(own).next_back() {
            pair.set_sensitive(true);
            self.pair = Some(pair);
        }
    }
}

/// A body as JSON.
pub(super) fn json(step: &'static str, expected: &'static str, body: &[u8]) -> Result<Value, Error> {
    serde_json::from_slice(body).map_err(|error| Error::unreadable(step, expected, &error.to_string(), body))
}

/// The `Date` of an answer (RFC 9110 §6.6.1): a web server puts its own clock there. That it is the clock which licensing
/// goes by is inferred. Where the answer shows that it came through somebody else, the date may be theirs: then it is
/// told and no instant is taken from it.
fn clock(headers: &HeaderMap) -> Option<Stamp> {
    let shown = |value: &HeaderValue| printable(&excerpt(&String::from_utf8_lossy(value.as_bytes())));
    let date = headers.get(DATE)?;
    let text = shown(date);
    let between = [VIA, AGE, HeaderName::from_static("x-cache")];
    if let Some((name, value)) = between.iter().find_map(|name| Some((name, headers.get(name)?))) {
        return Some(Stamp {
            text: format!("{text} (HTTP Date, perhaps of a proxy: {name}: {})", shown(value)).into(),
            utc: None,
        });
    }
    let utc: Timestamp = rfc2822::DateTimeParser::new().parse_timestamp(date.as_bytes()).ok()?;
    Some(Stamp { text: format!("{text} (HTTP Date)").into(), utc: Some(utc) })
}

/// The innermost cause, which says most; the outer ones name the URL again and again.
fn innermost(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dated(headers: &[(&'static str, &'static str)]) -> Option<Stamp> {
        let pair = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        clock(&headers.iter().map(pair).collect())
    }

    #[test]
    fn the_date_of_an_answer_is_a_clock() {
        let date = ("date", "Sun, 22 Nov 2026 06:36:21 GMT");
        let stamp = dated(&[date]).unwrap();
        assert_eq!(stamp.utc, Some("2026-11-22T06:36:21Z".parse().unwrap()));
        assert_eq!(&*stamp.text, "Sun, 22 Nov 2026 06:36:21 GMT (HTTP Date)");
        for wrong in ["", "yesterday", "Sun, 22 Nov 2026 25:36:21 GMT", "1700000000", "Sun, 22 Nov 99999 06:36:21 GMT"]
        {
            assert_eq!(dated(&[("date", wrong)]), None, "{wrong}");
        }
        assert_eq!(dated(&[]), None);
    }

    #[test]
    fn a_proxys_date_is_told_and_not_believed() {
        let date = ("date", "Sun, 22 Nov 2026 06:36:21 GMT");
        for (name, value) in [("via", "1.1 cache.example"), ("age", "12"), ("x-cache", "HIT")] {
            let stamp = dated(&[date, (name, value)]).unwrap();
            assert_eq!(stamp.utc, None);
            assert_eq!(
                stamp.text.into_string(),
                format!("{} (HTTP Date, perhaps of a proxy: {name}: {value})", date.1)
            );
        }
    }
}
