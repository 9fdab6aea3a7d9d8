//! The whole loop on one device, step by step, with a question before each write.
//!
//! It is what a poll with closing and a delivery do, in one session; a write that nobody allowed ends its step, and
//! nothing of it is sent or recorded. Modes, reporters, holds and the rule of closing are the same.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use super::deliver::{failed, talk};
use super::entry::written;
use super::keep::keep_state;
use super::poll::{self, Polled, learn, look};
use super::writing::Writings;
use super::{Error, House};
use crate::config::Device;
use crate::device::{self, Driver, Proven, Session};
use crate::domain::delivery;
use crate::domain::event::{AnswerDelivered, Fact, Outcome, Write};
use crate::domain::fleet::{Answer, AnswerKey};
use crate::domain::instance::DeviceName;
use crate::domain::problem::with_causes;
use crate::domain::settings::{Mode, Reporter};

/// How long a person may think; then the answer is no. The device's session is kept alive meanwhile.
const PATIENCE: Duration = Duration::from_secs(300);

/// A write that waits for a person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    pub device: DeviceName,
    pub write: Write,
    /// Its command line or request.
    pub detail: String,
}

/// What the person says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Leave {
    Yes,
    No,
    /// To this write and to all that follow.
    All,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rehearsal {
    pub device: DeviceName,
    pub steps: Vec<Step>,
    /// Every write that was sent.
    pub written: Vec<Written>,
    /// Files of ours that stay on the device.
    pub left: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    pub step: StepName,
    pub ending: Ending,
    pub said: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StepName {
    /// Who is there, by which access, and the licensing state.
    Identify,
    List,
    /// Close or save, fetch, keep.
    Collect,
    /// Put, import, read back.
    Deliver,
    CleanUp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ending {
    Done,
    /// By the person who was asked.
    Declined,
    /// By mode, reporter, or because there was nothing to do.
    Skipped,
    Failed,
}

/// One write that was sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Written {
    pub write: Write,
    pub detail: String,
    /// Why it failed; it may have been done all the same.
    pub failure: Option<String>,
}

type Ask = Box<dyn Fn(Question) + Send + Sync>;

/// The person who is asked, and what was allowed.
pub struct Asking {
    device: DeviceName,
    ask: Ask,
    answers: mpsc::UnboundedReceiver<Leave>,
    /// Is the answer to every further question known?
    settled: Option<Leave>,
    written: Vec<Written>,
    /// Files of ours that earlier sessions left, and that stay.
    found: Vec<String>,
}

impl Asking {
    pub fn new(device: DeviceName, ask: Ask, answers: mpsc::UnboundedReceiver<Leave>) -> Self {
        Asking { device, ask, answers, settled: None, written: Vec::new(), found: Vec::new() }
    }

    /// Waits for leave. Whoever is gone, or says nothing for minutes, gives none any more.
    pub(super) async fn begins(&mut self, write: Write, detail: &str) -> Result<(), device::Error> {
        let leave = match self.settled {
            Some(settled) => settled,
            None => {
                (self.ask)(Question { device: self.device.clone(), write, detail: detail.to_owned() });
                let answer = tokio::time::timeout(PATIENCE, self.answers.recv()).await;
                let leave = answer.ok().flatten();
                match leave {
                    Some(Leave::All) => self.settled = Some(Leave::All),
                    None => self.settled = Some(Leave::No),
                    Some(Leave::Yes | Leave::No) => {}
                }
                leave.unwrap_or(Leave::No)
            }
        };
        match leave {
            Leave::Yes | Leave::All => {
                self.written.push(Written { write, detail: detail.to_owned(), failure: None });
                Ok(())
            }
            Leave::No => Err(device::Error::NoLeave { step: "ask for leave" }),
        }
    }

    pub(super) fn ended(&mut self, failure: Option<&device::Error>) {
        if let Some(last) = self.written.last_mut() {
            last.failure = failure.map(ToString::to_string);
        }
    }

    /// A file of ours that stays.
    fn found(&mut self, path: String) {
        if !self.found.contains(&path) {
            self.found.push(path);
        }
    }

    /// Files of ours that were begun, or found, and whose deletion did not come to a good end.
    fn left(&self) -> Vec<String> {
        let mut left: Vec<String> = self.found.clone();
        for written in &self.written {
            let Some(file) = own_file(&written.detail) else { continue };
            match (written.write, &written.failure) {
                (Write::SaveUsage | Write::SaveReport | Write::CopyFile, _) => {
                    left.retain(|kept| kept != file);
                    left.push(file.to_owned());
                }
                (Write::DeleteOwnFile, None) => left.retain(|kept| kept != file),
                (Write::DeleteOwnFile | Write::ImportFile | Write::CloseReports | Write::FetchReports, _) => {}
            }
        }
        left
    }
}

/// The path of a file of ours in a write's detail.
fn own_file(detail: &str) -> Option<&str> {
    detail.split_whitespace().find(|word| word.contains("slpc-") && word.ends_with(".xml"))
}

/// Rehearses one device; each step is told when it ends.
pub async fn rehearse(
    house: &House,
    device: &Device,
    mut asking: Asking,
    tell: impl Fn(Step),
) -> Result<Rehearsal, Error> {
    if !device.within_reach() {
        return Err(Error::Input(format!("'{}' has no way in: a person carries everything for it", device.name)));
    }
    let mut steps = Vec::new();
    let mut told = |step: StepName, ending: Ending, said: String| {
        let step = Step { step, ending, said };
        tell(step.clone());
        steps.push(step);
    };
    let _turn = house.turn(&device.name).await;
    let _first = house.first_login(device).await;
    if let Some(reason) = house.hold(device) {
        told(StepName::Identify, Ending::Failed, reason);
    } else {
        let mut proven = Proven::default();
        let ended = match Box::pin(house.session(device)).await {
            Err(error) => {
                told(StepName::Identify, Ending::Failed, error.to_string());
                Err(error)
            }
            Ok(mut session) => {
                let ended = Box::pin(steps_of(house, device, &mut session, &mut asking, &mut told)).await;
                proven = session.proven();
                session.close().await;
                ended?
            }
        };
        let now = house.clock.now();
        let facts = house.contact_facts(device, proven, ended.as_ref().err());
        if !facts.is_empty() {
            house.ledger.append_async(now, facts, Vec::new()).await?;
        }
        if ended.is_ok() {
            house.ledger.note_contacts_async(vec![(device.name.clone(), now)]).await?;
        }
    }
    let left = asking.left();
    Ok(Rehearsal { device: device.name.clone(), steps, written: asking.written, left })
}

/// The steps of an open session. The inner error is of the way to the device: what it costs its contact.
async fn steps_of(
    house: &House,
    device: &Device,
    session: &mut Driver,
    asking: &mut Asking,
    told: &mut impl FnMut(StepName, Ending, String),
) -> Result<Result<(), device::Error>, Error> {
    let seen = match look(house, session).await {
        Ok(seen) => seen,
        Err(error) => {
            told(StepName::Identify, Ending::Failed, error.to_string());
            return Ok(Err(error));
        }
    };
    house.logged_in(device);
    let mut polled = Polled::of(device);
    polled.tell(&seen);
    let learned = session.learned();
    let access = learned.access.unwrap_or(device.access);
    let who = match &seen.identity {
        Some(identity) => format!("{}, {} {}", identity.udi, identity.os, polled.software.clone().unwrap_or_default()),
        None => "it does not tell who it is".to_owned(),
    };
    told(StepName::Identify, Ending::Done, format!("{} by {access}", who.trim_end()));
    told(StepName::List, Ending::Done, format!("{} reports listed", seen.listed.len()));
    keep_state(house, device, &seen).await?;
    learn(house, device, polled.software.clone(), learned).await?;

    let mut trouble = Ok(());
    if device.mode < Mode::Collect || device.reporter != Reporter::Collector {
        let (mode, reporter) = (device.mode, device.reporter);
        let said = format!("mode is {mode}, and who reports is {reporter}: nothing is fetched or closed");
        told(StepName::Collect, Ending::Skipped, said);
    } else {
        let mut writings = Writings::asking(house, device, asking);
        // On the heap: the steps of a session are deep, and a worker's stack is not.
        let collecting = poll::collect(house, device, true, session, seen, &mut polled, &mut writings);
        let ended = Box::pin(collecting).await?;
        let kept = format!("{} reports kept{}", polled.collected, if polled.closed { ", closed" } else { "" });
        let remarks = polled.not_closed.iter().chain(&polled.problems).map(|remark| format!("; {remark}"));
        let kept = format!("{kept}{}", remarks.collect::<String>());
        match &ended {
            Ok(()) => told(StepName::Collect, Ending::Done, kept),
            Err(device::Error::NoLeave { .. }) => told(StepName::Collect, Ending::Declined, kept),
            Err(error) => told(StepName::Collect, Ending::Failed, format!("{error}; {kept}")),
        }
        if let Err(error) = ended {
            trouble = of_the_way(error);
        }
    }

    if trouble.is_ok() {
        trouble = Box::pin(deliveries(house, device, session, asking, told)).await?;
    }
    if trouble.is_ok() && device.mode >= Mode::Collect {
        trouble = Box::pin(leftovers(house, device, session, asking)).await?;
    }
    let left = asking.left();
    match left.is_empty() {
        true => told(StepName::CleanUp, Ending::Done, "no file of ours is left".to_owned()),
        false => told(StepName::CleanUp, Ending::Failed, format!("left on the device: {}", left.join(", "))),
    }
    if trouble.is_ok() {
        learn(house, device, polled.software, session.learned()).await?;
    }
    Ok(trouble)
}

/// Each file of ours that is still there, by this rehearsal or by the record: its deletion is offered.
async fn leftovers(
    house: &House,
    device: &Device,
    session: &mut Driver,
    asking: &mut Asking,
) -> Result<Result<(), device::Error>, Error> {
    let known = house.ledger.fleet().devices.get(&device.name).map(|known| (**known).clone()).unwrap_or_default();
    for file in written(&known).into_iter().filter(|file| !file.deleted) {
        let path = file.path();
        let mut writings = Writings::asking(house, device, asking);
        let ended = session.discard(&file, &mut writings).await;
        match writings.settle(ended)? {
            Ok(()) => {}
            Err(device::Error::NoLeave { .. }) => asking.found(path),
            Err(error @ device::Error::Unreachable { .. }) => {
                asking.found(path);
                return Ok(Err(error));
            }
            Err(_) => asking.found(path),
        }
    }
    Ok(Ok(()))
}

/// Each answer that waits for this device.
async fn deliveries(
    house: &House,
    device: &Device,
    session: &mut Driver,
    asking: &mut Asking,
    told: &mut impl FnMut(StepName, Ending, String),
) -> Result<Result<(), device::Error>, Error> {
    if device.mode < Mode::Deliver {
        told(StepName::Deliver, Ending::Skipped, format!("mode is {}: nothing is imported", device.mode));
        return Ok(Ok(()));
    }
    let waiting = waiting(house, device);
    if waiting.is_empty() {
        told(StepName::Deliver, Ending::Skipped, "no answer waits for it; see `ack list`".to_owned());
    }
    for (key, answer) in waiting {
        let bytes = match house.ledger.object(&key.object) {
            Ok(Some(bytes)) => bytes,
            Ok(None) => {
                told(StepName::Deliver, Ending::Failed, format!("{}: its bytes are gone from the ledger", answer.name));
                continue;
            }
            Err(error) => {
                told(StepName::Deliver, Ending::Failed, format!("{}: {}", answer.name, with_causes(&error)));
                continue;
            }
        };
        let mut writings = Writings::asking(house, device, asking);
        let ended = Box::pin(talk(house, device, &answer, &bytes, session, &mut writings)).await?;
        let (outcome, trouble) = match ended {
            Ok(outcome) => (outcome, Ok(())),
            // Nothing ended: the answer waits as before.
            Err(device::Error::NoLeave { .. }) => {
                told(StepName::Deliver, Ending::Declined, answer.name.clone());
                continue;
            }
            Err(error) => (failed(&error, true), of_the_way(error)),
        };
        let (ending, said) = match &outcome {
            Outcome::ConfirmedById => (Ending::Done, "read back: acknowledged, by id".to_owned()),
            Outcome::ConfirmedByTime => (Ending::Done, "read back: confirmed by time".to_owned()),
            Outcome::Unconfirmed => (Ending::Failed, "sent, but reading back shows no change".to_owned()),
            Outcome::AwaitingHandImport => {
                (Ending::Failed, "nothing carries a file there: a person must import it".to_owned())
            }
            Outcome::Failed { cause, .. } => (Ending::Failed, cause.clone()),
        };
        let (object, udi, device) = (key.object, key.udi, device.name.clone());
        let fact = AnswerDelivered { object, device, udi, outcome, found: false };
        house.ledger.append_async(house.clock.now(), vec![Fact::AnswerDelivered(fact)], Vec::new()).await?;
        told(StepName::Deliver, ending, format!("{}: {said}", answer.name));
        if trouble.is_err() {
            return Ok(trouble);
        }
    }
    Ok(Ok(()))
}

fn waiting(house: &House, device: &Device) -> Vec<(AnswerKey, Answer)> {
    let fleet = house.ledger.fleet();
    let (watched, now) = (house.watched(&device.name), house.clock.now());
    let instance = fleet.of_device(&device.name).into_iter();
    let open = instance.flat_map(|instance| fleet.answers_of(instance)).filter(|(_, answer)| !answer.is_settled());
    let due = open.filter(|(_, answer)| delivery::waits_for(&fleet, watched, answer, &house.settings, now).is_none());
    due.map(|(key, answer)| (key.clone(), answer.clone())).collect()
}

/// What a person declined says nothing of the device.
fn of_the_way(error: device::Error) -> Result<(), device::Error> {
    if matches!(error, device::Error::NoLeave { .. }) { Ok(()) } else { Err(error) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asking(answers: &[Leave]) -> Asking {
        let (say, heard) = mpsc::unbounded_channel();
        answers.iter().for_each(|answer| say.send(*answer).unwrap());
        Asking::new(DeviceName::from("edge-1"), Box::new(|_| {}), heard)
    }

    #[tokio::test]
    async fn who_is_gone_gives_no_leave() {
        let mut asking = asking(&[Leave::Yes]);
        assert!(asking.begins(Write::CloseReports, "POST /x").await.is_ok());
        for _ in 0..2 {
            let refused = asking.begins(Write::FetchReports, "GET /x").await;
            assert!(matches!(refused, Err(device::Error::NoLeave { .. })));
        }
        assert_eq!(asking.written.len(), 1);
    }

    #[tokio::test]
    async fn a_file_stays_until_it_is_deleted() {
        let mut asking = asking(&[Leave::All]);
        let (one, two) = ("bootflash:slpc-1.xml", "bootflash:slpc-2.xml");
        for (write, detail) in [
            (Write::SaveUsage, format!("license smart save usage all file {one}")),
            (Write::CopyFile, format!("ACK_1.txt 12 bytes to {two} over SSH")),
            (Write::DeleteOwnFile, format!("delete /force {one}")),
        ] {
            asking.begins(write, &detail).await.unwrap();
            asking.ended(None);
        }
        assert_eq!(asking.left(), [two]);
        asking.begins(Write::DeleteOwnFile, two).await.unwrap();
        asking.ended(Some(&device::Error::Ours { step: "x", cause: String::new() }));
        assert_eq!(asking.left(), [two]);
    }
}
