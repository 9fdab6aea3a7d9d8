//! Why a receiver has not taken a snapshot, and whose turn it is.

use std::time::Duration;

use jiff::Timestamp;

use crate::config::duration;
use crate::secret::SecretError;
use crate::web::NoWay;

/// Why it was not taken. `place` is the receiver's address; never the path of its URL, never a secret.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("no answer from {place}: {cause}")]
    Unreachable { place: String, cause: String },
    #[error("{place} took longer than {}", duration::show(*.limit))]
    TooSlow { place: String, limit: Duration },
    #[error("{place} is not trusted: {cause}")]
    Untrusted { place: String, cause: String },
    /// It says itself that it may go better later (408, 425, 429, 502, 503, 504), perhaps from when on.
    #[error("{place} cannot take it now ({answer})")]
    Busy { place: String, answer: String, after: Option<Timestamp> },
    /// It failed over it (other 5xx): perhaps just over this one.
    #[error("{place} failed ({answer})")]
    Failed { place: String, answer: String, after: Option<Timestamp> },
    /// 401 or 403. Nothing more is sent as the same.
    #[error("{place} refused who we are ({answer})")]
    LoginRefused { place: String, answer: String },
    /// For good: any other answer, a redirect included.
    #[error("{place} refused it ({answer})")]
    Refused { place: String, answer: String },
    /// The file is not what was published; the same key must not carry other bytes.
    #[error("{0}")]
    Changed(String),
    #[error(transparent)]
    Secret(#[from] SecretError),
    #[error("{0}")]
    Ours(String),
}

impl From<NoWay> for Error {
    fn from(error: NoWay) -> Self {
        match error {
            NoWay::Secret(error) => Error::Secret(error),
            NoWay::Ours(cause) => Error::Ours(cause),
        }
    }
}

impl Error {
    /// What a person can do.
    pub fn remedy(&self) -> &'static str {
        match self {
            Error::Unreachable { .. } => {
                "is it running, is the address right, does it ask for a client certificate, does a filter stand between?"
            }
            Error::TooSlow { .. } => "is it overloaded? `timeout` of [snapshot.post] says how long one POST may take",
            Error::Untrusted { .. } => {
                "set ca_file to its authority's certificates, or pin to the SHA-256 of its certificate"
            }
            Error::Busy { .. } | Error::Failed { .. } => "it is tried again by itself; the other side's log says more",
            Error::LoginRefused { .. } => {
                "put the token, the password or the client certificate right, then `snapshot post`"
            }
            Error::Refused { .. } => "put url or the receiver right, then `snapshot post`",
            Error::Changed(_) => "bring the published file back, then `snapshot post`",
            Error::Secret(_) => "put the secret where the configuration says that it is, readable for the service",
            Error::Ours(_) => "put it right; it is tried again by itself",
        }
    }
}
