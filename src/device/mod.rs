//! Talking to devices: one session with one device, behind one trait.
//!
//! A session never repeats a refused password and never follows a redirect. What it may write
//! is decided by its caller; what each call writes on the device is said at the call.

pub mod budget;
mod http;
pub mod netconf;
pub mod nxapi;
pub mod restconf;
pub mod smartlic;
pub mod yang;

use std::future::Future;
use std::time::Duration;

use crate::domain::digest::Sha256;
use crate::domain::event::{Blame, ImportForm};
use crate::domain::instance::{Member, Udi};
use crate::domain::problem::{excerpt, printable};
use crate::domain::report::read::RawReport;
use crate::domain::state::{DeviceState, ListedReport};
use crate::tls::Trust;

/// Where a device is and how to get in. Lives as long as one session.
#[derive(Clone, Debug)]
pub struct Target {
    /// `host:port`, an IPv6 address in brackets.
    pub authority: String,
    pub trust: Trust,
    pub login: Login,
    pub limits: Limits,
}

/// A user name and its password. Prints without the password.
#[derive(Clone)]
pub struct Login {
    pub username: String,
    pub password: String,
}

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Login").field("username", &self.username).field("password", &"<secret>").finish()
    }
}

/// What one session may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    pub connect: Duration,
    /// Silence between two reads.
    pub read: Duration,
    /// The largest body, in bytes.
    pub body: u64,
    /// IOS XE closes a connection after 25 requests; a new one is opened before that.
    pub requests_per_connection: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            connect: Duration::from_secs(5),
            read: Duration::from_secs(60),
            body: 64 << 20,
            requests_per_connection: 25,
        }
    }
}

/// Which product instance answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    pub udi: Udi,
    pub uuid: Option<String>,
    pub members: Vec<Member>,
    /// `ios-xe`, `ios-xr`, `nx-os`.
    pub os: &'static str,
    pub software: Option<String>,
    pub hostname: Option<String>,
}

/// Which reports to fetch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Span {
    All,
    /// Those of the last so many days.
    Days(u32),
}

/// Which reports a device writes to a file of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Usage {
    All,
    /// Those never handed out before.
    Unreported,
    /// Those of the last so many days.
    Days(u32),
}

/// Reports as fetched; holds its share of the memory budget until dropped.
#[derive(Debug)]
pub struct Fetched {
    pub reports: Vec<RawReport>,
    /// Elements that could not be read, each with the reason; the others are kept.
    pub problems: Vec<String>,
    _share: budget::Share,
}

/// One session with one device; one request in flight at a time.
pub trait Session: Send {
    /// Who is there, and the licensing state it tells; reads only.
    /// The identity is `None` where this access cannot tell it.
    fn state(&mut self) -> impl Future<Output = Result<(Option<Identity>, DeviceState), Error>> + Send;

    /// The device's own list of reports; reads only.
    fn list(&mut self) -> impl Future<Output = Result<Vec<ListedReport>, Error>> + Send;

    /// The signed reports. Moves them from closed to unacknowledged on the device.
    fn fetch(&mut self, span: Span) -> impl Future<Output = Result<Fetched, Error>> + Send;

    /// Ends the running measurement of every licence and makes it reportable.
    fn close_reports(&mut self) -> impl Future<Output = Result<(), Error>> + Send;

    /// Hands a file (ACK, policy, code) to the device. Its "taken" proves nothing: read back.
    fn import(&mut self, file: &[u8], form: &ImportForm) -> impl Future<Output = Result<(), Error>> + Send;

    /// The certificate or host key that the device showed, once it has answered with it.
    fn proven(&self) -> Option<Sha256>;
}

/// Why a session cannot go on. Each variant says whose turn it is.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{step}: no answer from {address}: {cause}")]
    Unreachable { step: &'static str, address: String, cause: String },
    #[error("{step}: the device refused the login (HTTP {status}); the password is not tried again")]
    LoginRefused { step: &'static str, status: u16 },
    #[error("{step}: the certificate shown ({shown}) is not the pinned one ({pinned}); see `device trust`")]
    ChangedCertificate { step: &'static str, pinned: Sha256, shown: Sha256 },
    #[error("{step}: the certificate does not verify: {cause}")]
    Untrusted { step: &'static str, cause: String },
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
    Declined { step: &'static str, kind: Decline, code: String, said: String },
    #[error("{step}: the device answered HTTP {status}")]
    Failed { step: &'static str, status: u16 },
    #[error("{step}: {cause}")]
    Ours { step: &'static str, cause: String },
}

/// What kind of no it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decline {
    /// It does not know the operation or the node: its release is too old, or the feature is off.
    Unknown,
    /// The user may not.
    Denied,
    /// Not now.
    Busy,
    /// It knows the operation and could not do it.
    Failed,
}

impl Decline {
    /// By an `error-tag` of NETCONF and RESTCONF (RFC 6241, appendix A).
    fn of_tag(tag: &str) -> Decline {
        match tag {
            "unknown-element" | "unknown-namespace" | "unknown-attribute" | "operation-not-supported" => {
                Decline::Unknown
            }
            "access-denied" => Decline::Denied,
            "in-use" | "lock-denied" | "resource-denied" => Decline::Busy,
            _ => Decline::Failed,
        }
    }
}

impl Error {
    /// A no in the device's words, made fit for one line.
    fn declined(step: &'static str, kind: Decline, code: &str, said: &str) -> Error {
        let line = |text: &str| printable(&excerpt(text.trim()));
        Error::Declined { step, kind, code: line(code), said: line(said) }
    }

    /// Something else came than what should have come: how much, how it begins, and what is wrong with it.
    fn unreadable(step: &'static str, expected: &'static str, wrong: &str, body: &[u8]) -> Error {
        let start: String = String::from_utf8_lossy(&body[..body.len().min(60)]).escape_debug().collect();
        let got = format!("{} bytes starting \"{start}\" ({})", body.len(), printable(&excerpt(wrong)));
        Error::Misbehaved { step, expected, got }
    }

    /// Who must act.
    pub fn blame(&self) -> Blame {
        match self {
            Error::Unreachable { .. } => Blame::Unreachable,
            Error::LoginRefused { .. } => Blame::Refused,
            Error::ChangedCertificate { .. } | Error::Untrusted { .. } => Blame::Untrusted,
            Error::Misbehaved { .. } | Error::TooLarge { .. } | Error::Failed { .. } => Blame::Misbehaved,
            Error::Unsupported { .. } | Error::NotOffered { .. } => Blame::Unsupported,
            Error::Declined { kind, .. } => match kind {
                Decline::Unknown => Blame::Unsupported,
                Decline::Denied => Blame::Refused,
                Decline::Busy | Decline::Failed => Blame::Misbehaved,
            },
            Error::Ours { .. } => Blame::Ours,
        }
    }

    /// May the same thing work later without anybody acting?
    pub fn is_transient(&self) -> bool {
        match self {
            Error::Unreachable { .. } => true,
            Error::Failed { status, .. } => *status >= 500,
            Error::Misbehaved { .. } => true,
            Error::Declined { kind, .. } => *kind == Decline::Busy,
            Error::LoginRefused { .. }
            | Error::ChangedCertificate { .. }
            | Error::Untrusted { .. }
            | Error::TooLarge { .. }
            | Error::Unsupported { .. }
            | Error::NotOffered { .. }
            | Error::Ours { .. } => false,
        }
    }
}
