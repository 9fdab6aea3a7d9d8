//! What runs in the background, planned out of what is known and awaited at the end.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::LOOK;
use super::check::{Check, Checking};
use super::dialogues::{self, Dialogues, Done};
use super::handover::{self, HandingOver};
use super::inbox::{Look, TakingIn};
use super::published::{Made, Publishing};
use super::submit::{Pass, Submitting};
use super::tell::{Telling, Told};
use crate::domain::event::{Fact, ScheduleRan};
use crate::domain::instance::DeviceName;
use crate::domain::plan::{self, PollTask, Run};
use crate::flow::{self, Error, House};
use crate::schedule::Schedule;

/// Instants closer together than this are planned as one: a big fleet has thousands a minute.
const COALESCE: Duration = Duration::from_secs(1);
/// How long dialogues under way may go on after a stop was asked for.
const DRAIN: Duration = Duration::from_secs(20);
/// The name under which the run over the fleet is remembered.
const POLL: &str = "poll";

/// All of it, and when to look for more.
pub(super) struct Work {
    house: Arc<House>,
    schedule: Schedule,
    run: Option<Run>,
    polled: u64,
    failed: u64,
    dialogues: Dialogues,
    telling: Telling,
    submitting: Submitting,
    checking: Checking,
    taking_in: TakingIn,
    publishing: Publishing,
    handing_over: HandingOver,
    wake: Option<Timestamp>,
    /// Something may have changed since the last plan.
    look: bool,
    /// When to look again although nothing is known to have changed.
    look_at: Instant,
    /// What is wrong with the ledger although it works; said once.
    trouble: Option<String>,
}

/// A piece of work that came to its end.
pub(super) enum Ended {
    Dialogue(dialogues::Ended),
    Told(Told),
    Pass(Pass),
    Check(Check),
    Look(Look),
    Made(Made),
    HandedOver(handover::Passed),
}

impl Work {
    pub fn new(house: Arc<House>) -> Self {
        let schedule = house.config.poll.schedule.clone();
        Work {
            house,
            schedule,
            run: None,
            polled: 0,
            failed: 0,
            dialogues: Dialogues::default(),
            telling: Telling::default(),
            submitting: Submitting::default(),
            checking: Checking::default(),
            taking_in: TakingIn::default(),
            publishing: Publishing::default(),
            handing_over: HandingOver::default(),
            wake: None,
            look: true,
            look_at: Instant::now(),
            trouble: None,
        }
    }

    /// The house that is in force.
    pub fn house(&self) -> &House {
        &self.house
    }

    /// How many dialogues are under way.
    pub fn under_way(&self) -> usize {
        self.dialogues.under_way()
    }

    /// Goes on under another configuration; what was planned and not begun is planned again.
    pub fn reconfigure(&mut self, house: Arc<House>) {
        for task in self.dialogues.recall() {
            self.try_again(&task.device);
        }
        self.schedule = house.config.poll.schedule.clone();
        self.house = house;
        self.telling.reconfigure();
        self.look = true;
    }

    /// A person changed something: all is looked at now.
    pub fn stirred(&mut self) {
        self.telling.hurry();
        self.look = true;
    }

    /// Plans when there is reason to, and fills the free places; when to look again, if not before.
    pub async fn start(&mut self) -> Result<Option<Instant>, Error> {
        self.house.metrics.turned(self.house.clock.now());
        // People are told while a long run over the fleet is still under way.
        if self.look && self.telling.is_due() {
            self.telling.judge(&self.house).await?;
            self.tell();
        }
        if self.look && !self.dialogues.any_waits() {
            self.look = false;
            self.plan().await?;
            self.tell();
        }
        self.dialogues.begin(&self.house);
        // An instant and not a pause: whatever else happens meanwhile must not put it off.
        Ok(Some(self.look_at).filter(|_| !self.look))
    }

    /// Sends what waits to every sink that is free.
    fn tell(&mut self) {
        if let Some(wake) = self.telling.send(&self.house) {
            self.look_at = self.look_at.min(Instant::now() + self.until(wake));
        }
    }

    async fn plan(&mut self) -> Result<(), Error> {
        let now = self.house.clock.now();
        let trouble = self.house.ledger.trouble();
        if trouble != self.trouble {
            tracing::warn!(?trouble, "the ledger keeps everything, but not as it should; a restart mends it");
            self.trouble = trouble;
        }
        if self.run.is_none() {
            let last = self.house.ledger.fleet().schedules.get(POLL).map(|ran| ran.due);
            // A collector that never ran has everything before it.
            let due = match last {
                None => Some(now),
                Some(last) => self.schedule.missed(Some(last), now),
            };
            self.run = due.map(|due| Run { due, until: self.schedule.next(due), ..Run::default() });
            (self.polled, self.failed) = (0, 0);
        }
        let plan = {
            let fleet = self.house.ledger.fleet();
            let next = Some(self.schedule.next(now));
            let pacing = self.house.pacing();
            plan::plan(&fleet, &self.house.watched, &self.house.settings, &pacing, self.run.as_ref(), next, now)
        };
        let snapshot = self.publishing.look(&self.house, now).await?;
        let handover = self.handing_over.look(&self.house, now);
        self.wake = [plan.wake, snapshot, handover].into_iter().flatten().min();
        self.look_at = Instant::now() + self.pause();
        self.dialogues.deliver(plan.deliver);
        self.submitting.begin(&self.house, plan.upstreams);
        self.checking.begin(&self.house, now);
        if let Some(run) = &mut self.run {
            run.tried.extend(plan.poll.iter().map(|task| task.device.clone()));
            let house = &self.house;
            let site = |task: &PollTask| house.device(&task.device).map(|device| device.site.clone());
            self.dialogues.poll(flow::by_turns(plan.poll, site));
            if plan.run_ended && self.dialogues.under_way() == 0 {
                let (polled, failed, due) = (self.polled, self.failed, run.due);
                let fact = ScheduleRan { schedule: POLL.to_owned(), due, polled, failed };
                self.house.ledger.append_async(now, vec![Fact::ScheduleRan(fact)], Vec::new()).await?;
                tracing::info!(polled, failed, next = ?self.wake.map(|wake| wake.to_string()), "run over the fleet ended");
                self.run = None;
            }
        }
        Ok(())
    }

    /// Until the plan wants to be asked again, at most [`LOOK`].
    fn pause(&self) -> Duration {
        self.wake.map_or(LOOK, |wake| self.until(wake))
    }

    /// The time until an instant, at least [`COALESCE`] and at most [`LOOK`].
    fn until(&self, at: Timestamp) -> Duration {
        let left = at.duration_since(self.house.clock.now());
        Duration::try_from(left).unwrap_or(Duration::ZERO).clamp(COALESCE, LOOK)
    }

    /// The plan says when this device has another turn.
    fn try_again(&mut self, device: &DeviceName) {
        if let Some(run) = &mut self.run {
            run.tried.remove(device);
        }
    }

    /// The wall clock may have come to where there is something to do.
    pub fn look(&mut self) {
        self.look = true;
    }

    /// May the import folder be looked into? One look is enough.
    pub fn may_take_in(&self) -> bool {
        self.taking_in.rests()
    }

    pub fn take_in(&mut self) {
        self.taking_in.look(&self.house);
    }

    /// Waits until a piece of work came to its end; for ever where none is under way.
    pub async fn ended(&mut self) -> Ended {
        tokio::select! {
            Some(ended) = self.dialogues.ended() => Ended::Dialogue(ended),
            Some(told) = self.telling.ended() => Ended::Told(told),
            Some(pass) = self.submitting.ended() => Ended::Pass(pass),
            Some(check) = self.checking.ended() => Ended::Check(check),
            Some(look) = self.taking_in.ended() => Ended::Look(look),
            Some(made) = self.publishing.made() => Ended::Made(made),
            Some(passed) = self.handing_over.ended() => Ended::HandedOver(passed),
            else => std::future::pending().await,
        }
    }

    /// Takes note of what it came to.
    pub async fn note(&mut self, ended: Ended) -> Result<(), Error> {
        match ended {
            Ended::Dialogue(ended) => self.finish(ended),
            Ended::Told(told) => {
                self.telling.note(told, self.house.clock.now())?;
                self.tell();
                Ok(())
            }
            Ended::Pass(pass) => {
                self.look = true;
                self.submitting.note(pass)
            }
            Ended::Check(check) => self.checking.note(check),
            Ended::Look(look) => {
                if self.taking_in.note(look)? {
                    self.house.stir();
                }
                Ok(())
            }
            Ended::Made(made) => {
                self.look = true;
                self.publishing.ended(&self.house, made).await
            }
            Ended::HandedOver(passed) => {
                self.look = true;
                self.handing_over.note(passed)
            }
        }
    }

    fn finish(&mut self, ended: dialogues::Ended) -> Result<(), Error> {
        match self.dialogues.note(ended)? {
            Some(Done::Poll { failed }) => {
                self.polled += 1;
                self.failed += u64::from(failed);
            }
            Some(Done::PutOff(device)) => self.try_again(&device),
            Some(Done::Delivery(_)) | None => {}
        }
        self.look |= self.dialogues.under_way() == 0;
        Ok(())
    }

    /// Lets dialogues and answers under way come to their end, for a while.
    pub async fn drain(mut self, answering: JoinHandle<()>) {
        let all = async {
            while self.dialogues.ended().await.is_some() {}
            while self.telling.ended().await.is_some() {}
            while self.submitting.ended().await.is_some() {}
            while self.checking.ended().await.is_some() {}
            while self.handing_over.ended().await.is_some() {}
            while self.taking_in.ended().await.is_some() {}
            answering.await
        };
        if tokio::time::timeout(DRAIN, all).await.is_err() {
            tracing::warn!(after = ?DRAIN, "dialogues cut off; what they wrote to devices is on record");
        }
    }
}
