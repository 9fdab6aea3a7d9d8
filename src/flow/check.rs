//! The cross-check: an upstream is asked what it knows, that is compared with what is known here, and what is news is kept.
//!
//! Nothing is written there. A reading is put on record when it differs from the one before, else once a day, so that the
//! record tells that somebody looked; what the upstream said is kept with it as JSON.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::outward::random;
use super::submit::{self, Stopped};
use super::{Error, House, signed};
use crate::config::Upstream;
use crate::config::upstreams::{Api, Cssm};
use crate::domain::advisory::{self, Concern, Release};
use crate::domain::cross_check::{self, Counts, Difference, InUse, Scope};
use crate::domain::digest::Sha256;
use crate::domain::event::{Fact, UpstreamRead};
use crate::domain::instance::Account;
use crate::domain::on_prem;
use crate::domain::settings::Reporter;
use crate::domain::submission::Gate;
use crate::upstream::certificate::{self, Certificate};
use crate::upstream::cssm::{self, Session, SmartAccount, Token};
use crate::upstream::said::{Alert, License, Said};

/// A reading without news is put on record when the one before is older than this: less than a day, so that a daily one is.
const ANEW: SignedDuration = SignedDuration::from_hours(20);
/// An upstream that could not be asked is asked again after this.
const AGAIN: SignedDuration = SignedDuration::from_hours(1);

/// What a check of an upstream came to.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Checked {
    pub upstream: String,
    #[serde(rename = "type")]
    pub kind: String,
    /// Scheme, host and port.
    pub server: String,
    /// So many product instances it knows.
    pub devices: u64,
    pub counts: Counts,
    /// The differences, at most [`KEPT`](cross_check::KEPT) of them.
    pub differences: Vec<Difference>,
    pub version: Option<Version>,
    /// Advisories that concern it, or may; of License On-Prem only.
    pub advisories: Vec<Concerned>,
    /// The chain that it showed, its own certificate first.
    pub certificates: Vec<Certificate>,
    /// A certificate of the chain ends within 30 days, or did.
    pub certificate_ends_soon: bool,
    /// When it last synchronised with Cisco, where it told.
    pub synchronised: Option<Timestamp>,
    pub licenses: Vec<Counted>,
    pub alerts: Vec<Alert>,
    /// What could not be read.
    pub problems: Vec<String>,
    /// Why it could not be asked, and what a person can do.
    pub failure: Option<String>,
}

/// The release of a server, and whose word that is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Version {
    pub release: String,
    /// Else it is the configuration's word.
    pub told_by_server: bool,
}

/// A licence as it is counted there, and what devices themselves count.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Counted {
    #[serde(flatten)]
    pub there: License,
    /// In use by the last word of the devices of that account, where one tells a licence of this tag or name. That it is
    /// another number is information only: upstreams lag behind, and know devices that nobody polls here.
    pub in_use_here: Option<u64>,
}

/// An advisory and what it means for this server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Concerned {
    pub cve: String,
    pub concern: Concern,
    pub score: f64,
    pub what: String,
    /// The first release with the mend, where that is confirmed.
    pub fixed: Option<String>,
    /// Cisco's name of the advisory, where it is known.
    pub id: Option<String>,
    pub source: String,
}

/// When an upstream is to be asked next; `None`: never.
pub fn next(house: &House, name: &str) -> Option<Timestamp> {
    let every = signed(house.config.upstreams.get(name)?.every);
    let read = house.ledger.fleet().upstreams.get(name).map(|known| known.read);
    let checked = house.between.checked.lock().expect("no panic while it is held");
    let (asked, after) = match checked.get(name) {
        Some((asked, true)) => (Some(*asked), every),
        Some((asked, false)) => (Some(*asked), AGAIN.min(every)),
        None => (read, every),
    };
    Some(asked.map_or(Timestamp::MIN, |asked| asked.checked_add(after).unwrap_or(Timestamp::MAX)))
}

/// Asks the upstream now. That it could not be asked is in the answer; an error is ours.
pub async fn check(house: &Arc<House>, name: &str) -> Result<Checked, Error> {
    let (upstream, gate) = submit::known(house, name)?;
    let turn = house.pass(name);
    let mut token = turn.lock().await;
    let mut checked = Checked {
        upstream: name.to_owned(),
        kind: upstream.word().to_owned(),
        server: upstream.url.origin().to_owned(),
        ..Checked::default()
    };
    if let Some(reason) = submit::held(house, gate) {
        checked.failure = Some(reason);
        return Ok(checked);
    }
    let asked = ask(house, upstream, gate, &mut token).await;
    let now = house.clock.now();
    house.between.checked.lock().expect("no panic while it is held").insert(name.to_owned(), (now, asked.is_ok()));
    let (said, scope) = match asked {
        Ok(answered) => answered,
        Err(stopped) => {
            checked.failure = submit::ended(house, name, Err(stopped)).await?;
            return Ok(checked);
        }
    };
    submit::ended(house, name, Ok(())).await?;
    let own = house.clone();
    let kept = tokio::task::spawn_blocking(move || keep(&own, checked, said, &scope, now)).await;
    let (checked, facts, objects) = kept.map_err(|panic| Error::Internal(format!("comparing: {panic}")))??;
    if !facts.is_empty() {
        house.ledger.append_async(now, facts, objects).await?;
    }
    Ok(checked)
}

/// What the upstream says, and what it can be expected to know.
async fn ask(
    house: &House,
    upstream: &Upstream,
    gate: &Gate,
    token: &mut Option<Token>,
) -> Result<(Said, Scope), Stopped> {
    let tolerance = cross_check::TOLERANCE;
    match &upstream.api {
        Api::Cssm(settings) => {
            let (said, smart_accounts) = ask_cssm(house, upstream, settings, token).await?;
            Ok((said, Scope { reporter: None, routes: gate.routes.clone(), smart_accounts, tolerance }))
        }
        Api::OnPrem(settings) => {
            let said = crate::upstream::on_prem::read(upstream, settings).await?;
            let reporter = Some(Reporter::OnPrem);
            // Which devices report to this server nobody tells; that its accounts are of those Smart Accounts it does.
            let routes = said.smart_accounts.iter().filter_map(|name| name.parse().ok()).collect();
            Ok((said, Scope { reporter, routes, smart_accounts: Vec::new(), tolerance }))
        }
    }
}

async fn ask_cssm(
    house: &House,
    upstream: &Upstream,
    settings: &Cssm,
    token: &mut Option<Token>,
) -> Result<(Said, Vec<(String, String)>), Stopped> {
    let mut session = Session::open(upstream, token).await?;
    let accounts = session.accounts().await?;
    let devices = session.devices(&accounts, &settings.accounts).await?;
    let mut said = Said { devices: devices.items, ..Said::default() };
    devices.problems.into_iter().for_each(|problem| said.problems.fault(problem));
    for smart in accounts.iter().filter(|smart| settings.accounts.iter().any(|route| smart.holds(route))) {
        said.smart_accounts.push(smart.name.clone());
        for inside in &smart.virtual_accounts {
            let account = Account {
                smart_account: Some(smart.name.as_str().into()),
                virtual_account: Some(inside.name.as_str().into()),
            };
            if settings.accounts.iter().any(|route| route.takes(&account) || route.takes(&by_domain(smart, &account))) {
                licences(house, &mut session, &accounts, account, &mut said).await?;
            }
        }
    }
    said.certificates = session.certificates();
    let names = accounts.into_iter().map(|account| (account.name, account.domain)).collect();
    Ok((said, names))
}

fn by_domain(smart: &SmartAccount, account: &Account) -> Account {
    Account { smart_account: Some(smart.domain.as_str().into()), virtual_account: account.virtual_account.clone() }
}

/// Licences are nice to know: who may see devices need not see them.
async fn licences(
    house: &House,
    session: &mut Session<'_>,
    accounts: &[SmartAccount],
    account: Account,
    said: &mut Said,
) -> Result<(), Stopped> {
    let Ok(ids) = cssm::ids(accounts, &account) else { return Ok(()) };
    match session.licences(&ids, house.clock.now(), &random(8)?).await {
        Ok(view) => {
            view.problems.into_iter().for_each(|problem| said.problems.fault(problem));
            let count = |count: Option<u64>| count.and_then(|count| i64::try_from(count).ok());
            said.licenses.extend(view.items.into_iter().map(|licence| License {
                account: account.clone(),
                name: licence.name.unwrap_or_else(|| licence.tag.clone()),
                tag: Some(licence.tag),
                status: licence.compliance,
                in_use: count(licence.in_use),
                available: None,
                quantity: count(licence.entitled),
            }));
            Ok(())
        }
        Err(error) if matches!(error.blame(), crate::domain::event::Blame::Unreachable) => Err(error.into()),
        Err(error @ crate::upstream::Error::CredentialRefused { .. }) => Err(error.into()),
        Err(error) => {
            said.problems.fault(error.to_string());
            Ok(())
        }
    }
}

type Kept = (Checked, Vec<Fact>, Vec<Vec<u8>>);

/// Compares, and says what is to be put on record.
fn keep(house: &House, mut checked: Checked, said: Said, scope: &Scope, now: Timestamp) -> Result<Kept, Error> {
    let name = checked.upstream.clone();
    let fleet = house.ledger.fleet();
    let known = fleet.upstreams.get(&name);
    let mut differences = cross_check::compare(&fleet, &house.watched, &said.devices, scope, now);
    cross_check::carry(known.map_or(&[], |known| &known.facts.differences), &mut differences);
    checked.counts = Counts::of(&differences);
    differences.truncate(cross_check::KEPT);

    let object = serde_json::to_vec(&said).map_err(|error| Error::Internal(format!("what '{name}' said: {error}")))?;
    let until = certificate::until(&said.certificates);
    let read = UpstreamRead {
        upstream: name.clone(),
        object: Sha256::of(&object),
        devices: said.devices.len() as u64,
        counts: checked.counts,
        differences: differences.clone(),
        version: said.version.clone(),
        certificate_until: until,
    };
    let told = |known: &UpstreamRead| {
        let same = UpstreamRead { object: read.object, ..known.clone() };
        same == read
    };
    let news = known.is_none_or(|known| now.duration_since(known.read) >= ANEW || !told(&known.facts));
    let (mut facts, mut objects) = (Vec::new(), Vec::new());
    if news {
        facts.push(Fact::UpstreamRead(Box::new(read)));
        objects.push(object);
    }
    let mut problems = said.problems;
    let later = |synced: Timestamp| fleet.on_prem.get(&name).is_none_or(|server| server.synced < synced);
    if let Some(synced) = said.synced.filter(|synced| later(*synced)) {
        match on_prem::synced(&name, synced, None, now) {
            Ok(synced) => facts.push(Fact::OnPremSynced(synced)),
            Err(error) => problems.fault(format!("its last synchronisation is not taken: {error}")),
        }
    }
    let in_use = InUse::of(&fleet, &house.watched);
    drop(fleet);

    let upstream = house.config.upstreams.get(&name);
    if let Some(Api::OnPrem(settings)) = upstream.map(|upstream| &upstream.api) {
        let told = said.version.map(|release| Version { release, told_by_server: true });
        let configured = || settings.version.clone().map(|release| Version { release, told_by_server: false });
        checked.version = told.or_else(configured);
        checked.advisories = concerned(checked.version.as_ref());
    }
    checked.devices = said.devices.len() as u64;
    checked.differences = differences;
    checked.certificate_ends_soon = until.is_some_and(|until| certificate::ends_soon(until, now));
    checked.certificates = said.certificates;
    checked.synchronised = said.synced;
    let counted = |there: License| {
        let names: Vec<&str> = there.tag.as_deref().into_iter().chain([there.name.as_str()]).collect();
        Counted { in_use_here: in_use.count(scope, &there.account, &names), there }
    };
    checked.licenses = said.licenses.into_iter().map(counted).collect();
    checked.alerts = said.alerts;
    checked.problems = problems.sentences();
    Ok((checked, facts, objects))
}

fn concerned(version: Option<&Version>) -> Vec<Concerned> {
    let release = version.and_then(|version| version.release.parse::<Release>().ok());
    let told = |(advisory, concern): (&advisory::Advisory, Concern)| Concerned {
        cve: advisory.cve.to_owned(),
        concern,
        score: f64::from(advisory.score) / 10.0,
        what: advisory.what.to_owned(),
        fixed: advisory.fixed.map(|release| release.to_string()),
        id: advisory.id.map(str::to_owned),
        source: advisory.source.to_owned(),
    };
    advisory::of(release).into_iter().map(told).collect()
}
