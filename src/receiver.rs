//! The operator's receiver of snapshots: one POST of one file. What is sent, when and how often is not decided here.
//!
//! ```text
//! POST /the/path HTTP/1.1
//! Idempotency-Key: 0123456789abcdef0123456789abcdef          the snapshot; with its form behind it unless that is json
//! Content-Type: application/json
//! Content-Length: 4711
//! Content-Digest: sha-256=:…:                                 RFC 9530
//! Slp-Snapshot: 0123456789abcdef0123456789abcdef
//! Slp-Corrects: fedcba9876543210fedcba9876543210              in whose place it stands, if it is a correction
//! ```
//!
//! The body is the published file byte for byte, read while it is sent. Any 2xx means that the receiver has it.

mod error;
mod file;

use std::path::Path;

use jiff::{SignedDuration, Timestamp};
use reqwest::header::{CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER};
use reqwest::{Body, Response, StatusCode};

use crate::config::Post;
use crate::domain::event::SnapshotOwed;
use crate::domain::snapshot::Form;
use crate::web::{self, Lost, Way};
pub use error::Error;
use file::FileBody;

/// Whoever asks for more patience is asked again after this.
const LONGEST_WAIT: SignedDuration = SignedDuration::from_hours(24);

/// Type and address, as errors and the log name it; never the path.
pub fn place(post: &Post) -> String {
    format!("receiver {}", post.server.url.origin())
}

/// Sends the file; the status of the answer when the receiver has it. `now` is for receivers that name an instant at
/// which to come again.
pub async fn send(post: &Post, owed: &SnapshotOwed, path: &Path, now: Timestamp) -> Result<u16, Error> {
    let (place, limit) = (place(post), post.timeout);
    let slow = |_| Err(Error::TooSlow { place: place.clone(), limit });
    tokio::time::timeout(limit, sent(post, &place, owed, path, now)).await.unwrap_or_else(slow)
}

async fn sent(post: &Post, place: &str, owed: &SnapshotOwed, path: &Path, now: Timestamp) -> Result<u16, Error> {
    let way = Way::to(&post.server).await?;
    let body = FileBody::open(path, owed.size).await;
    let body = body.map_err(|error| Error::Ours(format!("{}: {error}", path.display())))?;
    let digest = data_encoding::BASE64.encode(&owed.sha256.0);
    let mut request = way
        .post(post.server.url.expose())?
        .header("idempotency-key", &owed.key)
        .header(CONTENT_TYPE, content_type(owed.form))
        .header(CONTENT_LENGTH, owed.size)
        .header("content-digest", format!("sha-256=:{digest}:"))
        .header("slp-snapshot", &owed.snapshot_id.0);
    if let Some(old) = &owed.corrects {
        request = request.header("slp-corrects", &old.0);
    }
    match request.body(Body::wrap(body)).send().await {
        Ok(answer) => judge(&way, place.to_owned(), answer, now).await,
        Err(error) => Err(lost(way.lost(&error), place)),
    }
}

fn lost(lost: Lost, place: &str) -> Error {
    let place = place.to_owned();
    match lost {
        Lost::Untrusted(cause) => Error::Untrusted { place, cause },
        Lost::Unreachable(cause) => Error::Unreachable { place, cause },
    }
}

async fn judge(way: &Way, place: String, answer: Response, now: Timestamp) -> Result<u16, Error> {
    let status = answer.status();
    if status.is_success() {
        return Ok(status.as_u16());
    }
    let after = answer.headers().get(RETRY_AFTER).and_then(|value| retry_after(value.to_str().ok()?, now));
    let answer = way.told(answer).await;
    Err(match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Error::LoginRefused { place, answer },
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS => {
            Error::Busy { place, answer, after }
        }
        StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT => {
            Error::Busy { place, answer, after }
        }
        _ if status.is_server_error() => Error::Failed { place, answer, after },
        _ => Error::Refused { place, answer },
    })
}

/// Seconds or an HTTP date, a day at most; `None` for what is neither.
fn retry_after(value: &str, now: Timestamp) -> Option<Timestamp> {
    let latest = now.checked_add(LONGEST_WAIT).ok()?;
    let at = match value.trim().parse::<u32>() {
        Ok(seconds) => now.checked_add(SignedDuration::from_secs(seconds.into())).ok()?,
        Err(_) => jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(value.trim()).ok()?,
    };
    Some(at.clamp(now, latest))
}

fn content_type(form: Form) -> &'static str {
    match form {
        Form::Json => "application/json",
        Form::Ndjson => "application/x-ndjson",
        Form::Csv | Form::ResourceValues => "text/csv; charset=utf-8; header=present",
        Form::Parquet => "application/vnd.apache.parquet",
    }
}

/// Goes as far as a handshake, client certificate included, and sends no request. What was found, in one sentence.
pub async fn probe(post: &Post) -> Result<String, Error> {
    let place = place(post);
    let found = async {
        // Reads the secrets too, so that one that is not there is told now.
        let way = Way::to(&post.server).await?;
        way.greet(&post.server).await.map_err(|error| lost(error, &place))?;
        Ok(match (post.server.url.is_encrypted(), &post.server.identity) {
            (false, _) => "a connection came about; nothing was sent".to_owned(),
            (true, None) => "TLS came about; nothing was sent".to_owned(),
            (true, Some(_)) => {
                "TLS came about, with a client certificate ready for whoever asks; nothing was sent".to_owned()
            }
        })
    };
    let slow = |_| Err(Error::TooSlow { place: place.clone(), limit: web::CONNECT });
    tokio::time::timeout(web::CONNECT, found).await.unwrap_or_else(slow)
}

#[cfg(test)]
mod tests {
    use super::retry_after;

    #[test]
    fn a_receiver_names_seconds_or_an_instant_and_no_year() {
        let now = "2026-11-21T12:00:00Z".parse().unwrap();
        for (value, at) in [
            ("120", Some("2026-11-21T12:02:00Z")),
            (" 0 ", Some("2026-11-21T12:00:00Z")),
            ("4000000000", Some("2026-11-22T12:00:00Z")),
            ("99999999999999", None),
            ("Sat, 21 Nov 2026 12:05:00 GMT", Some("2026-11-21T12:05:00Z")),
            ("Sat, 21 Nov 2020 12:05:00 GMT", Some("2026-11-21T12:00:00Z")),
            ("-1", None),
            ("soon", None),
            ("", None),
        ] {
            assert_eq!(retry_after(value, now), at.map(|at| at.parse().unwrap()), "{value}");
        }
    }
}
