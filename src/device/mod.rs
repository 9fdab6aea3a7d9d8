//! Talking to devices: one session with one device, behind one trait.
//!
//! A session never repeats a refused password and never follows a redirect. What it may write
//! is decided by its caller; what each call writes on the device is said at the call.

pub mod budget;
mod error;
pub mod flash;
mod http;
pub mod inline;
pub mod netconf;
pub mod nxapi;
pub mod own_file;
pub mod restconf;
pub mod scp;
pub mod sftp;
pub mod shell;
pub mod smartlic;
pub mod ssh;
pub mod yang;

use std::future::Future;
use std::time::Duration;

use crate::domain::digest::Sha256;
use crate::domain::event::ImportForm;
use crate::domain::instance::{Member, Udi};
use crate::domain::report::read::RawReport;
use crate::domain::state::{DeviceState, ListedReport};
use crate::tls::Trust;

pub use error::{Complaint, Error, Refusal};

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
