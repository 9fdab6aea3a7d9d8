//! Which access a session takes: the one that is set, or the first of a ladder that lets us in.
//!
//! A refused password and a changed key end everything at once: what one access refused is not offered to another.

use jiff::tz::TimeZone;
use std::collections::BTreeMap;

use super::budget::Budget;
use super::cli::{Cli, CliTerms};
use super::dialect::{Dialect, Overrides};
use super::nxapi::NxApi;
use super::own_file::Written;
use super::restconf::Restconf;
use super::smartlic::Smartlic;
use super::ssh::{Negotiated, SshTarget};
use super::tape::Tape;
use super::yang_files::{YangFiles, YangTerms};
use super::{Error, Fetched, Identity, Learned, Limits, Proven, Reach, Session, Span, Target, Witness};
use crate::domain::event::ImportForm;
use crate::domain::settings::{Access, Os, Word};
use crate::domain::show_license;
use crate::domain::state::{DeviceState, ListedReport, Model};

const OPEN: &str = "find a way in";

/// Everything that is known of how to get in.
#[derive(Clone)]
pub struct Terms {
    pub access: Access,
    /// `None`: found out.
    pub os: Option<Os>,
    /// `host:port`, for errors.
    pub address: String,
    /// `None`: no certificate of it may be believed.
    pub https: Option<Target>,
    /// `None`: nothing is known that lets us in over SSH.
    pub ssh: Option<SshTarget>,
    /// The same login on the port of NETCONF.
    pub netconf: Option<SshTarget>,
    /// The password of `enable`.
    pub enable: Option<String>,
    /// Command lines that go before ours.
    pub overrides: BTreeMap<Os, Overrides>,
    pub zone: Option<TimeZone>,
    pub limits: Limits,
    pub budget: Budget,
    /// What worked before on the software that ran then.
    pub learned: Learned,
    /// Files of ours that are on record for this device, and no others.
    pub written: Vec<Written>,
    /// Where the dialogue is noted; off unless somebody records.
    pub tape: Tape,
}

/// A session by whichever access lets us in.
pub enum Driver {
    Rest(Box<Rest>),
    ByFile(ByFile),
}

/// Reports by REST; state by RESTCONF, or by another access where REST alone cannot tell it.
pub struct Rest {
    smartlic: Smartlic,
    /// The list that was asked for to see whether REST is there.
    list: Option<Vec<ListedReport>>,
    teller: Option<ByFile>,
    /// What another access needs; `None` where REST is set, or another was tried.
    others: Option<Terms>,
    learned: Learned,
}

/// An access whose reports and answers travel as files on the device.
pub enum ByFile {
    Cli(Box<Cli>),
    Yang(Box<YangFiles>),
}

impl Driver {
    /// Opens a session. With a set access nothing more is sent than that access needs.
    pub async fn open(terms: Terms) -> Result<Driver, Error> {
        let accesses = match terms.access {
            Access::Auto => ladder(&terms),
            Access::ByHand => {
                let cause = "a person carries everything for this device".to_owned();
                return Err(Error::Ours { step: OPEN, cause });
            }
            set => vec![set],
        };
        let probing = terms.access == Access::Auto;
        let mut failures = Vec::new();
        for access in &accesses {
            match enter(*access, &terms, probing).await {
                Ok(mut driver) => {
                    if probing {
                        driver.remember(*access);
                    }
                    return Ok(driver);
                }
                Err(error) if !probing || ends_all(&error) => return Err(error),
                Err(error) => failures.push((*access, error)),
            }
        }
        Err(none_works(&terms.address, failures.iter().map(|(access, failure)| (*access, failure))))
    }

    /// What was agreed upon over SSH, where that is used.
    pub fn negotiated(&self) -> Option<&Negotiated> {
        match self {
            Driver::Rest(rest) => rest.teller.as_ref().and_then(ByFile::negotiated),
            Driver::ByFile(session) => session.negotiated(),
        }
    }

    fn remember(&mut self, access: Access) {
        match self {
            Driver::Rest(rest) => rest.learned.access = Some(access),
            Driver::ByFile(ByFile::Cli(cli)) => cli.remember(access),
            Driver::ByFile(ByFile::Yang(models)) => models.remember(access),
        }
    }
}

/// What it comes to when every access failed.
pub(super) fn none_works<'e>(address: &str, failures: impl Iterator<Item = (Access, &'e Error)>) -> Error {
    let (mut causes, mut silent) = (Vec::new(), true);
    for (access, failure) in failures {
        causes.push(format!("{access}: {failure}"));
        silent &= matches!(failure, Error::Unreachable { .. });
    }
    let tried = causes.join("; ");
    if silent {
        return Error::Unreachable { step: OPEN, address: address.to_owned(), cause: tried };
    }
    Error::NoAccess { step: OPEN, tried }
}

/// The accesses of a system in the order to try them, what worked before in front.
pub(super) fn ladder(terms: &Terms) -> Vec<Access> {
    let of_system: &[Access] = match terms.os {
        Some(Os::IosXe) => &[Access::Rest, Access::Ssh, Access::Netconf, Access::Restconf],
        Some(Os::IosXr) => &[Access::Ssh, Access::Netconf],
        Some(Os::NxOs) => &[Access::Ssh, Access::NxApi],
        None => &[Access::Rest, Access::Ssh, Access::NxApi, Access::Netconf],
    };
    let mut ladder: Vec<Access> = terms.learned.access.into_iter().collect();
    ladder.extend(of_system.iter().filter(|access| Some(**access) != terms.learned.access));
    ladder
}

/// After this nothing else may be tried: a secret was refused, or the device may not be the one we know.
pub(super) fn ends_all(error: &Error) -> bool {
    matches!(
        error,
        Error::LoginRefused { .. }
            | Error::ChangedCertificate { .. }
            | Error::ChangedHostKey { .. }
            | Error::Untrusted { .. }
            | Error::Standby { .. }
            | Error::Ours { .. }
    )
}

/// Opens one access as if it were looked for; no other is asked for what it cannot tell.
pub(super) async fn enter_alone(access: Access, terms: &Terms) -> Result<Driver, Error> {
    let mut driver = enter(access, terms, true).await?;
    if let Driver::Rest(rest) = &mut driver {
        rest.others = None;
    }
    Ok(driver)
}

async fn enter(access: Access, terms: &Terms, probing: bool) -> Result<Driver, Error> {
    if access != Access::Rest {
        return enter_by_file(access, terms, probing).await.map(Driver::ByFile);
    }
    let mut smartlic = Smartlic::new(terms.https()?, terms.budget.clone()).taped(&terms.tape);
    let list = if probing { Some(smartlic.list().await?) } else { None };
    let others = probing.then(|| Terms { os: Some(Os::IosXe), ..terms.clone() });
    let learned = terms.learned.clone();
    Ok(Driver::Rest(Box::new(Rest { smartlic, list, teller: None, others, learned })))
}

async fn enter_by_file(access: Access, terms: &Terms, probing: bool) -> Result<ByFile, Error> {
    match access {
        Access::Ssh => cli_over_ssh(terms).await.map(|cli| ByFile::Cli(Box::new(cli))),
        Access::NxApi => {
            let nxapi = NxApi::new(terms.https()?, terms.budget.clone()).taped(&terms.tape);
            let mut cli = Cli::over_nxapi(nxapi, terms.ssh.clone(), terms.cli(Os::NxOs));
            if probing {
                let version = cli.version().await?;
                let found = show_license::read(&version, None).os;
                if found.is_some_and(|found| found != Os::NxOs.word()) {
                    return Err(not_this("NX-OS", &version));
                }
            }
            Ok(ByFile::Cli(Box::new(cli)))
        }
        Access::Netconf => {
            let target = terms.netconf.as_ref().ok_or_else(no_ssh)?;
            let models = YangFiles::over_netconf(target, terms.os, terms.yang()).await?;
            Ok(ByFile::Yang(Box::new(models)))
        }
        Access::Restconf => {
            let restconf = Restconf::new(terms.https()?, terms.budget.clone()).taped(&terms.tape);
            let mut models = YangFiles::over_restconf(restconf, terms.yang());
            if probing && models.state().await?.0.is_none() {
                let cause = "it does not tell who it is".to_owned();
                return Err(Error::NotOffered { step: OPEN, what: "RESTCONF".to_owned(), cause });
            }
            Ok(ByFile::Yang(Box::new(models)))
        }
        Access::Auto | Access::Rest | Access::ByHand => {
            Err(Error::Ours { step: OPEN, cause: format!("{access} carries no files") })
        }
    }
}

/// The command line over SSH. Where the system is not known, it is asked, and spoken to in its own way from then on.
async fn cli_over_ssh(terms: &Terms) -> Result<Cli, Error> {
    let target = terms.ssh.as_ref().ok_or_else(no_ssh)?;
    let open = async |os: Os| Cli::over_ssh(target.clone(), terms.cli(os)).await;
    if let Some(os) = terms.os {
        return open(os).await;
    }
    let mut cli = open(Os::IosXe).await?;
    let version = match cli.version().await {
        Ok(version) => version,
        Err(error) => {
            cli.close().await;
            return Err(error);
        }
    };
    let found = show_license::read(&version, None).os;
    let os = Os::ALL.iter().copied().find(|os| found == Some(os.word()));
    if os != Some(Os::IosXe) {
        cli.close().await;
        let os = os.ok_or_else(|| not_this("IOS XE, IOS XR or NX-OS", &version))?;
        cli = open(os).await?;
    }
    Ok(cli)
}

fn no_ssh() -> Error {
    let cause = "no login over SSH is configured".to_owned();
    Error::NotOffered { step: OPEN, what: "SSH".to_owned(), cause }
}

fn not_this(expected: &'static str, version: &str) -> Error {
    let got = version.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
    Error::Misbehaved { step: OPEN, expected, got: got.chars().take(120).collect() }
}

impl Terms {
    fn https(&self) -> Result<Target, Error> {
        let cause = "trust is pinned, and the inventory gives no pin for its certificate".to_owned();
        self.https.clone().ok_or(Error::NotOffered { step: OPEN, what: "HTTPS".to_owned(), cause })
    }

    fn cli(&self, os: Os) -> CliTerms {
        let own = self.overrides.get(&os).cloned().unwrap_or_default();
        CliTerms {
            dialect: Dialect::of(os, own),
            zone: self.zone.clone(),
            limits: self.limits,
            budget: self.budget.clone(),
            learned: self.learned.clone(),
            enable: self.enable.clone(),
            written: self.written.clone(),
            tape: self.tape.clone(),
        }
    }

    fn yang(&self) -> YangTerms {
        YangTerms {
            files: self.ssh.clone(),
            limits: self.limits,
            budget: self.budget.clone(),
            learned: self.learned.clone(),
            written: self.written.clone(),
            tape: self.tape.clone(),
        }
    }
}

impl Rest {
    async fn state(&mut self) -> Result<(Option<Identity>, DeviceState), Error> {
        if self.teller.is_none() {
            let told = self.smartlic.state().await?;
            if tells_all(&told) {
                return Ok(told);
            }
            let Some(terms) = self.others.take() else { return Ok(told) };
            for access in tellers(self.learned.teller) {
                match enter_by_file(access, &terms, false).await {
                    Ok(teller) => {
                        self.learned.teller = Some(access);
                        self.teller = Some(teller);
                        break;
                    }
                    Err(error) if ends_all(&error) => return Err(error),
                    // Reports come all the same; that the state is not told shows in the state.
                    Err(_) => {}
                }
            }
            if self.teller.is_none() {
                return Ok(told);
            }
        }
        let Some(teller) = &mut self.teller else { return self.smartlic.state().await };
        let (identity, mut state) = teller.state().await?;
        state.rum_ids.extend(teller.list().await?);
        Ok((identity, state))
    }
}

/// Does this state tell who it is, and what became of reports? RESTCONF has no last ACK and no ids of reports before
/// 17.5.1, and without them no import is ever confirmed.
pub(super) fn tells_all(told: &(Option<Identity>, DeviceState)) -> bool {
    let Some(identity) = &told.0 else { return false };
    let mut numbers = identity.software.iter().flat_map(|version| version.split('.')).map(str::parse::<u32>);
    let old = match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => (major, minor) < (17, 5),
        _ => false,
    };
    told.1.model != Model::Unknown && !old
}

pub(super) fn tellers(learned: Option<Access>) -> [Access; 2] {
    if learned == Some(Access::Netconf) { [Access::Netconf, Access::Ssh] } else { [Access::Ssh, Access::Netconf] }
}

impl ByFile {
    fn negotiated(&self) -> Option<&Negotiated> {
        match self {
            ByFile::Cli(cli) => cli.negotiated(),
            ByFile::Yang(models) => models.negotiated(),
        }
    }
}

impl Session for Driver {
    async fn state(&mut self) -> Result<(Option<Identity>, DeviceState), Error> {
        match self {
            Driver::Rest(rest) => rest.state().await,
            Driver::ByFile(session) => session.state().await,
        }
    }

    async fn list(&mut self) -> Result<Vec<ListedReport>, Error> {
        match self {
            Driver::Rest(rest) => match rest.list.take() {
                Some(list) => Ok(list),
                None => rest.smartlic.list().await,
            },
            Driver::ByFile(session) => session.list().await,
        }
    }

    async fn fetch<W: Witness>(&mut self, span: &Span, witness: &mut W) -> Result<Fetched, Error> {
        match self {
            Driver::Rest(rest) => rest.smartlic.fetch(span, witness).await,
            Driver::ByFile(session) => session.fetch(span, witness).await,
        }
    }

    async fn close_reports<W: Witness>(&mut self, witness: &mut W) -> Result<(), Error> {
        match self {
            Driver::Rest(rest) => rest.smartlic.close_reports(witness).await,
            Driver::ByFile(session) => session.close_reports(witness).await,
        }
    }

    async fn import<W: Witness>(&mut self, file: &[u8], form: &ImportForm, witness: &mut W) -> Result<(), Error> {
        match self {
            Driver::Rest(rest) => rest.smartlic.import(file, form, witness).await,
            Driver::ByFile(session) => session.import(file, form, witness).await,
        }
    }

    async fn discard<W: Witness>(&mut self, left: &Written, witness: &mut W) -> Result<(), Error> {
        match self {
            Driver::Rest(rest) => match &mut rest.teller {
                Some(other) => other.discard(left, witness).await,
                None => rest.smartlic.discard(left, witness).await,
            },
            Driver::ByFile(session) => session.discard(left, witness).await,
        }
    }

    fn reach(&self) -> Reach {
        match self {
            Driver::Rest(rest) => rest.smartlic.reach(),
            Driver::ByFile(session) => session.reach(),
        }
    }

    fn proven(&self) -> Proven {
        match self {
            Driver::Rest(rest) => {
                let host_key = rest.teller.as_ref().and_then(|teller| teller.proven().host_key);
                Proven { host_key, ..rest.smartlic.proven() }
            }
            Driver::ByFile(session) => session.proven(),
        }
    }

    fn learned(&self) -> Learned {
        match self {
            Driver::Rest(rest) => match &rest.teller {
                // What the other access found out for itself is kept beside.
                Some(other) => {
                    let Learned { access, teller, import_form, .. } = rest.learned.clone();
                    Learned { access, teller, import_form, ..other.learned() }
                }
                None => rest.learned.clone(),
            },
            Driver::ByFile(session) => session.learned(),
        }
    }

    async fn close(self) {
        match self {
            Driver::Rest(rest) => {
                if let Some(teller) = rest.teller {
                    teller.close().await;
                }
            }
            Driver::ByFile(session) => session.close().await,
        }
    }
}

impl Session for ByFile {
    async fn state(&mut self) -> Result<(Option<Identity>, DeviceState), Error> {
        match self {
            ByFile::Cli(cli) => cli.state().await,
            ByFile::Yang(models) => models.state().await,
        }
    }

    async fn list(&mut self) -> Result<Vec<ListedReport>, Error> {
        match self {
            ByFile::Cli(cli) => cli.list().await,
            ByFile::Yang(models) => models.list().await,
        }
    }

    async fn fetch<W: Witness>(&mut self, span: &Span, witness: &mut W) -> Result<Fetched, Error> {
        match self {
            ByFile::Cli(cli) => cli.fetch(span, witness).await,
            ByFile::Yang(models) => models.fetch(span, witness).await,
        }
    }

    async fn close_reports<W: Witness>(&mut self, witness: &mut W) -> Result<(), Error> {
        match self {
            ByFile::Cli(cli) => cli.close_reports(witness).await,
            ByFile::Yang(models) => models.close_reports(witness).await,
        }
    }

    async fn import<W: Witness>(&mut self, file: &[u8], form: &ImportForm, witness: &mut W) -> Result<(), Error> {
        match self {
            ByFile::Cli(cli) => cli.import(file, form, witness).await,
            ByFile::Yang(models) => models.import(file, form, witness).await,
        }
    }

    async fn discard<W: Witness>(&mut self, left: &Written, witness: &mut W) -> Result<(), Error> {
        match self {
            ByFile::Cli(cli) => cli.discard(left, witness).await,
            ByFile::Yang(models) => models.discard(left, witness).await,
        }
    }

    fn reach(&self) -> Reach {
        match self {
            ByFile::Cli(cli) => cli.reach(),
            ByFile::Yang(models) => models.reach(),
        }
    }

    fn proven(&self) -> Proven {
        match self {
            ByFile::Cli(cli) => cli.proven(),
            ByFile::Yang(models) => models.proven(),
        }
    }

    fn learned(&self) -> Learned {
        match self {
            ByFile::Cli(cli) => cli.learned(),
            ByFile::Yang(models) => models.learned(),
        }
    }

    async fn close(self) {
        match self {
            ByFile::Cli(cli) => cli.close().await,
            ByFile::Yang(models) => models.close().await,
        }
    }
}
