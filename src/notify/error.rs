//! Why a message did not go, whose turn it is, and what a person can do.

use std::time::Duration;

use crate::config::duration;
use crate::domain::event::Blame;
use crate::secret::SecretError;

/// Why a message did not go. `place` is the sink's type and address; never a path of a URL, never a secret.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("no answer from {place}: {cause}")]
    Unreachable { place: String, cause: String },
    #[error("{place} took longer than {}", duration::show(*.limit))]
    TooSlow { place: String, limit: Duration },
    #[error("{place} is not trusted: {cause}")]
    Untrusted { place: String, cause: String },
    /// It says itself that it may go better later.
    #[error("{place} cannot take it now ({answer})")]
    Busy { place: String, answer: String },
    #[error("{place} refused it ({answer})")]
    Refused { place: String, answer: String, remedy: &'static str },
    #[error("{place}: expected {expected}, got {got}")]
    Misbehaved { place: String, expected: &'static str, got: String },
    #[error(transparent)]
    Secret(#[from] SecretError),
    #[error("{0}")]
    Ours(String),
    #[error("no sink is called {0:?}")]
    Unknown(String),
}

impl Error {
    pub fn blame(&self) -> Blame {
        match self {
            Error::Unreachable { .. } | Error::TooSlow { .. } => Blame::Unreachable,
            Error::Untrusted { .. } => Blame::Untrusted,
            Error::Busy { .. } | Error::Refused { .. } => Blame::Refused,
            Error::Misbehaved { .. } => Blame::Misbehaved,
            Error::Secret(_) | Error::Ours(_) | Error::Unknown(_) => Blame::Ours,
        }
    }

    /// May the same go well later, without a person? What may not is tried again all the same, ever more rarely:
    /// no message is thrown away.
    pub fn is_transient(&self) -> bool {
        match self {
            Error::Unreachable { .. } | Error::TooSlow { .. } | Error::Busy { .. } | Error::Misbehaved { .. } => true,
            Error::Untrusted { .. } | Error::Refused { .. } | Error::Secret(_) | Error::Ours(_) | Error::Unknown(_) => {
                false
            }
        }
    }

    /// Did it say no to just this message, so that another one may be taken?
    pub fn is_about_the_message(&self) -> bool {
        match self {
            Error::Refused { .. } => true,
            Error::Unreachable { .. }
            | Error::TooSlow { .. }
            | Error::Untrusted { .. }
            | Error::Busy { .. }
            | Error::Misbehaved { .. }
            | Error::Secret(_)
            | Error::Ours(_)
            | Error::Unknown(_) => false,
        }
    }

    /// What a person can do.
    pub fn remedy(&self) -> &'static str {
        match self {
            Error::Unreachable { .. } => "is it running, is the address right, does a filter stand between?",
            Error::TooSlow { .. } => "is it overloaded? `timeout` of the sink says how long it may take",
            Error::Untrusted { .. } => {
                "set ca_file to its authority's certificates, or pin to the SHA-256 of its certificate"
            }
            Error::Busy { .. } => "it is tried again by itself; the other side's log says more",
            Error::Refused { remedy, .. } => remedy,
            Error::Misbehaved { .. } => "is this really the address and port of such a service?",
            Error::Secret(_) => "put the secret where the configuration says that it is, readable for the service",
            Error::Ours(_) => "put it right, then `check-config --probe`",
            Error::Unknown(_) => "add it to the configuration, or leave its messages behind",
        }
    }
}
