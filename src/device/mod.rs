//! Talking to devices: one session with one device, behind one trait.
//!
//! A session never repeats a refused password and never follows a redirect. What it may write
//! is decided by its caller; what each call writes on the device is said at the call, and told to
//! its witness before it is sent.

pub mod budget;
mod cli;
pub mod dialect;
mod driver;
mod error;
mod files;
pub mod flash;
mod http;
pub mod inline;
pub mod mend;
pub mod netconf;
pub mod nxapi;
pub mod own_file;
pub mod probe;
pub mod restconf;
pub mod scp;
pub mod sftp;
pub mod shell;
pub mod smartlic;
pub mod ssh;
pub mod tape;
mod witness;
pub mod yang;
mod yang_files;

use std::future::Future;
use std::time::Duration;

use crate::domain::digest::Sha256;
use crate::domain::event::{ImportForm, Learned};
use crate::domain::fleet::HostKey;
use crate::domain::instance::{Member, Udi};
use crate::domain::report::ReportId;
use crate::domain::report::read::{RawReport, ReportForm};
use crate::domain::rum_file::{self, RumFile};
use crate::domain::state::{DeviceState, ListedReport, Stamp};
use crate::tls::Trust;
use own_file::Written;

pub use cli::{Cli, CliTerms};
pub use dialect::{Dialect, Overrides};
pub use driver::{Driver, Terms};
pub use error::{ChangedKey, Complaint, Error, Refusal};
pub use witness::Witness;
pub(crate) use witness::witnessed;

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
    /// The same while the device saves usage or imports: it is known to need tens of seconds.
    pub slow: Duration,
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
            slow: Duration::from_secs(120),
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
    /// The device's clock at that moment, where it was printed.
    pub clock: Option<Stamp>,
}

/// Which reports to fetch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Span {
    All,
    /// Those of the last so many days.
    Days(u32),
    /// Those never handed out before.
    Unreported,
    /// Just this one, which is finished.
    One(ReportId),
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
    _share: Option<budget::Share>,
}

/// The signed reports of a file that a device saved, and what is wrong with single ones. A file that is not whole is
/// refused as a whole: the device still has everything.
fn saved_reports(step: &'static str, bytes: &[u8]) -> Result<(Vec<RawReport>, Vec<String>), Error> {
    let expected = "a whole file of signed reports";
    let file = rum_file::read(bytes).map_err(|error| Error::unreadable(step, expected, &error.reason, bytes))?;
    let end = bytes.trim_ascii_end();
    if ![&b"</smartLicense>"[..], b"</RUMReport>"].iter().any(|tag| end.ends_with(tag)) {
        return Err(Error::unreadable(step, expected, "it does not end as such a file does", bytes));
    }
    Ok(signed_only(file))
}

/// The signed reports of what was read, and what is wrong with the others.
fn signed_only(file: RumFile) -> (Vec<RawReport>, Vec<String>) {
    let mut problems: Vec<String> = file.problems.iter().filter(|p| p.is_fault()).map(ToString::to_string).collect();
    let (signed, unsigned): (Vec<_>, Vec<_>) =
        file.reports.into_iter().partition(|report| report.form == ReportForm::Signed);
    problems.extend(unsigned.iter().map(|report| format!("report {} carries no signature", report.facts.report_id)));
    (signed, problems)
}

/// What a device proved to be: each key that it answered with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proven {
    pub certificate: Option<Sha256>,
    pub host_key: Option<HostKey>,
}

/// How far an access reaches beyond reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reach {
    /// Fetching a span ends the running reports: it counts as closing.
    pub fetching_closes: bool,
    /// Single finished reports can be fetched, which ends nothing.
    pub fetches_each: bool,
    /// Reports and answers travel as files on the device.
    pub by_file: bool,
}

/// One session with one device; one request in flight at a time. Whatever writes on the device tells its witness
/// before and after.
pub trait Session: Send {
    /// Who is there, and the licensing state it tells; reads only.
    /// The identity is `None` where this access cannot tell it.
    fn state(&mut self) -> impl Future<Output = Result<(Option<Identity>, DeviceState), Error>> + Send;

    /// The device's own list of reports; reads only. Empty where this access cannot tell it.
    fn list(&mut self) -> impl Future<Output = Result<Vec<ListedReport>, Error>> + Send;

    /// The signed reports. Moves them from closed to unacknowledged on the device.
    fn fetch<W: Witness>(
        &mut self,
        span: &Span,
        witness: &mut W,
    ) -> impl Future<Output = Result<Fetched, Error>> + Send;

    /// Ends the running measurement of every licence and makes it reportable.
    fn close_reports<W: Witness>(&mut self, witness: &mut W) -> impl Future<Output = Result<(), Error>> + Send;

    /// Hands a file (ACK, policy, code) to the device. Its "taken" proves nothing: read back.
    fn import<W: Witness>(
        &mut self,
        file: &[u8],
        form: &ImportForm,
        witness: &mut W,
    ) -> impl Future<Output = Result<(), Error>> + Send;

    /// Deletes one file of ours that is on record, if the device does not show that it is gone.
    fn discard<W: Witness>(
        &mut self,
        left: &Written,
        witness: &mut W,
    ) -> impl Future<Output = Result<(), Error>> + Send;

    fn reach(&self) -> Reach;

    /// The certificate and the host key that the device showed, once it has answered with them.
    fn proven(&self) -> Proven;

    /// What worked so far, what was known before included.
    fn learned(&self) -> Learned;

    /// Ends it; what is left open on the device is closed.
    fn close(self) -> impl Future<Output = ()> + Send;
}
