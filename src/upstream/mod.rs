//! Servers that take reports or know of them, by their API; each is opt-in.
//!
//! [`cssm`] is Cisco's cloud. What is submitted, and when, is not decided here; nothing is remembered here but a token.

pub mod cssm;
mod http;

use std::time::Duration;

use crate::config::upstreams::Api;
use crate::config::{Upstream, duration};
use crate::domain::event::Blame;
use crate::domain::submission::Route;
use crate::secret::SecretError;

/// Logs in and looks for the accounts that go by it; what was found, in one sentence.
pub async fn probe(upstream: &Upstream) -> Result<String, Error> {
    match &upstream.api {
        Api::Cssm(settings) => {
            let mut token = None;
            let mut session = cssm::Session::open(upstream, &mut token).await?;
            let accounts = session.accounts().await?;
            let of = |route: &Route| {
                let found = accounts.iter().any(|account| account.holds(route));
                format!("{route} {}", if found { "is there" } else { "is not among those that the client sees" })
            };
            Ok(settings.accounts.iter().map(of).collect::<Vec<_>>().join("; "))
        }
    }
}

/// Why something could not be asked. `place` is the upstream's type and address; never a path of a URL, never a secret.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{step}: no answer from {place}: {cause}")]
    Unreachable {
        step: &'static str,
        place: String,
        cause: String,
        /// The request may have arrived all the same.
        sent: bool,
    },
    #[error("{step}: {place} took longer than {}", duration::show(*.limit))]
    TooSlow { step: &'static str, place: String, limit: Duration },
    #[error("{step}: {place} is not trusted: {cause}")]
    Untrusted { step: &'static str, place: String, cause: String },
    /// It must not be tried again until a person says so.
    #[error("{step}: {place} refused credential '{credential}' ({answer})")]
    CredentialRefused { step: &'static str, place: String, credential: String, answer: String },
    /// It says itself that it may go better later.
    #[error("{step}: {place} cannot do it now ({answer})")]
    Busy {
        step: &'static str,
        place: String,
        answer: String,
        /// It may have done it all the same.
        sent: bool,
    },
    /// More than it takes at once.
    #[error("{step}: {place} says that the request is too large ({answer})")]
    TooLarge { step: &'static str, place: String, answer: String },
    #[error("{step}: {place} refused it ({answer})")]
    Refused { step: &'static str, place: String, answer: String },
    #[error("{step}: {place}: expected {expected}, got {got}")]
    Misbehaved { step: &'static str, place: String, expected: &'static str, got: String },
    #[error(transparent)]
    Secret(#[from] SecretError),
    #[error("{0}")]
    Ours(String),
}

impl Error {
    pub fn blame(&self) -> Blame {
        match self {
            Error::Unreachable { .. } | Error::TooSlow { .. } => Blame::Unreachable,
            Error::Untrusted { .. } => Blame::Untrusted,
            Error::CredentialRefused { .. } | Error::Busy { .. } | Error::TooLarge { .. } | Error::Refused { .. } => {
                Blame::Refused
            }
            Error::Misbehaved { .. } => Blame::Misbehaved,
            Error::Secret(_) | Error::Ours(_) => Blame::Ours,
        }
    }

    /// May the same go well later, without a person?
    pub fn is_transient(&self) -> bool {
        match self {
            Error::Unreachable { .. } | Error::TooSlow { .. } | Error::Busy { .. } | Error::Misbehaved { .. } => true,
            Error::Untrusted { .. }
            | Error::CredentialRefused { .. }
            | Error::TooLarge { .. }
            | Error::Refused { .. }
            | Error::Secret(_)
            | Error::Ours(_) => false,
        }
    }

    /// May the server have done what it was asked?
    pub fn may_have_arrived(&self) -> bool {
        match self {
            Error::Unreachable { sent, .. } | Error::Busy { sent, .. } => *sent,
            Error::TooSlow { .. } | Error::Misbehaved { .. } => true,
            Error::Untrusted { .. }
            | Error::CredentialRefused { .. }
            | Error::TooLarge { .. }
            | Error::Refused { .. }
            | Error::Secret(_)
            | Error::Ours(_) => false,
        }
    }

    /// What a person can do.
    pub fn remedy(&self) -> &'static str {
        match self {
            Error::Unreachable { .. } => "is the address right, does it need a `proxy`, does a filter stand between?",
            Error::TooSlow { .. } => "`timeout` of the upstream says how long a request may take",
            Error::Untrusted { .. } => {
                "set ca_file to its authority's certificates; a proxy that looks inside has its own"
            }
            Error::CredentialRefused { .. } => {
                "put the client's id and secret right, then `credential release`; it is not tried before that"
            }
            Error::Busy { .. } => "it is tried again by itself, ever more rarely",
            Error::TooLarge { .. } => "it is tried again in smaller parts by itself",
            Error::Refused { .. } => {
                "is url right (samples know two paths), and has the API client been granted this API and account?"
            }
            Error::Misbehaved { .. } => {
                "is url really the API's address, and not that of a portal or a proxy's login page?"
            }
            Error::Secret(_) => "put the secret where the configuration says that it is, readable for the service",
            Error::Ours(_) => "put it right, then `check-config --probe`",
        }
    }
}
