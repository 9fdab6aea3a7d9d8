//! Every access that a device could have, one after the other: which works, and why the others do not. Reads only.
//!
//! A refused login and a changed key end it at once, as they end a poll: what one access refused is not offered to
//! another.

use std::time::Duration;

use jiff::Timestamp;

use super::driver::{ByFile, ends_all, enter_alone, ladder, none_works, tellers, tells_all};
pub use super::files::Way;
use super::ssh::{HostPin, HostTrust, Negotiated, SshTarget};
use super::{Driver, Error, Identity, Proven, Session, Terms};
use crate::domain::settings::{Access, FileWay, Os, Word};
use crate::domain::state::{Model, Stamp};
use crate::tls::Trust;

const PROBE: &str = "probe";

/// What was found.
#[derive(Debug, Default)]
pub struct Probe {
    /// In the order of trying.
    pub tried: Vec<Tried>,
    /// What was not tried any more, because the last one ended everything.
    pub left: Vec<Access>,
    pub ways: Vec<Way>,
    pub proven: Proven,
    /// Of the first access that tells it.
    pub identity: Option<Identity>,
    pub clock: Option<Reading>,
    /// What a session would be opened by, if any.
    pub chosen: Option<Access>,
    /// What would tell the state, where the chosen access cannot.
    pub teller: Option<Access>,
    pub os: Option<Os>,
}

/// One access.
#[derive(Debug)]
pub struct Tried {
    pub access: Access,
    /// Does it let us in? It may do so and still not tell the state.
    pub entered: bool,
    pub told: Result<Told, Error>,
    /// What was agreed upon, where it runs over SSH.
    pub negotiated: Option<Negotiated>,
}

/// What an access tells.
#[derive(Debug)]
pub struct Told {
    pub identifies: bool,
    /// Also what became of reports?
    pub all: bool,
    pub model: Model,
    /// How many reports it lists.
    pub reports: usize,
}

/// The device's clock, and ours when it came.
#[derive(Clone, Debug)]
pub struct Reading {
    pub device: Stamp,
    pub ours: Timestamp,
}

impl Probe {
    /// What ended the whole thing, or what it comes to when nothing works.
    pub fn failure(mut self, address: &str) -> Option<Error> {
        if self.tried.iter().any(|tried| tried.told.as_ref().is_err_and(ends_all)) {
            return self.tried.pop().and_then(|tried| tried.told.err());
        }
        if self.works() {
            return None;
        }
        let failures = self.tried.iter().filter_map(|tried| Some((tried.access, tried.told.as_ref().err()?)));
        Some(none_works(address, failures))
    }

    /// Does some access work?
    pub fn works(&self) -> bool {
        self.tried.iter().any(|tried| tried.told.is_ok())
    }

    fn next(&self, terms: &Terms) -> Option<Access> {
        let fresh = |access: &Access| self.tried.iter().all(|tried| tried.access != *access);
        ladder(terms).into_iter().find(fresh)
    }

    fn choose(&mut self, terms: &Terms) {
        let set = |access: Access| terms.access == Access::Auto || terms.access == access;
        let chosen = self.tried.iter().find(|tried| tried.entered && set(tried.access));
        self.chosen = chosen.map(|tried| tried.access);
        let tells = |tried: &Tried| tried.told.as_ref().is_ok_and(|told| told.all);
        if terms.access == Access::Auto && self.chosen == Some(Access::Rest) && !chosen.is_some_and(tells) {
            let entered = |access: &Access| self.tried.iter().any(|tried| tried.access == *access && tried.entered);
            self.teller = tellers(terms.learned.teller).into_iter().find(entered);
        }
    }
}

/// Tries every access of the system in the order of a poll, each within `limit`; goes on after the first that works.
pub async fn probe(mut terms: Terms, limit: Duration, now: impl Fn() -> Timestamp) -> Probe {
    let mut probe = Probe::default();
    while let Some(access) = probe.next(&terms) {
        let mut tried = Tried { access, entered: false, told: Err(late(&terms, limit)), negotiated: None };
        if let Ok(told) = tokio::time::timeout(limit, one(&terms, &now, &mut tried, &mut probe)).await {
            tried.told = told;
        }
        // What was learnt now holds for the rest.
        trust(&mut terms, &probe.proven);
        let found = probe.identity.as_ref().and_then(|identity| Os::of_word(identity.os).ok());
        terms.os = terms.os.or(found);
        let over = tried.told.as_ref().is_err_and(ends_all);
        probe.tried.push(tried);
        if over {
            probe.left = ladder(&terms);
            probe.left.retain(|access| probe.tried.iter().all(|tried| tried.access != *access));
            break;
        }
    }
    probe.os = terms.os;
    probe.choose(&terms);
    probe
}

async fn one(terms: &Terms, now: &impl Fn() -> Timestamp, tried: &mut Tried, probe: &mut Probe) -> Result<Told, Error> {
    let mut session = enter_alone(tried.access, terms).await?;
    tried.entered = true;
    tried.negotiated = session.negotiated().cloned();
    let told = ask(&mut session, now, probe).await;
    let proven = session.proven();
    probe.proven.certificate = probe.proven.certificate.or(proven.certificate);
    if probe.proven.host_key.is_none() {
        probe.proven.host_key = proven.host_key;
    }
    session.close().await;
    told
}

async fn ask(session: &mut Driver, now: &impl Fn() -> Timestamp, probe: &mut Probe) -> Result<Told, Error> {
    let told = session.state().await?;
    let all = tells_all(&told);
    let (identity, state) = told;
    if let (None, Some(device)) = (&probe.clock, identity.as_ref().and_then(|identity| identity.clock.clone())) {
        probe.clock = Some(Reading { device, ours: now() });
    }
    let listed = session.list().await?;
    let reports = listed.len().max(state.rum_ids.len());
    let told = Told { identifies: identity.is_some(), all, model: state.model, reports };
    if probe.identity.is_none() {
        probe.identity = identity;
    }
    if let Driver::ByFile(ByFile::Cli(cli)) = session {
        match cli.clock().await {
            Ok(clock) => {
                let known = probe.clock.take();
                let printed = clock.map(|device| Reading { device, ours: now() });
                // What is printed counts, unless it is in a zone that is not known.
                probe.clock = [known, printed].into_iter().flatten().max_by_key(|clock| clock.device.utc.is_some());
            }
            Err(Error::CommandRefused { .. }) => {}
            Err(error) => return Err(error),
        }
        for way in cli.ways().await? {
            let known = probe.ways.iter().position(|known| known.way == way.way);
            match known.and_then(|at| probe.ways.get_mut(at)) {
                Some(known) if known.failure.is_some() => *known = way,
                Some(_) => {}
                None => probe.ways.push(way),
            }
        }
        probe.ways.sort_by_key(|way| FileWay::ALL.iter().position(|all| *all == way.way));
    }
    Ok(told)
}

fn late(terms: &Terms, limit: Duration) -> Error {
    let cause = format!("not done within {limit:?}");
    Error::Unreachable { step: PROBE, address: terms.address.clone(), cause }
}

fn trust(terms: &mut Terms, proven: &Proven) {
    if let (Some(https), Some(certificate)) = (&mut terms.https, proven.certificate)
        && matches!(https.trust, Trust::Learn)
    {
        https.trust = Trust::Pin(certificate);
    }
    let Some(key) = &proven.host_key else { return };
    let pin = |target: &mut SshTarget| {
        if target.trust == HostTrust::Learn {
            let pin = HostPin { fingerprint: key.fingerprint, key_type: Some(key.key_type.clone()) };
            target.trust = HostTrust::Pinned(pin);
        }
    };
    terms.ssh.iter_mut().chain(&mut terms.netconf).for_each(pin);
}
