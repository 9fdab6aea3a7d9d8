//! One POST to one address: what webhook and Alertmanager have in common.

use reqwest::StatusCode;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};

use super::Error;
use crate::config::web::Http as Settings;
use crate::web::{Lost, NoWay, Way};

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
        let way = Way::to(&self.settings).await?;
        let url = self.settings.url.expose();
        let url = match self.path {
            "" => url.to_owned(),
            path => format!("{}{path}", url.trim_end_matches('/')),
        };
        let place = self.place.clone();
        let request = way.post(&url)?.headers(headers).header(CONTENT_TYPE, "application/json").body(json);
        let answer = match request.send().await.map_err(|error| way.lost(&error)) {
            Ok(answer) => answer,
            Err(Lost::Untrusted(cause)) => return Err(Error::Untrusted { place, cause }),
            Err(Lost::Unreachable(cause)) => return Err(Error::Unreachable { place, cause }),
        };
        let status = answer.status();
        if status.is_success() {
            return Ok(());
        }
        let answer = way.told(answer).await;
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

impl From<NoWay> for Error {
    fn from(error: NoWay) -> Self {
        match error {
            NoWay::Secret(error) => Error::Secret(error),
            NoWay::Ours(cause) => Error::Ours(cause),
        }
    }
}

/// The key by which a receiver knows that it had the same message before.
pub(super) fn idempotency(id: &str) -> Result<HeaderMap, Error> {
    let value = HeaderValue::from_str(id).map_err(|_| Error::Ours("the message's id is no header".to_owned()))?;
    Ok(HeaderMap::from_iter([(HeaderName::from_static("idempotency-key"), value)]))
}
