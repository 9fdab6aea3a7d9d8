//! What a person can ask for, and how the question reaches the running daemon.
//!
//! [`Request`] is the one list of questions. [`execute`] answers them over a [`House`]; the
//! command line calls it directly when no daemon runs, and over the Unix socket when one does.
//! On the socket a question and each part of the answer are one line of JSON.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::domain::bundle::Selection;
use crate::domain::deadline::ObligationState;
use crate::domain::digest::Sha256;
use crate::domain::event::{BundleHandedOver, CredentialReleased, Decider, Event, Fact, ReportCollected, TrustPinned};
use crate::domain::fleet::{Answer, Bundle, Credential, Fleet, Instance, OwedReport};
use crate::domain::instance::{DeviceName, Site, Udi};
use crate::domain::plan::{self, PollTask};
use crate::domain::problem::with_causes;
use crate::domain::report::{ReportFacts, ReportId};
use crate::domain::state::ReportState;
use crate::domain::status::{self, Row};
use crate::flow::homeward::{self, Delivered, Taken, TakenAs};
use crate::flow::outward::{self, Made};
use crate::flow::poll::{self, Ask, Polled};
use crate::flow::{Error, House};

/// One question.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Request {
    /// Poll these devices; none named: all.
    Poll {
        devices: Vec<DeviceName>,
        ask: Ask,
    },
    Status(StatusQuery),
    Devices,
    Device {
        name: DeviceName,
    },
    /// Trust the certificate that was refused.
    Trust {
        devices: Vec<DeviceName>,
        site: Option<Site>,
        confirmed: bool,
    },
    Credentials,
    ReleaseCredential {
        name: String,
        note: Option<String>,
    },
    Reports {
        device: Option<DeviceName>,
        all: bool,
    },
    Report {
        id: ReportId,
    },
    /// The signed bytes of reports.
    ReportBytes {
        ids: Vec<ReportId>,
        device: Option<DeviceName>,
    },
    CreateBundle {
        selection: Selection,
        close: bool,
        tar: bool,
        out: Option<PathBuf>,
        at: Option<Timestamp>,
    },
    Bundles,
    Bundle {
        id: String,
    },
    HandOver {
        id: String,
        at: Option<Timestamp>,
        note: String,
    },
    /// Files from the portal: name and base64 of the bytes.
    ImportAnswers {
        files: Vec<(String, String)>,
        deliver: bool,
    },
    Answers,
    AssignAnswer {
        object: Sha256,
        device: DeviceName,
        note: String,
    },
}

/// Which rows of the register, and as of when.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct StatusQuery {
    pub at: Option<Timestamp>,
    pub site: Option<Site>,
    pub state: Option<ObligationState>,
    pub due_within: Option<SignedDuration>,
}

/// One part of an answer.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reply {
    /// So many things are to be done.
    Total(usize),
    Polled(Polled),
    Taken(Taken),
    Delivered(Delivered),
    /// The answer is complete.
    Done(Answered),
    /// It cannot be given; whose mistake it is.
    Failed {
        input: bool,
        reason: String,
    },
}

/// The last part of an answer.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answered {
    /// Everything was said on the way.
    Nothing,
    Rows(Vec<Row>),
    Device(Box<DeviceSheet>),
    Trust(Vec<TrustLine>),
    Credentials(BTreeMap<String, CredentialLine>),
    Reports(Vec<ReportLine>),
    Report(Vec<ReportLife>),
    Bytes(Vec<ReportBytes>),
    Made(Made),
    Bundles(BTreeMap<String, Bundle>),
    Answers(Vec<AnswerLine>),
}

/// All that is known of one device.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DeviceSheet {
    pub row: Row,
    /// `host:port`; `null` for a device that a person visits.
    pub address: Option<String>,
    pub credential: Option<String>,
    pub trust: String,
    pub known: crate::domain::fleet::Device,
    pub instance: Option<Instance>,
}

/// One certificate waiting for a person.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TrustLine {
    pub device: DeviceName,
    pub pinned: Option<Sha256>,
    /// `None`: the device showed no other certificate.
    pub presented: Option<Sha256>,
    pub accepted: bool,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CredentialLine {
    pub username: String,
    pub held: bool,
    #[serde(flatten)]
    pub known: Credential,
}

/// One kept report.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ReportLine {
    pub device: Option<DeviceName>,
    pub udi: Udi,
    pub report_id: ReportId,
    pub entitlement_tag: Option<String>,
    pub start: Option<Timestamp>,
    pub end: Option<Timestamp>,
    pub collected: Timestamp,
    /// `acknowledged`, `presumed-acknowledged`, or the device's last word, else `null`.
    pub state: Option<String>,
    pub bundle: Option<String>,
    pub payload_sha256: Sha256,
    pub object: Sha256,
}

/// What a report says and what happened to it, in order.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ReportLife {
    pub line: ReportLine,
    pub facts: ReportFacts,
    pub events: Vec<(Timestamp, String)>,
}

/// The signed bytes of one report, in base64.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ReportBytes {
    pub udi: Udi,
    pub report_id: ReportId,
    pub base64: String,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AnswerLine {
    pub object: Sha256,
    pub device: Option<DeviceName>,
    /// What keeps it from being delivered.
    pub waits_for: Option<String>,
    #[serde(flatten)]
    pub answer: Answer,
}

/// Where the parts of an answer go while they come.
pub type Tell = mpsc::UnboundedSender<Reply>;

/// Answers one question; what comes on the way is told at once.
pub async fn execute(house: &Arc<House>, request: Request, tell: &Tell) -> Result<Answered, Error> {
    match request {
        Request::Poll { devices, ask } => poll_many(house, devices, ask, tell).await,
        Request::Status(query) => aside(house, move |house| rows(house, &query)).await.map(Answered::Rows),
        Request::Devices => aside(house, |house| rows(house, &StatusQuery::default())).await.map(Answered::Rows),
        Request::Device { name } => sheet(house, &name).map(|sheet| Answered::Device(Box::new(sheet))),
        Request::Trust { devices, site, confirmed } => trust(house, devices, site, confirmed).await,
        Request::Credentials => Ok(Answered::Credentials(credentials(house))),
        Request::ReleaseCredential { name, note } => {
            if !house.config.credentials.contains_key(&name) {
                return Err(Error::Input(format!("no credential '{name}' in the configuration")));
            }
            let fact = Fact::CredentialReleased(CredentialReleased { credential: name, note });
            house.ledger.append_async(house.clock.now(), vec![fact], Vec::new()).await?;
            Ok(Answered::Credentials(credentials(house)))
        }
        Request::Reports { device, all } => {
            aside(house, move |house| reports(house, device.as_ref(), all)).await.map(Answered::Reports)
        }
        Request::Report { id } => aside(house, move |house| lives(house, id)).await.map(Answered::Report),
        Request::ReportBytes { ids, device } => {
            aside(house, move |house| bytes_of(house, &ids, device.as_ref())).await.map(Answered::Bytes)
        }
        Request::CreateBundle { selection, close, tar, out, at } => {
            if close {
                let devices = selected_devices(house, &selection);
                poll_many(house, devices, Ask { close: true, dry_run: false }, tell).await?;
            }
            outward::create(house, &selection, tar, out, at).await.map(Answered::Made)
        }
        Request::Bundles => Ok(Answered::Bundles(house.ledger.fleet().bundles.clone())),
        Request::Bundle { id } => {
            let fleet = house.ledger.fleet();
            let bundle = find_bundle(&fleet, &id)?;
            Ok(Answered::Bundles(BTreeMap::from([(bundle.facts.bundle_id.clone(), bundle.clone())])))
        }
        Request::HandOver { id, at, note } => {
            let now = house.clock.now();
            let bundle_id = find_bundle(&house.ledger.fleet(), &id)?.facts.bundle_id.clone();
            let handed_over = at.unwrap_or(now);
            let fact = BundleHandedOver { bundle_id: bundle_id.clone(), handed_over, note };
            house.ledger.append_async(now, vec![Fact::BundleHandedOver(fact)], Vec::new()).await?;
            let bundle = find_bundle(&house.ledger.fleet(), &bundle_id)?.clone();
            Ok(Answered::Bundles(BTreeMap::from([(bundle_id, bundle)])))
        }
        Request::ImportAnswers { files, deliver } => import(house, files, deliver, tell).await,
        Request::Answers => Ok(Answered::Answers(answers(house))),
        Request::AssignAnswer { object, device, note } => {
            homeward::assign(house, object, &device, &note).await?;
            deliver_waiting(house, &[object], tell).await?;
            Ok(Answered::Answers(answers(house)))
        }
    }
}

/// Reads of the journal and folds of the whole fleet leave the async threads.
async fn aside<T: Send + 'static>(
    house: &Arc<House>,
    work: impl FnOnce(&House) -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    let house = house.clone();
    let work = tokio::task::spawn_blocking(move || work(&house));
    work.await.unwrap_or_else(|panic| Err(Error::Input(format!("ended abnormally: {panic}"))))
}

async fn poll_many(house: &Arc<House>, names: Vec<DeviceName>, ask: Ask, tell: &Tell) -> Result<Answered, Error> {
    let names = if names.is_empty() {
        house.watched.iter().filter(|watched| watched.within_reach).map(|watched| watched.name.clone()).collect()
    } else {
        names
    };
    if let Some(unknown) = names.iter().find(|name| house.device(name).is_none()) {
        return Err(Error::Input(format!("no device '{unknown}' in the inventory")));
    }
    drop(tell.send(Reply::Total(names.len())));
    let mut names = names.into_iter();
    let mut running = JoinSet::new();
    loop {
        while running.len() < house.config.poll.concurrency
            && let Some(name) = names.next()
        {
            let house = house.clone();
            running.spawn(async move {
                let device = house.device(&name).expect("checked above");
                poll::poll(&house, device, ask).await
            });
        }
        match running.join_next().await {
            None => return Ok(Answered::Nothing),
            Some(Ok(polled)) => drop(tell.send(Reply::Polled(polled?))),
            Some(Err(panic)) => return Err(Error::Input(format!("a poll ended abnormally: {panic}"))),
        }
    }
}

/// Polls what a plan says; used by the daemon.
pub async fn poll_task(house: &House, task: &PollTask) -> Result<Option<Polled>, Error> {
    let Some(device) = house.device(&task.device) else { return Ok(None) };
    poll::poll(house, device, Ask { close: task.close, dry_run: false }).await.map(Some)
}

fn rows(house: &House, query: &StatusQuery) -> Result<Vec<Row>, Error> {
    let now = house.clock.now();
    let at = query.at.unwrap_or(now);
    let mut rows = if at < now {
        let mut fleet = house.ledger.fleet().clone();
        // The fold keeps no contacts; what was learned at an instant was learned by contact.
        let seen = fleet
            .instances
            .values()
            .filter_map(|instance| Some((instance.device.clone()?, instance.state_read.max(instance.last_collected)?)));
        fleet.contacts = seen.collect();
        status::rows(&fleet, &house.watched, &house.settings, at, at)
    } else {
        status::rows(&house.ledger.fleet(), &house.watched, &house.settings, at, now)
    };
    let within = query.due_within.and_then(|within| at.checked_add(within).ok());
    rows.retain(|row| {
        query.site.as_ref().is_none_or(|site| *site == row.site)
            && query.state.is_none_or(|state| state == row.state)
            && within.is_none_or(|within| row.due.is_some_and(|due| due <= within))
    });
    Ok(rows)
}

fn sheet(house: &House, name: &DeviceName) -> Result<DeviceSheet, Error> {
    let device = house.device(name).ok_or_else(|| Error::Input(format!("no device '{name}' in the inventory")))?;
    let now = house.clock.now();
    let fleet = house.ledger.fleet();
    let instance = fleet.of_device(name);
    Ok(DeviceSheet {
        row: status::row(&fleet, instance, house.watched(name), &house.settings, now, now),
        address: device.authority(),
        credential: device.credential.clone(),
        trust: device.trust.to_string(),
        known: fleet.devices.get(name).cloned().unwrap_or_default(),
        instance: instance.cloned(),
    })
}

async fn trust(house: &House, names: Vec<DeviceName>, site: Option<Site>, confirmed: bool) -> Result<Answered, Error> {
    let mut lines = Vec::new();
    {
        let fleet = house.ledger.fleet();
        let in_site = |name: &DeviceName| house.device(name).is_some_and(|device| Some(&device.site) == site.as_ref());
        for (name, known) in &fleet.devices {
            let wanted = names.contains(name) || (known.refused_pin.is_some() && in_site(name));
            if wanted {
                let (pinned, presented) = (known.pin, known.refused_pin);
                lines.push(TrustLine { device: name.clone(), pinned, presented, accepted: false });
            }
        }
    }
    if confirmed {
        let mut facts = Vec::new();
        for line in &mut lines {
            if let Some(fingerprint) = line.presented {
                line.accepted = true;
                let device = line.device.clone();
                facts.push(Fact::TrustPinned(TrustPinned { device, fingerprint, by: Decider::Operator }));
            }
        }
        if !facts.is_empty() {
            house.ledger.append_async(house.clock.now(), facts, Vec::new()).await?;
        }
    }
    Ok(Answered::Trust(lines))
}

fn credentials(house: &House) -> BTreeMap<String, CredentialLine> {
    let fleet = house.ledger.fleet();
    let line = |(name, credential): (&String, &crate::secret::Credential)| {
        let known = fleet.credentials.get(name).cloned().unwrap_or_default();
        let held = known.refused_by.len() >= house.settings.credential_hold_after;
        (name.clone(), CredentialLine { username: credential.username.clone(), held, known })
    };
    house.config.credentials.iter().map(line).collect()
}

fn line_of_owed(instance: &Instance, owed: &OwedReport) -> ReportLine {
    let word = owed.state.map(state_word);
    ReportLine {
        device: instance.device.clone(),
        udi: owed.udi.clone(),
        report_id: owed.report_id,
        entitlement_tag: owed.entitlement_tag.as_ref().map(ToString::to_string),
        start: owed.start,
        end: owed.end,
        collected: owed.collected,
        state: if owed.presumed_acknowledged { Some("presumed-acknowledged".to_owned()) } else { word },
        bundle: owed.bundle.clone(),
        payload_sha256: owed.payload_sha256,
        object: owed.object,
    }
}

fn state_word(state: ReportState) -> String {
    serde_json::to_value(state).ok().and_then(|word| word.as_str().map(str::to_owned)).unwrap_or_default()
}

/// The line of a report found in the journal, with what the fold knows of it now.
fn line_of_fact(fleet: &Fleet, at: Timestamp, fact: &ReportCollected) -> ReportLine {
    let (udi, id) = (&fact.report.udi, fact.report.report_id);
    let instance = fleet.resolve(udi);
    if let Some((instance, owed)) = instance.and_then(|instance| Some((instance, instance.owed(udi, id)?))) {
        return line_of_owed(instance, owed);
    }
    let acknowledged = instance.is_some_and(|instance| instance.acknowledged.contains(udi, id));
    let bundles = fleet
        .bundles
        .values()
        .filter(|bundle| bundle.facts.reports.iter().any(|report| report.report_id == id && report.udi == *udi));
    ReportLine {
        device: fact.device.clone(),
        udi: udi.clone(),
        report_id: id,
        entitlement_tag: fact.report.entitlement_tag.as_ref().map(ToString::to_string),
        start: fact.report.start(),
        end: fact.report.end(),
        collected: at,
        state: acknowledged.then(|| "acknowledged".to_owned()),
        bundle: bundles.max_by_key(|bundle| bundle.made).map(|bundle| bundle.facts.bundle_id.clone()),
        payload_sha256: fact.report.payload_sha256,
        object: fact.object,
    }
}

fn reports(house: &House, device: Option<&DeviceName>, all: bool) -> Result<Vec<ReportLine>, Error> {
    let mut lines = Vec::new();
    if all {
        house.ledger.events(None, &mut |event: &Event| {
            if let Fact::ReportCollected(fact) = &event.fact {
                lines.push(line_of_fact(&house.ledger.fleet(), event.at, fact));
            }
            ControlFlow::Continue(())
        })?;
    } else {
        let fleet = house.ledger.fleet();
        for instance in fleet.instances.values() {
            lines.extend(instance.owed.iter().map(|owed| line_of_owed(instance, owed)));
        }
    }
    lines.retain(|line| device.is_none_or(|device| line.device.as_ref() == Some(device)));
    lines.sort_by(|a, b| (&a.device, &a.udi, a.report_id).cmp(&(&b.device, &b.udi, b.report_id)));
    Ok(lines)
}

fn lives(house: &House, id: ReportId) -> Result<Vec<ReportLife>, Error> {
    let mut lives: Vec<ReportLife> = Vec::new();
    house.ledger.events(None, &mut |event: &Event| {
        let fleet = house.ledger.fleet();
        let at = event.at;
        match &event.fact {
            Fact::ReportCollected(fact) if fact.report.report_id == id => {
                let mut events = vec![(at, format!("collected, kept as object {}", fact.object))];
                if fact.presumed_acknowledged {
                    events.push((at, "ended before the last ACK: presumed acknowledged".to_owned()));
                }
                let line = line_of_fact(&fleet, at, fact);
                lives.push(ReportLife { line, facts: fact.report.clone(), events });
            }
            Fact::ReportStates(fact) => {
                for life in lives.iter_mut().filter(|life| life.line.udi == fact.udi) {
                    let told = fact.states.iter().filter(|(told, _)| *told == id);
                    life.events.extend(told.map(|(_, state)| (at, format!("device says {}", state_word(*state)))));
                }
            }
            Fact::ReportConflict(fact) if fact.report_id == id => {
                for life in lives.iter_mut().filter(|life| life.line.udi == fact.udi) {
                    life.events.push((at, format!("came again with other bytes: object {}", fact.differing)));
                }
            }
            Fact::BundleMade(fact) => {
                for life in &mut lives {
                    if fact.reports.iter().any(|r| r.report_id == id && r.udi == life.line.udi) {
                        life.events.push((at, format!("put into bundle {}", fact.bundle_id)));
                    }
                }
            }
            Fact::BundleHandedOver(fact) => {
                let bundle = fleet.bundles.get(&fact.bundle_id);
                for life in &mut lives {
                    let inside = |r: &crate::domain::event::BundledReport| r.report_id == id && r.udi == life.line.udi;
                    if bundle.is_some_and(|bundle| bundle.facts.reports.iter().any(inside)) {
                        life.events.push((at, format!("bundle handed over: {}", fact.note)));
                    }
                }
            }
            Fact::AnswerReceived(fact) if fact.reports.contains(&id) => {
                for life in lives.iter_mut().filter(|life| life.line.udi == fact.udi) {
                    life.events.push((at, format!("answer received: {} ({})", fact.name, fact.object)));
                }
            }
            Fact::AnswerDelivered(fact) => {
                let answer = fleet.answers.get(&fact.object);
                for life in &mut lives {
                    let its = |a: &Answer| a.reports.contains(&id) && a.udi.as_ref() == Some(&life.line.udi);
                    if answer.is_some_and(its) {
                        let outcome = serde_json::to_string(&fact.outcome).unwrap_or_default();
                        life.events.push((at, format!("answer delivered to {}: {outcome}", fact.device)));
                    }
                }
            }
            _ => {}
        }
        ControlFlow::Continue(())
    })?;
    if lives.is_empty() {
        return Err(Error::Input(format!("no report {id} is kept; see `report list --all`")));
    }
    Ok(lives)
}

fn bytes_of(house: &House, ids: &[ReportId], device: Option<&DeviceName>) -> Result<Vec<ReportBytes>, Error> {
    let mut lines = reports(house, device, true)?;
    lines.retain(|line| ids.is_empty() || ids.contains(&line.report_id));
    if let Some(missing) = ids.iter().find(|id| !lines.iter().any(|line| line.report_id == **id)) {
        return Err(Error::Input(format!("no report {missing} is kept; see `report list --all`")));
    }
    let mut all = Vec::with_capacity(lines.len());
    for line in lines {
        let gone = || Error::Input(format!("the bytes of report {} are gone from the ledger", line.report_id));
        let bytes = house.ledger.object(&line.object)?.ok_or_else(gone)?;
        let base64 = data_encoding::BASE64.encode(&bytes);
        all.push(ReportBytes { udi: line.udi, report_id: line.report_id, base64 });
    }
    Ok(all)
}

/// The devices whose reports a selection would take.
fn selected_devices(house: &House, selection: &Selection) -> Vec<DeviceName> {
    let taken = house.watched.iter().filter(|watched| {
        watched.reporter == crate::domain::settings::Reporter::Collector
            && watched.mode >= crate::domain::settings::Mode::Collect
            && selection.site.as_ref().is_none_or(|site| *site == watched.site)
    });
    taken.map(|watched| watched.name.clone()).collect()
}

/// A bundle by its id or the start of it.
fn find_bundle<'a>(fleet: &'a Fleet, id: &str) -> Result<&'a Bundle, Error> {
    let mut found = fleet
        .bundles
        .values()
        .filter(|bundle| !id.is_empty() && (bundle.facts.bundle_id.starts_with(id) || bundle.facts.name == id));
    match (found.next(), found.next()) {
        (Some(bundle), None) => Ok(bundle),
        (Some(_), Some(_)) => Err(Error::Input(format!("more than one bundle starts with '{id}'; see `bundle list`"))),
        (None, _) => Err(Error::Input(format!("no bundle '{id}'; see `bundle list`"))),
    }
}

async fn import(
    house: &Arc<House>,
    files: Vec<(String, String)>,
    deliver: bool,
    tell: &Tell,
) -> Result<Answered, Error> {
    let mut accepted = Vec::new();
    for (name, base64) in files {
        let bytes = data_encoding::BASE64
            .decode(base64.as_bytes())
            .map_err(|error| Error::Input(format!("{name}: not base64 on the control socket: {error}")))?;
        for taken in homeward::import(house, &name, &bytes).await? {
            if let (TakenAs::Accepted | TakenAs::Known, Some(object)) = (&taken.result, taken.object) {
                accepted.push(object);
            }
            drop(tell.send(Reply::Taken(taken)));
        }
    }
    if deliver {
        deliver_waiting(house, &accepted, tell).await?;
    }
    Ok(Answered::Nothing)
}

/// Delivers those of `objects` that the plan would deliver now.
async fn deliver_waiting(house: &Arc<House>, objects: &[Sha256], tell: &Tell) -> Result<(), Error> {
    let now = house.clock.now();
    let due = plan::plan(&house.ledger.fleet(), &house.watched, &house.settings, None, None, now).deliver;
    let mut due = due.into_iter().filter(|object| objects.contains(object));
    let mut running = JoinSet::new();
    loop {
        while running.len() < house.config.poll.concurrency
            && let Some(object) = due.next()
        {
            let house = house.clone();
            running.spawn(async move { homeward::deliver(&house, object).await });
        }
        match running.join_next().await {
            None => return Ok(()),
            Some(Ok(delivered)) => drop(tell.send(Reply::Delivered(delivered?))),
            Some(Err(panic)) => return Err(Error::Input(format!("a delivery ended abnormally: {panic}"))),
        }
    }
}

fn answers(house: &House) -> Vec<AnswerLine> {
    let fleet = house.ledger.fleet();
    let mut lines: Vec<AnswerLine> = fleet
        .answers
        .iter()
        .map(|(object, answer)| {
            let instance = answer.udi.as_ref().and_then(|udi| fleet.resolve(udi));
            let device = instance.and_then(|instance| instance.device.clone());
            let watched = device.as_ref().and_then(|device| house.watched(device));
            let waits_for = plan::waits_for(&fleet, watched, answer, &house.settings);
            AnswerLine { object: *object, device, waits_for, answer: answer.clone() }
        })
        .collect();
    lines.sort_by(|a, b| (b.answer.received, &a.answer.name).cmp(&(a.answer.received, &b.answer.name)));
    lines
}

/// Answers questions on the socket until dropped. Each connection is one question.
pub async fn serve(house: Arc<House>, listener: UnixListener) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // Out of descriptors: others finish and give some back.
            tokio::task::yield_now().await;
            continue;
        };
        let house = house.clone();
        tokio::spawn(async move {
            if let Err(error) = converse(house, stream).await {
                tracing::debug!(%error, "a control connection ended early");
            }
        });
    }
}

/// The largest question: answer files of a big fleet in base64.
const QUESTION_LIMIT: u64 = 512 << 20;

async fn converse(house: Arc<House>, stream: UnixStream) -> std::io::Result<()> {
    use tokio::io::AsyncReadExt;
    let (reader, mut writer) = stream.into_split();
    let mut question = String::new();
    BufReader::new(reader.take(QUESTION_LIMIT)).read_line(&mut question).await?;
    let (tell, mut told) = mpsc::unbounded_channel();
    let work = async move {
        let last = match serde_json::from_str(&question) {
            Err(error) => Reply::Failed { input: true, reason: format!("not a question of this version: {error}") },
            Ok(request) => match execute(&house, request, &tell).await {
                Ok(answered) => Reply::Done(answered),
                Err(error) => failed(&error),
            },
        };
        drop(tell.send(last));
    };
    let work = tokio::spawn(work);
    while let Some(reply) = told.recv().await {
        let mut line = serde_json::to_vec(&reply)?;
        line.push(b'\n');
        writer.write_all(&line).await?;
    }
    work.await.map_err(std::io::Error::other)
}

/// An error as the asker sees it.
pub fn failed(error: &Error) -> Reply {
    let input = matches!(error, Error::Input(_));
    Reply::Failed { input, reason: with_causes(error) }
}

/// Asks the daemon behind `socket`. `None`: no daemon listens there.
pub async fn call(socket: &Path, request: &Request, tell: &Tell) -> std::io::Result<Option<()>> {
    let stream = match UnixStream::connect(socket).await {
        Ok(stream) => stream,
        Err(error) if matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::ConnectionRefused) => {
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    let (reader, mut writer) = stream.into_split();
    let mut question = serde_json::to_vec(request)?;
    question.push(b'\n');
    writer.write_all(&question).await?;
    let mut lines = BufReader::new(reader).lines();
    let mut complete = false;
    while let Some(line) = lines.next_line().await? {
        let reply: Reply = serde_json::from_str(&line)?;
        complete = matches!(reply, Reply::Done(_) | Reply::Failed { .. });
        drop(tell.send(reply));
    }
    if complete {
        return Ok(Some(()));
    }
    Err(std::io::Error::new(std::io::ErrorKind::UnexpectedEof, "the daemon ended before its answer was complete"))
}
