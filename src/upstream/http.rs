//! HTTPS to an upstream: whom to believe, through which proxy, how long and how much, and what a failure means.

use std::time::Duration;

use reqwest::{Client, RequestBuilder, StatusCode};
use serde_json::Value;

use super::Error;
use crate::config::{Upstream, upstreams::Proxy};
use crate::domain::problem::{excerpt, printable};
use crate::secret::{Credential, Secret};
use crate::tls::{self, Shown, Trust};
use crate::web::{self, innermost};

/// The largest answer that is read, in bytes: acknowledgements of some thousand devices.
const ANSWER: usize = 16 << 20;

/// The way to one server, for some requests in a row.
pub(super) struct Http {
    pub client: Client,
    /// The upstream's type and address, as errors name it.
    pub place: String,
    limit: Duration,
    trust: Trust,
    shown: Shown,
    proxy: Option<String>,
    /// What must not be shown, should an answer repeat it.
    secrets: Vec<Secret>,
}

/// What a server said.
#[derive(Debug)]
pub(super) struct Answer {
    pub status: StatusCode,
    pub body: Vec<u8>,
}

impl Http {
    /// Reads whom to believe and what the proxy wants; connects to nobody.
    pub async fn to(upstream: &Upstream) -> Result<Http, Error> {
        let ours = |error: String| Error::Ours(error);
        let trust = upstream.authority.trust().await.map_err(ours)?;
        let (config, shown) = tls::client(trust.clone()).map_err(|error| ours(error.to_string()))?;
        let client = web::client(config);
        let mut secrets = Vec::new();
        let client = match &upstream.proxy {
            None => client,
            Some(Proxy { url, login }) => {
                let mut proxy = reqwest::Proxy::all(url.expose()).map_err(|error| ours(innermost(&error)))?;
                if let Some(login) = login {
                    let password = password(login).await?;
                    proxy = proxy.basic_auth(&login.username, password.expose());
                    secrets.push(password);
                }
                client.proxy(proxy)
            }
        };
        let client = client.build().map_err(|error| ours(innermost(&error)))?;
        let place = format!("{} {}", upstream.word(), upstream.url.origin());
        let proxy = upstream.proxy.as_ref().and_then(|proxy| Some(proxy.login.as_ref()?.name.clone()));
        Ok(Http { client, place, limit: upstream.timeout, trust, shown, proxy, secrets })
    }

    /// The certificates (DER) that the server showed, its own first; none before the first request.
    pub fn chain(&self) -> Vec<Vec<u8>> {
        self.shown.chain()
    }

    /// From now on this is hidden in what answers are quoted.
    pub fn hides(&mut self, secret: &Secret) {
        self.secrets.push(secret.clone());
    }

    /// Sends, and reads the whole answer within the limits of time and size.
    pub async fn send(&self, step: &'static str, request: RequestBuilder) -> Result<Answer, Error> {
        let asked = async {
            let mut answer = request.send().await.map_err(|error| self.lost(step, &error))?;
            let (status, mut body) = (answer.status(), Vec::new());
            while let Some(chunk) = answer.chunk().await.map_err(|error| {
                let cause = format!("its answer broke off: {}", innermost(&error));
                Error::Unreachable { step, place: self.place.clone(), cause, sent: true }
            })? {
                if body.len() + chunk.len() > ANSWER {
                    let (expected, got) = ("an answer of at most 16 MiB", "a longer one".to_owned());
                    return Err(Error::Misbehaved { step, place: self.place.clone(), expected, got });
                }
                body.extend_from_slice(&chunk);
            }
            Ok(Answer { status, body })
        };
        let slow = |_| Error::TooSlow { step, place: self.place.clone(), limit: self.limit };
        tokio::time::timeout(self.limit, asked).await.map_err(slow)?
    }

    /// The JSON of an answer, where its status is a success; else whose turn it is.
    pub fn json(&self, step: &'static str, answer: &Answer) -> Result<Value, Error> {
        if !answer.status.is_success() {
            return Err(self.refusal(step, answer));
        }
        serde_json::from_slice(&answer.body).map_err(|_| {
            let got = match self.said(&answer.body).as_str() {
                "" => "nothing".to_owned(),
                said => format!("{said:?}"),
            };
            Error::Misbehaved { step, place: self.place.clone(), expected: "JSON", got }
        })
    }

    /// What a status other than success means.
    pub fn refusal(&self, step: &'static str, answer: &Answer) -> Error {
        let place = self.place.clone();
        let status = answer.status;
        let answer = match self.said(&answer.body).as_str() {
            "" => format!("HTTP {}", status.as_u16()),
            said => format!("HTTP {}: {said}", status.as_u16()),
        };
        match status {
            StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => {
                Error::Busy { step, place, answer, sent: false }
            }
            StatusCode::PAYLOAD_TOO_LARGE => Error::TooLarge { step, place, answer },
            _ if status.is_client_error() || status.is_redirection() => Error::Refused { step, place, answer },
            _ => Error::Busy { step, place, answer, sent: true },
        }
    }

    /// An answer as a person may see it.
    pub fn said(&self, body: &[u8]) -> String {
        let mut said = String::from_utf8_lossy(body.get(..4096).unwrap_or(body)).trim().to_owned();
        for secret in &self.secrets {
            said = said.replace(secret.expose(), "<secret>");
        }
        printable(&excerpt(&said))
    }

    fn lost(&self, step: &'static str, error: &reqwest::Error) -> Error {
        let place = self.place.clone();
        if let Some(failure) = tls::handshake(&self.trust, &self.shown, error) {
            return match failure.certificate {
                true => Error::Untrusted { step, place, cause: failure.cause },
                false => Error::Unreachable { step, place, cause: format!("TLS: {}", failure.cause), sent: false },
            };
        }
        let cause = innermost(error);
        // The words of the crate below; a test holds them.
        if cause.contains("proxy authorization required") {
            let answer = format!("the proxy: {cause}");
            return match self.proxy.clone() {
                Some(credential) => Error::CredentialRefused { step, place, credential, answer },
                None => Error::Refused { step, place, answer },
            };
        }
        Error::Unreachable { step, place, cause, sent: !error.is_connect() }
    }
}

/// The one secret of a credential.
pub(super) async fn password(credential: &Credential) -> Result<Secret, Error> {
    let secrets = credential.resolve().await?;
    secrets.password.ok_or_else(|| Error::Ours(format!("credential {} has no password", credential.name)))
}

/// Text as a part of a URL or form.
pub(super) fn segment(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'~' => out.push(char::from(byte)),
            // A path of dots alone would lead elsewhere.
            b'.' if text.bytes().any(|byte| byte != b'.') => out.push('.'),
            other => out.push_str(&format!("%{other:02X}")),
        }
    }
    out
}
