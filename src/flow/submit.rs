//! Outward and homeward by an upstream's API: what is owed is submitted, the answer is asked for and taken home.
//!
//! A submission is on record before its request is made, so that nothing is in doubt after a crash but whether it arrived;
//! offering it again tells. What it becomes is on record after.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::homeward::{self, TakenAs};
use super::outward::random;
use super::{Error, House};
use crate::config::Upstream;
use crate::domain::digest::Sha256;
use crate::domain::event::{BundledReport, Fact, Progress, ReportsSubmitted, SubmissionMoved, UpstreamRefused};
use crate::domain::fleet::Submission;
use crate::domain::instance::{Account, Udi};
use crate::domain::pacing::Setback;
use crate::domain::problem::with_causes;
use crate::domain::report::{ReportId, read};
use crate::domain::submission::{self, Gate};
use crate::upstream::cssm::{self, Ids, Polled, Reported, Session, Token, Usage};
use crate::upstream::{self, cssm::SmartAccount};

/// One request holds reports of so many bytes at most. What the server takes is not published; this is ours.
const UPLOAD: usize = 2 << 20;
/// A report that cannot be offered is looked at again after this.
const PUT_OFF: SignedDuration = SignedDuration::from_hours(24);

/// The turn of one upstream, and its token.
pub(super) type Pass = Arc<tokio::sync::Mutex<Option<Token>>>;

/// What one pass at an upstream came to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Passed {
    pub upstream: String,
    pub submissions: Vec<Line>,
    /// What was not offered, each with the reason.
    pub left_out: Vec<String>,
    /// Why it ended early, and what a person can do.
    pub failure: Option<String>,
}

/// A submission, or what would be one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// `None`: nothing was sent.
    pub submission: Option<String>,
    #[serde(flatten)]
    pub account: Account,
    pub instances: usize,
    pub reports: usize,
    pub outcome: String,
}

/// Why a pass ended.
pub(super) enum Stopped {
    There(upstream::Error),
    Here(Error),
}

impl From<upstream::Error> for Stopped {
    fn from(error: upstream::Error) -> Self {
        Stopped::There(error)
    }
}

impl From<Error> for Stopped {
    fn from(error: Error) -> Self {
        Stopped::Here(error)
    }
}

/// A report before its bytes are read.
#[derive(Clone, Debug)]
struct Piece {
    udi: Udi,
    report_id: ReportId,
    object: Sha256,
    payload_sha256: Sha256,
}

/// What is due, apart from the fold.
#[derive(Debug, Default)]
struct Due {
    ask: Vec<Submission>,
    offer: BTreeMap<Account, Vec<Piece>>,
    homeless: usize,
}

impl Due {
    fn of(house: &House, gate: &Gate, insist: bool) -> Due {
        let (lately, now) = (house.lately(|lately| lately.clone()), house.clock.now());
        let fleet = house.ledger.fleet();
        let due = submission::due(&fleet, &house.watched, gate, &lately, &house.settings, insist, now);
        let piece = |owed: &crate::domain::fleet::OwedReport| Piece {
            udi: owed.udi.clone(),
            report_id: owed.report_id,
            object: owed.object,
            payload_sha256: owed.payload_sha256,
        };
        let offer = due.offer.into_iter();
        Due {
            ask: due.ask.into_iter().cloned().collect(),
            offer: offer.map(|(account, owed)| (account, owed.into_iter().map(piece).collect())).collect(),
            homeless: due.homeless,
        }
    }

    /// What a person should know of reports that go nowhere. The daemon does not say it at every pass.
    fn left_out(&self) -> Option<String> {
        (self.homeless > 0).then(|| {
            format!("{} reports of devices whose Smart Account nobody knows; the inventory can say it", self.homeless)
        })
    }
}

/// Asks for answers that are due and submits what is owed. With `insist` a person asks: no wait is kept to.
pub async fn pass(house: &Arc<House>, name: &str, insist: bool) -> Result<Passed, Error> {
    let (upstream, gate) = known(house, name)?;
    if insist && !gate.submit {
        return Err(Error::Input(format!(
            "nothing is sent to '{name}': write submit = true in [upstreams.{name}] first"
        )));
    }
    let turn = house.pass(name);
    let mut token = turn.lock().await;
    let mut passed = Passed { upstream: name.to_owned(), ..Passed::default() };
    if let Some(reason) = held(house, gate) {
        passed.failure = Some(reason);
        return Ok(passed);
    }
    let due = Due::of(house, gate, insist);
    passed.left_out.extend(due.left_out().filter(|_| insist));
    if due.ask.is_empty() && due.offer.is_empty() {
        return Ok(passed);
    }
    let talk = talk(house, name, upstream, &mut token, due, &mut passed).await;
    passed.failure = ended(house, name, talk).await?;
    Ok(passed)
}

/// What a pass would submit, and whose answers it would ask for; nothing is sent.
pub fn rehearsed(house: &House, name: &str) -> Result<Passed, Error> {
    let (_, gate) = known(house, name)?;
    let gate = &Gate { submit: true, ..gate.clone() };
    let due = Due::of(house, gate, true);
    let left_out = due.left_out().into_iter().collect();
    let asked = due.ask.iter().map(|submission| {
        let reports = submission.facts.reports.iter().map(|report| &report.udi);
        let account = submission.facts.account.clone();
        let id = submission.facts.submission.clone();
        line(Some(id), account, reports, "its answer would be asked for".to_owned())
    });
    let offered = due.offer.iter().map(|(account, pieces)| {
        let reports = pieces.iter().map(|piece| &piece.udi);
        line(None, account.clone(), reports, "would be submitted".to_owned())
    });
    let submissions = asked.chain(offered).collect();
    Ok(Passed { upstream: name.to_owned(), submissions, left_out, failure: held(house, gate) })
}

pub(super) fn known<'h>(house: &'h House, name: &str) -> Result<(&'h Upstream, &'h Gate), Error> {
    let upstream = house.config.upstreams.get(name);
    let gate = house.settings.gates.iter().find(|gate| gate.upstream == name);
    upstream.zip(gate).ok_or_else(|| Error::Input(format!("no upstream '{name}' in the configuration")))
}

pub(super) fn held(house: &House, gate: &Gate) -> Option<String> {
    submission::hold(&house.ledger.fleet(), gate, house.settings.credential_hold_after)
}

impl House {
    pub(super) fn pass(&self, name: &str) -> Pass {
        self.between.passes.lock().expect("no panic while it is held").entry(name.to_owned()).or_default().clone()
    }
}

/// Takes note of how a pass ended; answers what a person is told of it.
pub(super) async fn ended(house: &House, name: &str, how: Result<(), Stopped>) -> Result<Option<String>, Error> {
    let error = match how {
        Ok(()) => {
            house.lately(|lately| (lately.setbacks.remove(name), lately.troubles.remove(name)));
            return Ok(None);
        }
        Err(Stopped::Here(error)) => return Err(error),
        Err(Stopped::There(error)) => error,
    };
    let (now, told) = (house.clock.now(), format!("{}; {}", with_causes(&error), error.remedy()));
    house.lately(|lately| {
        let before = lately.setbacks.get(name).copied();
        lately.setbacks.insert(name.to_owned(), Setback::again(before, now));
        lately.troubles.insert(name.to_owned(), told.clone());
    });
    if let upstream::Error::CredentialRefused { credential, .. } = &error {
        let fact = UpstreamRefused { credential: credential.clone(), upstream: name.to_owned() };
        house.ledger.append_async(now, vec![Fact::UpstreamRefused(fact)], Vec::new()).await?;
    }
    Ok(Some(told))
}

async fn talk(
    house: &Arc<House>,
    name: &str,
    upstream: &Upstream,
    token: &mut Option<Token>,
    due: Due,
    passed: &mut Passed,
) -> Result<(), Stopped> {
    let mut session = Session::open(upstream, token).await?;
    let accounts = session.accounts().await?;
    let mut unheard = None;
    for submission in due.ask {
        let asked = ask(house, &mut session, &accounts, &submission, passed).await;
        // One answer that cannot be had, its id being forgotten there say, keeps nothing else back.
        match asked {
            Err(Stopped::There(error @ (upstream::Error::Refused { .. } | upstream::Error::Misbehaved { .. }))) => {
                let id = submission.facts.submission;
                passed.left_out.push(format!("the answer to {id}: {error}"));
                house.lately(|lately| lately.asked.insert(id, later(house.clock.now(), Duration::from_secs(3600))));
                unheard.get_or_insert(error);
            }
            other => other?,
        }
    }
    for (account, pieces) in due.offer {
        match cssm::ids(&accounts, &account) {
            Ok(ids) => {
                let mut offering = Offering { house, name, session: &mut session, account, ids, passed };
                offering.all(pieces).await?;
            }
            Err(reason) => {
                let count = pieces.len();
                passed.left_out.push(format!("{count} reports: {reason}"));
                put_off(house, &pieces);
            }
        }
    }
    unheard.map_or(Ok(()), |error| Err(error.into()))
}

fn put_off(house: &House, pieces: &[Piece]) {
    let at = house.clock.now().checked_add(PUT_OFF).unwrap_or(Timestamp::MAX);
    let keys = pieces.iter().map(|piece| ((piece.udi.clone(), piece.report_id), at));
    house.lately(|lately| lately.put_off.extend(keys));
}

/// Reports of one account on their way.
struct Offering<'a, 's> {
    house: &'a Arc<House>,
    name: &'a str,
    session: &'a mut Session<'s>,
    account: Account,
    ids: Ids,
    passed: &'a mut Passed,
}

/// A report with its bytes.
type Loaded = (Piece, String);

impl Offering<'_, '_> {
    async fn all(&mut self, pieces: Vec<Piece>) -> Result<(), Stopped> {
        let mut pieces = VecDeque::from(pieces);
        while !pieces.is_empty() {
            let house = self.house.clone();
            let loading = tokio::task::spawn_blocking(move || {
                let (loaded, unfit) = load(&house, &mut pieces);
                (pieces, loaded, unfit)
            });
            let (rest, loaded, unfit) = loading.await.map_err(|panic| Error::Internal(panic.to_string()))?;
            pieces = rest;
            for (piece, cause) in unfit {
                self.passed.left_out.push(format!("report {} of {}: {cause}", piece.report_id, piece.udi));
                put_off(self.house, &[piece]);
            }
            let mut parts = vec![loaded];
            while let Some(part) = parts.pop() {
                if !part.is_empty() {
                    parts.extend(self.offer(part).await?);
                }
            }
        }
        Ok(())
    }

    /// Offers these together; answers the parts in which they are to be offered anew.
    async fn offer(&mut self, part: Vec<Loaded>) -> Result<Vec<Vec<Loaded>>, Stopped> {
        let now = self.house.clock.now();
        let submission = format!("sub-{}", random(8)?);
        let nonce = random(8)?;
        let sent = |(piece, _): &Loaded| BundledReport {
            udi: piece.udi.clone(),
            report_id: piece.report_id,
            payload_sha256: piece.payload_sha256,
        };
        let fact = ReportsSubmitted {
            submission: submission.clone(),
            upstream: self.name.to_owned(),
            account: self.account.clone(),
            nonce: nonce.clone(),
            reports: part.iter().map(sent).collect(),
        };
        // What was offered before this, and may have arrived.
        let doubtful: Vec<bool> = {
            let fleet = self.house.ledger.fleet();
            let unanswered = submission::unanswered(&fleet, self.name);
            part.iter().map(|(piece, _)| unanswered.contains(&(&piece.udi, piece.report_id))).collect()
        };
        let fact = Fact::ReportsSubmitted(Box::new(fact));
        self.house.ledger.append_async(now, vec![fact], Vec::new()).await.map_err(Error::from)?;

        let answered = self.session.report(&self.ids, now, &nonce, &usage(&part)).await;
        let again = |cause: String, unanswered| Progress::Failed { cause, again: true, unanswered };
        let (progress, parts, stopped) = match answered {
            Ok(Reported::Accepted { poll_id, wait }) => {
                (Progress::Accepted { poll_id, ask: later(self.house.clock.now(), wait) }, Vec::new(), None)
            }
            Ok(Reported::Failed { said, duplicate: true })
                if part.len() == 1 || doubtful.iter().all(|known| *known) =>
            {
                (Progress::Duplicate { said }, Vec::new(), None)
            }
            Ok(Reported::Failed { said, duplicate: false }) if part.len() == 1 => {
                (Progress::Failed { cause: said, again: false, unanswered: false }, Vec::new(), None)
            }
            // One of them keeps the others back: smaller parts tell which.
            Ok(Reported::Failed { said, .. }) => (again(said, false), split(&part, &doubtful), None),
            Err(error @ upstream::Error::TooLarge { .. }) if part.len() > 1 => {
                (again(error.to_string(), false), split(&part, &[]), None)
            }
            Err(error) => (again(error.to_string(), error.may_have_arrived()), Vec::new(), Some(error)),
        };
        let instances = part.iter().map(|(piece, _)| &piece.udi);
        let told = line(Some(submission.clone()), self.account.clone(), instances, progress.to_string());
        self.passed.submissions.push(told);
        moved(self.house, submission, progress).await?;
        match stopped {
            Some(error) => Err(error.into()),
            None => Ok(parts),
        }
    }
}

/// The first reports up to the size of a request, with their bytes; and those that must not leave, with the reason.
fn load(house: &House, pieces: &mut VecDeque<Piece>) -> (Vec<Loaded>, Vec<(Piece, String)>) {
    let read = |piece: &Piece| -> Result<String, String> {
        let raw = house.ledger.object(&piece.object).map_err(|error| with_causes(&error))?;
        let raw = raw.ok_or("its bytes are gone from the ledger")?;
        let text = String::from_utf8(raw).map_err(|error| error.to_string())?;
        let report = read::report(&text).map_err(|error| error.to_string())?;
        if report.form != read::ReportForm::Signed {
            return Err("it carries no signature".to_owned());
        }
        if report.facts.payload_sha256 != piece.payload_sha256 {
            return Err("its payload is not the one that was kept".to_owned());
        }
        Ok(text)
    };
    let (mut loaded, mut unfit, mut size) = (Vec::new(), Vec::new(), 0);
    while let Some(piece) = pieces.pop_front() {
        match read(&piece) {
            Ok(text) if !loaded.is_empty() && size + cssm::size(&text) > UPLOAD => {
                pieces.push_front(piece);
                break;
            }
            Ok(text) => {
                size += cssm::size(&text);
                loaded.push((piece, text));
            }
            Err(cause) => unfit.push((piece, cause)),
        }
    }
    (loaded, unfit)
}

/// Reports by the chassis that signed them.
fn usage(part: &[Loaded]) -> Vec<Usage<'_>> {
    let mut by_chassis: BTreeMap<&Udi, Vec<&str>> = BTreeMap::new();
    for (piece, text) in part {
        by_chassis.entry(&piece.udi).or_default().push(text);
    }
    by_chassis.into_iter().map(|(udi, reports)| Usage { udi, reports }).collect()
}

/// Two smaller parts: those that may be there already and the others, or else halves.
fn split(part: &[Loaded], doubtful: &[bool]) -> Vec<Vec<Loaded>> {
    let (mut known, mut fresh) = (Vec::new(), Vec::new());
    for (at, loaded) in part.iter().enumerate() {
        let side = if doubtful.get(at).copied().unwrap_or(false) { &mut known } else { &mut fresh };
        side.push(loaded.clone());
    }
    if known.is_empty() || fresh.is_empty() {
        let (left, right) = part.split_at(part.len() / 2);
        (known, fresh) = (left.to_vec(), right.to_vec());
    }
    vec![known, fresh]
}

/// Asks for one answer, and takes home what came.
async fn ask(
    house: &Arc<House>,
    session: &mut Session<'_>,
    accounts: &[SmartAccount],
    submission: &Submission,
    passed: &mut Passed,
) -> Result<(), Stopped> {
    let facts = &submission.facts;
    let Some(Progress::Accepted { poll_id, .. }) = submission.progress else { return Ok(()) };
    let id = || facts.submission.clone();
    let ids = match cssm::ids(accounts, &facts.account) {
        Ok(ids) => ids,
        Err(reason) => {
            passed.left_out.push(format!("the answer to {}: {reason}", facts.submission));
            house.lately(|lately| lately.asked.insert(id(), later(house.clock.now(), Duration::from_secs(3600))));
            return Ok(());
        }
    };
    let progress = match session.poll(&ids, house.clock.now(), &facts.nonce, poll_id).await? {
        Polled::Working { wait } => {
            house.lately(|lately| lately.asked.insert(id(), later(house.clock.now(), wait)));
            let told = "its answer is not ready".to_owned();
            let instances = facts.reports.iter().map(|report| &report.udi);
            passed.submissions.push(line(Some(id()), facts.account.clone(), instances, told));
            return Ok(());
        }
        // It took the reports, so that a second offer may be called a duplicate.
        Polled::Failed { said } => Progress::Failed { cause: said, again: true, unanswered: true },
        Polled::Complete(all) => {
            let mut files = Vec::new();
            for (at, one) in all.into_iter().enumerate() {
                let name = match &one.udi {
                    Some(udi) => format!("ACK_{}", submission.upload_name(udi)),
                    None => format!("ACK_{}_{at}.xml", facts.submission),
                };
                match one.file {
                    Ok(bytes) => files.push((name, bytes)),
                    Err(reason) => passed.left_out.push(format!("{name}: {reason}")),
                }
            }
            take(house, files, passed).await?;
            Progress::Answered
        }
    };
    let mut told = progress.to_string();
    if progress == Progress::Answered {
        let fleet = house.ledger.fleet();
        let answered = fleet.submissions.get(&facts.submission).map(|known| &known.answered);
        let lacks = |report: &&BundledReport| {
            answered.is_none_or(|answered| !answered.contains(&(report.udi.clone(), report.report_id)))
        };
        let missing: Vec<String> =
            facts.reports.iter().filter(lacks).map(|one| format!("{} of {}", one.report_id, one.udi)).collect();
        if let Some(first) = missing.first() {
            told = format!("answered, but not for {} of {} reports: {first} …", missing.len(), facts.reports.len());
        }
    }
    let instances = facts.reports.iter().map(|report| &report.udi);
    passed.submissions.push(line(Some(id()), facts.account.clone(), instances, told));
    house.lately(|lately| lately.asked.remove(&facts.submission));
    Ok(moved(house, id(), progress).await?)
}

/// Acknowledgements go the way of every answer.
async fn take(house: &Arc<House>, files: Vec<(String, Vec<u8>)>, passed: &mut Passed) -> Result<(), Stopped> {
    let own = house.clone();
    let taking = tokio::task::spawn_blocking(move || homeward::import(&own, files));
    for taken in taking.await.map_err(|panic| Error::Internal(panic.to_string()))?? {
        match taken.result {
            TakenAs::Accepted | TakenAs::Known => {}
            TakenAs::Quarantined(reason) => passed.left_out.push(format!("{} is in quarantine: {reason}", taken.name)),
            TakenAs::Unreadable(reason) => passed.left_out.push(format!("{} cannot be read: {reason}", taken.name)),
        }
    }
    Ok(())
}

async fn moved(house: &House, submission: String, progress: Progress) -> Result<(), Error> {
    let fact = Fact::SubmissionMoved(SubmissionMoved { submission, progress });
    Ok(house.ledger.append_async(house.clock.now(), vec![fact], Vec::new()).await?)
}

fn line<'a>(
    submission: Option<String>,
    account: Account,
    udis: impl Iterator<Item = &'a Udi>,
    outcome: String,
) -> Line {
    let udis: Vec<&Udi> = udis.collect();
    let instances = udis.iter().collect::<std::collections::BTreeSet<_>>().len();
    Line { submission, account, instances, reports: udis.len(), outcome }
}

fn later(now: Timestamp, wait: Duration) -> Timestamp {
    SignedDuration::try_from(wait).ok().and_then(|wait| now.checked_add(wait).ok()).unwrap_or(Timestamp::MAX)
}
