//! What a person can ask for, and how the question reaches the running daemon.
//!
//! [`Request`] is the one list of questions. [`execute`] answers them over a [`House`]; the
//! command line calls it directly when no daemon runs, and over the Unix socket when one does.
//! On the socket a question and each part of the answer are one line of JSON.

mod answers;
mod life;
mod question;
mod reckoning;
mod report_life;
pub mod reports;
mod socket;
mod upstreams;
mod violations;

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::config::Device;
use crate::domain::bundle::{self, Selection};
use crate::domain::digest::Sha256;
use crate::domain::event::{BundleHandedOver, CredentialReleased, Decider, Fact, TrustPinned};
use crate::domain::fleet::{Bundle, Fleet, HostKey};
use crate::domain::instance::{DeviceName, Site};
use crate::domain::plan::PollTask;
use crate::domain::problem::with_causes;
use crate::domain::settings::{Mode, Reporter, Trust};
use crate::domain::status::{self, Open, Register};
use crate::flow::by_hand::{self, Which};
use crate::flow::check;
use crate::flow::consumption;
use crate::flow::handover;
use crate::flow::outward;
use crate::flow::poll::{self, Ask, Polled};
use crate::flow::probe;
use crate::flow::published;
use crate::flow::record;
use crate::flow::rehearse::{self, Asking, Leave};
use crate::flow::submit;
use crate::flow::{Error, House, by_turns};

pub use life::SilenceLine;
pub use question::{AnswerLine, Answered, CredentialLine, DeviceSheet, Reply, Request, StatusQuery, TrustLine};
pub use report_life::ReportLife;
pub use reports::{ReportBytes, ReportLine};
pub use socket::{call, serve};
pub use upstreams::UpstreamLine;
pub use violations::{ViolationLine, ViolationQuery};

/// Where the parts of an answer go while they come.
pub type Tell = mpsc::UnboundedSender<Reply>;

/// What a person says to the questions that an answer brings up.
pub type Answers = mpsc::UnboundedReceiver<Leave>;

/// Answers one question; what comes on the way is told at once. Nobody answers questions of ours: that is a no.
pub async fn execute(house: &Arc<House>, request: Request, tell: &Tell) -> Result<Answered, Error> {
    let (_, nobody) = mpsc::unbounded_channel();
    execute_asking(house, request, tell, nobody).await
}

/// As [`execute`], with somebody who answers.
pub async fn execute_asking(
    house: &Arc<House>,
    request: Request,
    tell: &Tell,
    said: Answers,
) -> Result<Answered, Error> {
    match request {
        Request::Poll { devices, ask } => poll_many(house, devices, ask, tell).await,
        Request::Status(query) => {
            let tell = tell.clone();
            aside(house, move |house| rows(house, &query, &tell)).await.map(|()| Answered::Nothing)
        }
        Request::Devices => {
            let (query, tell) = (StatusQuery { devices_only: true, ..StatusQuery::default() }, tell.clone());
            aside(house, move |house| rows(house, &query, &tell)).await.map(|()| Answered::Nothing)
        }
        Request::Device { name } => sheet(house, &name).map(|sheet| Answered::Device(Box::new(sheet))),
        Request::Probe { name } => {
            let probed = Box::pin(probe::probe(house, known(house, &name)?)).await?;
            Ok(Answered::Probe(Box::new(probed)))
        }
        Request::Rehearse { name } => {
            let device = known(house, &name)?;
            let (asker, teller) = (tell.clone(), tell.clone());
            let ask = Box::new(move |question| drop(asker.send(Reply::Question(question))));
            let asking = Asking::new(name.clone(), ask, said);
            let tell = move |step| drop(teller.send(Reply::Step(step)));
            Box::pin(rehearse::rehearse(house, device, asking, tell)).await.map(Answered::Rehearsal)
        }
        Request::Record { name } => {
            Box::pin(record::record(house, known(house, &name)?)).await.map(Answered::Recording)
        }
        Request::Trust { devices, site, accept } => trust(house, devices, site, accept).await,
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
            aside(house, move |house| reports::reports(house, device.as_ref(), all)).await.map(Answered::Reports)
        }
        Request::Report { id } => aside(house, move |house| report_life::lives(house, id)).await.map(Answered::Report),
        Request::ReportBytes { ids, device } => {
            let tell = tell.clone();
            aside(house, move |house| reports::bytes_of(house, &ids, device.as_ref(), &tell)).await?;
            Ok(Answered::Nothing)
        }
        Request::CreateBundle { selection, close, tar, out, at } => {
            require_known(house, selection.site.as_ref())?;
            if close {
                let devices = selected_devices(house, &selection, at.unwrap_or_else(|| house.clock.now()));
                poll_each(house, devices, Ask { close: true, ..Ask::default() }, tell).await?;
            }
            aside(house, move |house| outward::create(house, &selection, tar, out, at)).await.map(Answered::Made)
        }
        Request::Bundles => Ok(Answered::Bundles(house.ledger.fleet().bundles.clone())),
        Request::Bundle { id } => {
            let fleet = house.ledger.fleet();
            let bundle = find_bundle(&fleet, &id)?;
            Ok(Answered::Bundles(BTreeMap::from([(bundle.facts.bundle_id.clone(), bundle.clone())])))
        }
        Request::HandOver { id, at, note } => {
            let now = house.clock.now();
            require_note(&note, "who took it, and where to")?;
            let bundle_id = find_bundle(&house.ledger.fleet(), &id)?.facts.bundle_id.clone();
            let handed_over = at.unwrap_or(now);
            if handed_over > now {
                return Err(Error::Input(format!("{handed_over} is still to come: record it when it has left")));
            }
            let fact = BundleHandedOver { bundle_id: bundle_id.clone(), handed_over, note };
            house.ledger.append_async(now, vec![Fact::BundleHandedOver(fact)], Vec::new()).await?;
            let bundle = find_bundle(&house.ledger.fleet(), &bundle_id)?.clone();
            Ok(Answered::Bundles(BTreeMap::from([(bundle_id, bundle)])))
        }
        Request::Upstreams => Ok(Answered::Upstreams(upstreams::lines(house))),
        Request::CheckUpstream { upstream } => {
            check::check(house, &upstream).await.map(|checked| Answered::Checked(Box::new(checked)))
        }
        Request::Submit { upstream, dry_run: true } => {
            aside(house, move |house| submit::rehearsed(house, &upstream)).await.map(Answered::Passed)
        }
        Request::Submit { upstream, dry_run: false } => {
            submit::pass(house, &upstream, true).await.map(Answered::Passed)
        }
        Request::ImportAnswers { files, deliver } => answers::import(house, files, deliver, tell).await,
        Request::ImportReports { files, device } => answers::import_reports(house, files, device, tell).await,
        Request::Answers => Ok(Answered::Answers(answers::list(house))),
        Request::AssignAnswer { object, devices, note } => {
            require_note(&note, "how it is known whose it is")?;
            answers::assign(house, object, devices, note, tell).await.map(Answered::Answers)
        }
        Request::ExportAnswers { site, out } => {
            require_known(house, Some(&site))?;
            aside(house, move |house| by_hand::export(house, &site, out)).await.map(Answered::Exported)
        }
        Request::ConfirmAnswers { which, at, note } => {
            if let Which::Site(site) = &which {
                require_known(house, Some(site))?;
            }
            let keys = aside(house, move |house| by_hand::confirm(house, &which, at, note)).await?;
            Ok(Answered::Answers(answers::of_keys(house, &keys)))
        }
        Request::Violations(query) => {
            let list = move |house: &House| {
                require_known(house, query.site.as_ref())?;
                Ok(violations::list(house, &query))
            };
            aside(house, list).await.map(Answered::Violations)
        }
        Request::Violation { id } => {
            let line = aside(house, move |house| violations::show(house, &id)).await?;
            Ok(Answered::Violations(vec![line]))
        }
        Request::AcknowledgeViolation { id, note, until } => {
            let line = aside(house, move |house| violations::acknowledge(house, &id, note, until)).await?;
            Ok(Answered::Violations(vec![line]))
        }
        Request::Retire { whom, note } => life::retire(house, &whom, note).await,
        Request::Replace { old, new, note } => life::replace(house, &old, &new, note).await,
        Request::OnPrem => Ok(life::on_prem(house)),
        Request::OnPremSynced { name, at, note } => life::synced(house, &name, at, note).await,
        Request::Silences { all } => Ok(life::silences(house, all)),
        Request::AddSilence { covers, from, until, note } => life::silence(house, covers, from, until, note).await,
        Request::EndSilence { id } => life::end_silence(house, &id).await,
        Request::Backup { file } => {
            aside(house, move |house| Ok(house.ledger.backup(&file)?)).await.map(Answered::Backup)
        }
        Request::Monitor(thresholds) => {
            aside(house, move |house| Ok(reckoning::monitor(house, thresholds))).await.map(Answered::Health)
        }
        Request::Forecast { days } => {
            aside(house, move |house| Ok(reckoning::forecast(house, days))).await.map(Answered::Weeks)
        }
        Request::Evidence { from, to, account } => {
            let evidence = aside(house, move |house| reckoning::evidence(house, from, to, account)).await?;
            Ok(Answered::Evidence(Box::new(evidence)))
        }
        Request::CreateSnapshot(asked) => {
            let snapped = aside(house, move |house| consumption::create(house, &asked)).await?;
            Ok(Answered::Snapshot(Box::new(snapped)))
        }
        Request::PublishSnapshot { as_of } => {
            let publish = move |house: &House| published::publish(house, as_of.unwrap_or_else(|| house.clock.now()));
            aside(house, publish).await.map(Answered::Published)
        }
        Request::PostSnapshots { snapshot } => {
            aside(house, move |house| handover::ask(house, snapshot.as_deref())).await?;
            let taken = handover::pass(house).await?;
            aside(house, move |house| Ok(handover::lines(house, &taken))).await.map(Answered::Handovers)
        }
        Request::Snapshots { folder } => {
            aside(house, move |house| consumption::list(house, folder)).await.map(Answered::Snapshots)
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
    work.await.unwrap_or_else(|panic| Err(Error::Internal(format!("ended abnormally: {panic}"))))
}

/// Polls the devices named; none named: all that can be reached.
async fn poll_many(house: &Arc<House>, names: Vec<DeviceName>, ask: Ask, tell: &Tell) -> Result<Answered, Error> {
    if let Some(unknown) = names.iter().find(|name| house.device(name).is_none()) {
        return Err(Error::Input(format!("no device '{unknown}' in the inventory")));
    }
    let all = || house.watched.iter().filter(|watched| watched.within_reach).map(|watched| watched.name.clone());
    let ask = Ask { insist: !names.is_empty(), ..ask };
    let names = if names.is_empty() { all().collect() } else { names };
    poll_each(house, names, ask, tell).await
}

async fn poll_each(house: &Arc<House>, names: Vec<DeviceName>, ask: Ask, tell: &Tell) -> Result<Answered, Error> {
    drop(tell.send(Reply::Total(names.len())));
    let site = |name: &DeviceName| house.device(name).map(|device| device.site.clone());
    let mut names = by_turns(names, site).into_iter();
    let mut running = JoinSet::new();
    loop {
        while running.len() < house.config.poll.concurrency
            && let Some(name) = names.next()
        {
            let house = house.clone();
            running.spawn(async move {
                let device = house.device(&name).expect("names are of the inventory");
                poll::poll(&house, device, ask).await
            });
        }
        match running.join_next().await {
            None => return Ok(Answered::Nothing),
            Some(Ok(polled)) => drop(tell.send(Reply::Polled(polled?))),
            Some(Err(panic)) => return Err(Error::Internal(format!("a poll ended abnormally: {panic}"))),
        }
    }
}

/// Polls what a plan says; used by the daemon.
pub async fn poll_task(house: &House, task: &PollTask) -> Result<Option<Polled>, Error> {
    let (Some(device), Some(watched)) = (house.device(&task.device), house.watched(&task.device)) else {
        return Ok(None);
    };
    // It may have waited for a place until its window closed.
    let close = task.close && watched.windows.contains(house.clock.now());
    poll::poll(house, device, Ask { close, ..Ask::default() }).await.map(Some)
}

/// Tells the rows of the register.
fn rows(house: &House, query: &StatusQuery, tell: &Tell) -> Result<(), Error> {
    let now = house.clock.now();
    let at = query.at.unwrap_or(now);
    if at >= now {
        tell_rows(house, &house.ledger.fleet(), query, (at, now), tell);
        return Ok(());
    }
    let mut fleet = house.ledger.fleet_at(at)?;
    // The fold keeps no contacts; what was learned at an instant was learned by contact.
    let seen = fleet
        .instances
        .values()
        .filter_map(|instance| Some((instance.device.clone()?, instance.state_read.max(instance.last_collected)?)));
    fleet.contacts = seen.collect();
    tell_rows(house, &fleet, query, (at, at), tell);
    Ok(())
}

/// Some at a time, so that one side reads them while the other makes the next. Nobody who reads slowly holds up the
/// fleet: what he has not read waits for him in memory.
fn tell_rows(house: &House, fleet: &Fleet, query: &StatusQuery, (at, now): (Timestamp, Timestamp), tell: &Tell) {
    const AT_ONCE: usize = 1000;
    let mut register = Register::of(fleet, &house.watched, &house.settings, at, now);
    if query.retired {
        register = register.with_retired();
    }
    let within = query.due_within.and_then(|within| at.checked_add(within).ok());
    register.retain(|entry| {
        query.site.as_ref().is_none_or(|site| *site == entry.site())
            && query.state.is_none_or(|state| state == entry.state)
            && within.is_none_or(|within| entry.due.is_some_and(|due| due <= within))
            && !(query.devices_only && entry.is_on_prem())
    });
    for rows in register.chunks(AT_ONCE) {
        if tell.send(Reply::Rows(rows)).is_err() {
            break;
        }
    }
}

fn known<'h>(house: &'h House, name: &DeviceName) -> Result<&'h Device, Error> {
    house.device(name).ok_or_else(|| Error::Input(format!("no device '{name}' in the inventory")))
}

fn sheet(house: &House, name: &DeviceName) -> Result<DeviceSheet, Error> {
    let device = known(house, name)?;
    let now = house.clock.now();
    let fleet = house.ledger.fleet();
    let instance = fleet.of_device(name);
    let watched = house.watched(name);
    Ok(DeviceSheet {
        row: status::row(&fleet, &Open::of(&fleet, now), instance, watched, &house.settings, now, now),
        address: device.authority(),
        credential: device.credential.as_deref().map(str::to_owned),
        trust: device.trust.to_string(),
        windows: watched.filter(|watched| !watched.windows.is_empty()).map(|watched| watched.windows.to_string()),
        known: fleet.devices.get(name).map(|known| (**known).clone()).unwrap_or_default(),
        instance: instance.cloned(),
    })
}

/// Shows certificates that wait for a person, and pins those that were shown and accepted.
async fn trust(
    house: &House,
    names: Vec<DeviceName>,
    site: Option<Site>,
    accept: Vec<(DeviceName, Sha256)>,
) -> Result<Answered, Error> {
    for name in &names {
        let Some(device) = house.device(name) else {
            return Err(Error::Input(format!("no device '{name}' in the inventory")));
        };
        if device.trust != Trust::Learn {
            let trust = device.trust;
            return Err(Error::Input(format!("trust of '{name}' is {trust}: its pin or CA stands in the inventory")));
        }
    }
    require_known(house, site.as_ref())?;
    let (mut lines, mut facts) = (Vec::new(), Vec::new());
    {
        let fleet = house.ledger.fleet();
        let in_site = |device: &Device| site.as_ref() == Some(&device.site) && device.trust == Trust::Learn;
        for (name, known) in &fleet.devices {
            let waits = known.refused_pin.is_some() || known.refused_host_key.is_some();
            let of_site = waits && house.device(name).is_some_and(in_site);
            if !names.contains(name) && !of_site {
                continue;
            }
            let host_key =
                |key: &Option<Box<HostKey>>| key.as_ref().map(|key| (key.fingerprint, Some(key.key_type.clone())));
            let keys = [
                (known.pin.map(|pin| (pin, None)), known.refused_pin.as_deref().map(|shown| (*shown, None))),
                (host_key(&known.host_key), host_key(&known.refused_host_key)),
            ];
            for (pinned, presented) in keys.into_iter().filter(|(pinned, shown)| pinned.is_some() || shown.is_some()) {
                // Only what a person saw: it may show yet another one by now.
                let accepted = presented.as_ref().is_some_and(|(shown, _)| accept.contains(&(name.clone(), *shown)));
                if let (true, Some((fingerprint, key_type))) = (accepted, presented.clone()) {
                    let (device, by) = (name.clone(), Decider::Operator);
                    facts.push(Fact::TrustPinned(TrustPinned { device, fingerprint, key_type, by }));
                }
                let key_type = presented.as_ref().or(pinned.as_ref()).and_then(|(_, key_type)| key_type.clone());
                let [pinned, presented] = [pinned, presented].map(|key| key.map(|(fingerprint, _)| fingerprint));
                lines.push(TrustLine { device: name.clone(), key_type, pinned, presented, accepted });
            }
        }
    }
    if !facts.is_empty() {
        house.ledger.append_async(house.clock.now(), facts, Vec::new()).await?;
    }
    Ok(Answered::Trust(lines))
}

fn credentials(house: &House) -> BTreeMap<String, CredentialLine> {
    let fleet = house.ledger.fleet();
    let line = |(name, credential): (&String, &crate::secret::Credential)| {
        let known = fleet.credentials.get(name).cloned().unwrap_or_default();
        let refused = known.refused_by.len() >= house.settings.credential_hold_after;
        let held = refused || !known.refused_by_upstreams.is_empty();
        (name.clone(), CredentialLine { username: credential.username.clone(), held, known })
    };
    house.config.credentials.iter().map(line).collect()
}

/// What a person says is on record for years; nobody can ask then.
fn require_note(note: &str, says: &str) -> Result<(), Error> {
    if note.trim().is_empty() {
        return Err(Error::Input(format!("a note is needed: {says}")));
    }
    Ok(())
}

/// Is the site configured, or was something ever there? Else its name is a slip.
fn require_known(house: &House, site: Option<&Site>) -> Result<(), Error> {
    let Some(site) = site else { return Ok(()) };
    let configured = house.config.sites.contains_key(site);
    if configured || house.ledger.fleet().instances.values().any(|instance| instance.site == *site) {
        return Ok(());
    }
    Err(Error::Input(format!("no site '{site}' in the configuration, and nothing is known of one")))
}

/// The devices whose reports a selection would take, and may be closed for it.
fn selected_devices(house: &House, selection: &Selection, at: Timestamp) -> Vec<DeviceName> {
    let fleet = house.ledger.fleet();
    let taken = house.watched.iter().filter(|watched| {
        let instance = fleet.of_device(&watched.name);
        let account = bundle::account(Some(watched), instance);
        watched.within_reach
            && watched.reporter == Reporter::Collector
            && watched.mode >= Mode::Collect
            && selection.covers(&watched.site, &account)
            && selection.hurries(instance, Some(watched), &house.settings, at)
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

/// An error as the asker sees it.
pub fn failed(error: &Error) -> Reply {
    let input = matches!(error, Error::Input(_));
    Reply::Failed { input, reason: with_causes(error) }
}
