//! Why a session with a device cannot go on, and whose turn it is.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::domain::digest::Sha256;
use crate::domain::event::Blame;
use crate::domain::problem::{excerpt, printable};

/// Why a session cannot go on. Each variant says whose turn it is.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{step}: no answer from {address}: {cause}")]
    Unreachable { step: &'static str, address: String, cause: String },
    #[error("{step}: the device refused the login ({refusal}); it is not tried again")]
    LoginRefused { step: &'static str, refusal: Refusal },
    /// The login cannot even be tried, or asks for what nobody configured. No secret was refused.
    #[error("{step}: no way to log in: {cause}")]
    NoLogin { step: &'static str, cause: String },
    #[error("{step}: the certificate shown ({shown}) is not the pinned one ({pinned}); see `device trust`")]
    ChangedCertificate { step: &'static str, pinned: Sha256, shown: Sha256 },
    #[error("{step}: the {algorithm} host key shown ({shown}) is not the pinned one ({pinned}); see `device trust`")]
    ChangedHostKey { step: &'static str, algorithm: String, pinned: Sha256, shown: Sha256 },
    #[error("{step}: the certificate does not verify: {cause}")]
    Untrusted { step: &'static str, cause: String },
    #[error("{step}: no {kind} in common: the device offers {theirs}, this side {ours}; {remedy}")]
    NoCommonAlgorithm { step: &'static str, kind: &'static str, ours: String, theirs: String, remedy: &'static str },
    #[error("{step}: expected {expected}, got {got}")]
    Misbehaved { step: &'static str, expected: &'static str, got: String },
    #[error("{step}: the answer is larger than {limit} bytes; nothing of it is kept")]
    TooLarge { step: &'static str, limit: u64 },
    #[error("{step}: not offered by this device (HTTP {status}): {remedy}")]
    Unsupported { step: &'static str, status: u16, remedy: &'static str },
    #[error("{step}: the device does not open {what}: {cause}")]
    NotOffered { step: &'static str, what: String, cause: String },
    /// It understood what was asked and said no: an error of its protocol, or a licensing return code.
    #[error("{step}: the device declined ({code}): {said}")]
    Declined { step: &'static str, complaint: Complaint, code: String, said: String },
    #[error("{step}: the device answered HTTP {status}")]
    Failed { step: &'static str, status: u16 },
    #[error("{command:?}: the device answered {said:?}")]
    CommandRefused { command: String, said: String, complaint: Complaint },
    /// A redundant supervisor that is not in charge.
    #[error("{step}: this is the standby, its active partner must be asked ({said:?})")]
    Standby { step: &'static str, said: String },
    #[error("{step}: no known prompt came, the last that came is {got:?}")]
    NoPrompt { step: &'static str, got: String },
    #[error("{step}: {path}: the device answered {said:?}")]
    FileRefused { step: &'static str, path: String, said: String },
    #[error("{step}: no access works; {tried}")]
    NoAccess { step: &'static str, tried: String },
    /// Neither SCP nor SFTP nor another way: a person has to carry it.
    #[error("{step}: no way that works; tried {tried}")]
    NoWayForFiles { step: &'static str, tried: String },
    #[error("{step}: {needed} bytes are needed, the device has {free} free; nothing was written")]
    NoSpace { step: &'static str, needed: u64, free: u64 },
    /// The write was neither sent nor recorded.
    #[error("{step}: the person who was asked did not allow it; nothing was sent")]
    NoLeave { step: &'static str },
    #[error("{step}: {cause}")]
    Ours { step: &'static str, cause: String },
}

/// A certificate or host key that is not the pinned one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangedKey {
    pub pinned: Sha256,
    pub shown: Sha256,
    /// The type of a host key; `None` for a certificate.
    pub key_type: Option<String>,
}

/// How a login was refused. Holds no secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The HTTP status.
    Http(u16),
    /// One SSH method, and the methods that the device would still take.
    Ssh { method: &'static str, offered: Vec<String> },
    /// The password was heard, and a new one asked for: it has expired, and a person must set another.
    Expired { method: &'static str },
    /// The password of `enable`.
    Enable,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Http(status) => write!(f, "HTTP {status}"),
            Refusal::Ssh { method, offered } if offered.is_empty() => write!(f, "SSH {method}"),
            Refusal::Ssh { method, offered } => write!(f, "SSH {method}; it still offers {}", offered.join(", ")),
            Refusal::Expired { method } => {
                write!(f, "SSH {method}; it asks for a new password, so this one has expired")
            }
            Refusal::Enable => f.write_str("enable password"),
        }
    }
}

/// What a device has against a command or a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Complaint {
    /// It has no such command, or not in this form: try the next rung of a ladder.
    /// Of a protocol: its release is too old for the call, or the feature is off.
    Unknown,
    /// The user may not.
    Unauthorized,
    /// Not now.
    Busy,
    /// It knows the command and could not do it.
    Failed,
}

impl Complaint {
    /// By an `error-tag` of NETCONF and RESTCONF (RFC 6241, appendix A).
    pub(super) fn of_tag(tag: &str) -> Complaint {
        match tag {
            "unknown-element" | "unknown-namespace" | "unknown-attribute" | "operation-not-supported" => {
                Complaint::Unknown
            }
            "access-denied" => Complaint::Unauthorized,
            "in-use" | "lock-denied" | "resource-denied" => Complaint::Busy,
            _ => Complaint::Failed,
        }
    }
}

impl Error {
    /// A no in the device's words, made fit for one line.
    pub(super) fn declined(step: &'static str, complaint: Complaint, code: &str, said: &str) -> Error {
        let line = |text: &str| printable(&excerpt(text.trim()));
        Error::Declined { step, complaint, code: line(code), said: line(said) }
    }

    /// Something else came than what should have come: how much, how it begins, and what is wrong with it.
    pub(super) fn unreadable(step: &'static str, expected: &'static str, wrong: &str, body: &[u8]) -> Error {
        let start: String = String::from_utf8_lossy(&body[..body.len().min(60)]).escape_debug().collect();
        let got = format!("{} bytes starting \"{start}\" ({})", body.len(), printable(&excerpt(wrong)));
        Error::Misbehaved { step, expected, got }
    }

    /// Where a key changed: which, and to what.
    pub fn changed_key(&self) -> Option<ChangedKey> {
        match self {
            Error::ChangedCertificate { pinned, shown, .. } => {
                Some(ChangedKey { pinned: *pinned, shown: *shown, key_type: None })
            }
            Error::ChangedHostKey { pinned, shown, algorithm, .. } => {
                Some(ChangedKey { pinned: *pinned, shown: *shown, key_type: Some(algorithm.clone()) })
            }
            _ => None,
        }
    }

    /// Who must act.
    pub fn blame(&self) -> Blame {
        match self {
            Error::Unreachable { .. } => Blame::Unreachable,
            Error::LoginRefused { .. } => Blame::Refused,
            Error::ChangedCertificate { .. } | Error::ChangedHostKey { .. } | Error::Untrusted { .. } => {
                Blame::Untrusted
            }
            Error::Misbehaved { .. }
            | Error::TooLarge { .. }
            | Error::Failed { .. }
            | Error::NoPrompt { .. }
            | Error::FileRefused { .. } => Blame::Misbehaved,
            Error::Unsupported { .. }
            | Error::NotOffered { .. }
            | Error::NoLogin { .. }
            | Error::NoCommonAlgorithm { .. }
            | Error::Standby { .. }
            | Error::NoAccess { .. }
            | Error::NoWayForFiles { .. }
            | Error::NoSpace { .. } => Blame::Unsupported,
            Error::CommandRefused { complaint, .. } | Error::Declined { complaint, .. } => match complaint {
                Complaint::Unknown => Blame::Unsupported,
                Complaint::Unauthorized => Blame::Refused,
                Complaint::Busy | Complaint::Failed => Blame::Misbehaved,
            },
            Error::NoLeave { .. } | Error::Ours { .. } => Blame::Ours,
        }
    }

    /// May the same thing work later without anybody acting?
    pub fn is_transient(&self) -> bool {
        match self {
            Error::Unreachable { .. } | Error::Misbehaved { .. } | Error::Standby { .. } => true,
            Error::Failed { status, .. } => *status >= 500,
            Error::CommandRefused { complaint, .. } | Error::Declined { complaint, .. } => {
                *complaint == Complaint::Busy
            }
            Error::LoginRefused { .. }
            | Error::NoLogin { .. }
            | Error::ChangedCertificate { .. }
            | Error::ChangedHostKey { .. }
            | Error::Untrusted { .. }
            | Error::NoCommonAlgorithm { .. }
            | Error::TooLarge { .. }
            | Error::Unsupported { .. }
            | Error::NotOffered { .. }
            | Error::NoPrompt { .. }
            | Error::FileRefused { .. }
            | Error::NoSpace { .. }
            | Error::NoAccess { .. }
            | Error::NoWayForFiles { .. }
            | Error::NoLeave { .. }
            | Error::Ours { .. } => false,
        }
    }
}
