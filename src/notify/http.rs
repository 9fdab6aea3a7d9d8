//! One POST to one address: what webhook and Alertmanager have in common.

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, Response, StatusCode};

use super::{Error, wire};
use crate::config::sinks::{Http as Settings, HttpLogin};
use crate::domain::problem::{excerpt, printable};
use crate::secret::Secret;
use crate::tls;

/// So much of an answer is read, in bytes: enough for a reason.
const ANSWER: usize = 4 << 10;

const LOGIN: &str = "put the token, or username and password, right";
const PATH: &str = "put the path of url right";
const SIZE: &str = "raise the size that the receiver takes";
const SHAPE: &str = "the receiver must take what docs/operations.md shows";
const REDIRECT: &str = "write the address that it redirects to";

#[derive(Debug)]
pub(super) struct Http {
    settings: Settings,
    /// What is behind the URL that the operator gave.
    path: &'static str,
    place: String,
}

impl Http {
    pub(super) fn new(place: String, settings: &Settings, path: &'static str) -> Self {
        Http { settings: settings.clone(), path, place }
    }

    /// Sends JSON, and is content when the answer is a success.
    pub(super) async fn post(&self, headers: HeaderMap, json: Vec<u8>) -> Result<(), Error> {
        let login = self.login().await?;
        let url = self.settings.url.expose();
        let url = match self.path {
            "" => url.to_owned(),
            path => format!("{}{path}", url.trim_end_matches('/')),
        };
        let trust = wire::trust(&self.settings.authority).await?;
        let (config, shown) = tls::client(trust.clone()).map_err(|error| Error::Ours(error.to_string()))?;
        let client = Client::builder()
            .tls_backend_preconfigured(config)
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .no_proxy()
            .referer(false)
            .connect_timeout(wire::CONNECT)
            .build()
            .map_err(|error| Error::Ours(innermost(&error)))?;
        let mut request = client.post(url).headers(headers).header(CONTENT_TYPE, "application/json").body(json);
        if let Some(login) = &login {
            request = request.header(AUTHORIZATION, login.header()?);
        }
        let answer = request.send().await.map_err(|error| {
            wire::handshake(&self.place, &trust, &shown, &error)
                .unwrap_or_else(|| Error::Unreachable { place: self.place.clone(), cause: innermost(&error) })
        })?;
        self.judge(answer, login.as_ref()).await
    }

    async fn login(&self) -> Result<Option<Login>, Error> {
        let secret = async |credential: &crate::secret::Credential| {
            let secrets = credential.resolve().await?;
            secrets.password.ok_or_else(|| Error::Ours(format!("{} has no secret", credential.name)))
        };
        Ok(match &self.settings.login {
            None => None,
            Some(HttpLogin::Bearer(credential)) => {
                let token = secret(credential).await?;
                Some(Login { sent: Secret::new(format!("Bearer {}", token.expose())), secret: token })
            }
            Some(HttpLogin::Basic(credential)) => {
                let password = secret(credential).await?;
                let pair = format!("{}:{}", credential.username, password.expose());
                let pair = data_encoding::BASE64.encode(pair.as_bytes());
                Some(Login { sent: Secret::new(format!("Basic {pair}")), secret: password })
            }
        })
    }

    async fn judge(&self, mut answer: Response, login: Option<&Login>) -> Result<(), Error> {
        let status = answer.status();
        if status.is_success() {
            return Ok(());
        }
        let mut body = Vec::new();
        while let Ok(Some(chunk)) = answer.chunk().await {
            body.extend_from_slice(&chunk);
            if body.len() >= ANSWER {
                body.truncate(ANSWER);
                break;
            }
        }
        let mut said = String::from_utf8_lossy(&body).trim().to_owned();
        if let Some(login) = login {
            said = login.hide(&said);
        }
        let said = printable(&excerpt(&said));
        let place = self.place.clone();
        let answer = match said.as_str() {
            "" => format!("HTTP {}", status.as_u16()),
            said => format!("HTTP {}: {said}", status.as_u16()),
        };
        let remedy = match status {
            StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => return Err(Error::Busy { place, answer }),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => LOGIN,
            StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED | StatusCode::GONE => PATH,
            StatusCode::PAYLOAD_TOO_LARGE => SIZE,
            _ if status.is_client_error() => SHAPE,
            _ if status.is_redirection() => REDIRECT,
            _ => return Err(Error::Busy { place, answer }),
        };
        Err(Error::Refused { place, answer, remedy })
    }
}

/// A header with a secret in it.
struct Login {
    sent: Secret,
    secret: Secret,
}

impl Login {
    fn header(&self) -> Result<HeaderValue, Error> {
        let value = HeaderValue::from_str(self.sent.expose());
        let mut value =
            value.map_err(|_| Error::Ours("the secret has characters that no header may have".to_owned()))?;
        value.set_sensitive(true);
        Ok(value)
    }

    /// The answer of somebody who repeats what he was sent.
    fn hide(&self, text: &str) -> String {
        let encoded = self.sent.expose().rsplit(' ').next().unwrap_or_default();
        text.replace(encoded, "<secret>").replace(self.secret.expose(), "<secret>")
    }
}

/// The key by which a receiver knows that it had the same message before.
pub(super) fn idempotency(id: &str) -> Result<HeaderMap, Error> {
    let value = HeaderValue::from_str(id).map_err(|_| Error::Ours("the message's id is no header".to_owned()))?;
    Ok(HeaderMap::from_iter([(HeaderName::from_static("idempotency-key"), value)]))
}

/// The innermost cause, which says most and has no URL in it.
fn innermost(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    if std::ptr::addr_eq(cause, error) { "the request failed".to_owned() } else { cause.to_string() }
}
