//! The service: build, loop, stop. The loop is dull: plan, do, sleep until the plan's `wake`.

mod handover;
mod published;
mod said;

use std::collections::{BTreeSet, VecDeque};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::net::{TcpListener, UnixListener};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::config::Config;
use crate::control;
use crate::domain::event::{Fact, ScheduleRan};
use crate::domain::fleet::AnswerKey;
use crate::domain::instance::DeviceName;
use crate::domain::plan::{self, PollTask, Run};
use crate::domain::submission::{self, Gate};
use crate::flow::check::{self, Checked};
use crate::flow::inbox::{self, Inbox, Looked};
use crate::flow::submit::{self, Passed};
use crate::flow::tell::{self, Errand, Outbox, Sent};
use crate::flow::{self, Clock, Error, House, deliver};
use crate::http;
use crate::ledger::Ledger;
use crate::schedule::Schedule;
use handover::HandingOver;
use published::Publishing;
use said::{tell_check, tell_pass};

/// The wall clock is looked at this often even when nothing is due: it may have been set.
const LOOK: Duration = Duration::from_secs(60);
/// Instants closer together than this are planned as one: a big fleet has thousands a minute.
const COALESCE: Duration = Duration::from_secs(1);
/// The fleet is judged, and people are told, at most this often, unless something was changed by a person.
const JUDGE: Duration = Duration::from_secs(30);
/// How long dialogues under way may go on after a stop was asked for.
const DRAIN: Duration = Duration::from_secs(20);
/// The name under which the run over the fleet is remembered.
const POLL: &str = "poll";

/// Why the service could not start or go on.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    #[error(transparent)]
    Ledger(#[from] crate::ledger::Error),
    #[error(transparent)]
    Flow(#[from] Error),
    #[error("{path}: {cause}")]
    Socket { path: PathBuf, cause: std::io::Error },
    #[error("signals: {0}")]
    Signals(std::io::Error),
}

/// What the service is told from outside.
#[derive(Debug)]
pub enum Order {
    /// Configuration and inventory are to be read again.
    Reload,
    /// It is to end; by whose word.
    Stop(&'static str),
}

/// Runs until SIGTERM or SIGINT.
pub async fn run(config: Config, clock: Clock) -> Result<(), Fault> {
    let orders = signals().map_err(Fault::Signals)?;
    obey(config, clock, orders).await
}

/// The signals of this process, as orders.
fn signals() -> std::io::Result<mpsc::Receiver<Order>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    let (give, orders) = mpsc::channel(1);
    tokio::spawn(async move {
        loop {
            let order = tokio::select! {
                _ = terminate.recv() => Order::Stop("SIGTERM"),
                _ = interrupt.recv() => Order::Stop("SIGINT"),
                _ = hang_up.recv() => Order::Reload,
            };
            if give.send(order).await.is_err() {
                break;
            }
        }
    });
    Ok(orders)
}

/// Runs until it is told to stop, or nobody is left who could.
pub async fn obey(config: Config, clock: Clock, mut orders: mpsc::Receiver<Order>) -> Result<(), Fault> {
    let socket = config.collector.socket.clone();
    let ledger = open(&config).await?;
    for healing in ledger.healings() {
        tracing::warn!(%healing, "mended while opening the ledger");
    }
    let house = Arc::new(House::new(config, ledger, clock));
    let listener = listen(&socket)?;
    let (current, houses) = watch::channel(house.clone());
    let serving = tokio::spawn(control::serve(houses, listener));
    let (shown, views) = watch::channel(view(&house));
    let watching = match watched_at(&house.config).await {
        Some(listener) => tokio::spawn(http::serve(views, listener)),
        None => tokio::spawn(async {}),
    };
    let devices = house.watched.len();
    tracing::info!(devices, socket = %socket.display(), version = env!("CARGO_PKG_VERSION"), "ready");
    notify(&[sd_notify::NotifyState::Ready]);

    let mut work = Work::new(house.clone());
    let mut watchdog = tokio::time::interval(watchdog_interval());
    let mut inbox = tokio::time::interval(inbox::SETTLED);
    inbox.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let ended = loop {
        work.start().await?;
        tokio::select! {
            order = orders.recv() => match order {
                Some(Order::Reload) => {
                    notify(&[sd_notify::NotifyState::Reloading]);
                    if let Some(house) = reload(&work.house) {
                        current.send_replace(house.clone());
                        shown.send_replace(view(&house));
                        work.reconfigure(house);
                    }
                    notify(&[sd_notify::NotifyState::Ready]);
                }
                Some(Order::Stop(why)) => break why,
                None => break "nobody is left to give orders",
            },
            Some(done) = work.running.join_next() => work.finish(done)?,
            Some(told) = work.telling.join_next() => work.told(told)?,
            Some(_) = work.beating.join_next() => {}
            Some(passed) = work.passes.join_next() => work.passed(passed)?,
            Some(checked) = work.checks.join_next() => work.checked(checked)?,
            _ = inbox.tick(), if work.inbox.is_some() => work.look_into_inbox(),
            Some(looked) = work.looking.join_next() => work.looked(looked)?,
            Some(made) = work.publishing.made() => work.published(made).await?,
            Some(passed) = work.handing_over.ended() => {
                work.look = true;
                work.handing_over.note(passed)?;
            }
            _ = watchdog.tick() => notify(&[sd_notify::NotifyState::Watchdog]),
            () = house.stirred() => (work.look, work.judged) = (true, None),
            // An instant and not a pause: whatever else happens meanwhile must not put it off.
            () = tokio::time::sleep_until(work.look_at), if !work.look => work.look = true,
        }
    };
    tracing::info!(why = ended, under_way = work.running.len(), "stopping");
    notify(&[sd_notify::NotifyState::Stopping]);
    drop(std::fs::remove_file(&socket));
    drop((current, shown));
    work.drain(serving).await;
    watching.abort();
    let ledger = house.ledger.clone();
    let closed = tokio::task::spawn_blocking(move || ledger.close()).await;
    closed.map_err(|panic| Error::Internal(format!("closing the ledger: {panic}")))??;
    Ok(())
}

/// Reads configuration and inventory again. A mistake in them leaves the running ones in force.
fn reload(house: &House) -> Option<Arc<House>> {
    match Config::load(&house.config.file) {
        Ok(config) => {
            let (old, new) = (&house.config.collector, &config.collector);
            if old.state_dir != new.state_dir || old.socket != new.socket {
                tracing::warn!("state_dir and socket change with the next start, not by a reload");
            }
            let (old, new) = (&house.config.http, &config.http);
            if old.enabled != new.enabled || old.listen != new.listen {
                tracing::warn!("enabled and listen of [http] change with the next start, not by a reload");
            }
            let house = Arc::new(house.reconfigured(config));
            tracing::info!(devices = house.watched.len(), "configuration and inventory read again");
            Some(house)
        }
        Err(mistakes) => {
            for mistake in mistakes.iter() {
                tracing::error!(%mistake, "not reloaded; the running configuration stays in force");
            }
            None
        }
    }
}

/// Opens the ledger away from the async threads and tells systemd that this may take a while.
async fn open(config: &Config) -> Result<Ledger, Fault> {
    let config = config.clone();
    let opening = tokio::task::spawn_blocking(move || flow::open_ledger(&config));
    tokio::pin!(opening);
    loop {
        tokio::select! {
            opened = &mut opening => {
                return Ok(opened.map_err(|panic| Error::Internal(format!("opening the ledger: {panic}")))??);
            }
            () = tokio::time::sleep(Duration::from_secs(10)) => {
                notify(&[sd_notify::NotifyState::ExtendTimeoutUsec(30_000_000)]);
            }
        }
    }
}

/// Binds the control socket, readable and writable for owner and group.
fn listen(socket: &Path) -> Result<UnixListener, Fault> {
    let fault = |cause| Fault::Socket { path: socket.to_owned(), cause };
    if let Some(dir) = socket.parent() {
        std::fs::create_dir_all(dir).map_err(fault)?;
    }
    // The ledger's lock is ours, so a socket that is still there belongs to nobody.
    match std::fs::remove_file(socket) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(fault(error)),
        _ => {}
    }
    let listener = UnixListener::bind(socket).map_err(fault)?;
    std::fs::set_permissions(socket, std::fs::Permissions::from_mode(0o660)).map_err(fault)?;
    Ok(listener)
}

/// Binds the address of page and metrics, where they are wanted. A port that another program has must not keep
/// deadlines from being watched over: that metrics are missing is seen by whoever wants them.
async fn watched_at(config: &Config) -> Option<TcpListener> {
    let listen = config.http.listen;
    if !config.http.enabled {
        return None;
    }
    let bound = TcpListener::bind(listen).await.and_then(|listener| Ok((listener.local_addr()?, listener)));
    match bound {
        Ok((addr, listener)) => {
            tracing::info!(url = %format!("http://{addr}/"), "status page and metrics");
            Some(listener)
        }
        Err(error) => {
            tracing::error!(%listen, %error, "no status page and no metrics until the next start; all else goes on");
            None
        }
    }
}

/// What page and metrics see of the house.
pub fn view(house: &House) -> Arc<http::View> {
    let clock = house.clock.clone();
    Arc::new(http::View {
        name: house.config.collector.name.clone(),
        watched: house.watched.clone(),
        settings: house.settings.clone(),
        ledger: house.ledger.clone(),
        metrics: house.metrics.clone(),
        now: Box::new(move || clock.now()),
        per_device: house.config.http.per_device.holds_for(house.watched.len()),
    })
}

/// Dialogues under way, and those that wait for a place.
struct Work {
    house: Arc<House>,
    schedule: Schedule,
    run: Option<Run>,
    polled: u64,
    failed: u64,
    polls: VecDeque<PollTask>,
    deliveries: VecDeque<AnswerKey>,
    /// Answers on their way, so that no second delivery of them is started.
    delivering: BTreeSet<AnswerKey>,
    running: JoinSet<Result<Done, Error>>,
    /// Upstreams that are being talked to, one pass each.
    passing: BTreeSet<String>,
    passes: JoinSet<(String, Result<Passed, Error>)>,
    /// Upstreams that are asked what they know.
    checking: BTreeSet<String>,
    checks: JoinSet<(String, Result<Checked, Error>)>,
    /// When everything was looked at last.
    judged: Option<Instant>,
    outbox: Outbox,
    /// Messages on their way, and how that ended.
    telling: JoinSet<(Errand, Result<Sent, Error>)>,
    /// The heartbeat, one at a time.
    beating: JoinSet<()>,
    /// What is remembered of the import folder; away while somebody looks into it.
    inbox: Option<Inbox>,
    looking: JoinSet<(Inbox, Result<Looked, Error>)>,
    /// Why the import folder could not be looked into; said once.
    no_inbox: Option<String>,
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

/// What one piece of work came to.
enum Done {
    Poll {
        failed: bool,
    },
    /// Nothing was sent: the way to its site is broken.
    PutOff(DeviceName),
    Delivery(AnswerKey),
}

impl Work {
    fn new(house: Arc<House>) -> Self {
        let schedule = house.config.poll.schedule.clone();
        Work {
            house,
            schedule,
            run: None,
            polled: 0,
            failed: 0,
            polls: VecDeque::new(),
            deliveries: VecDeque::new(),
            delivering: BTreeSet::new(),
            running: JoinSet::new(),
            passing: BTreeSet::new(),
            passes: JoinSet::new(),
            checking: BTreeSet::new(),
            checks: JoinSet::new(),
            judged: None,
            outbox: Outbox::default(),
            telling: JoinSet::new(),
            beating: JoinSet::new(),
            inbox: Some(Inbox::default()),
            looking: JoinSet::new(),
            no_inbox: None,
            publishing: Publishing::default(),
            handing_over: HandingOver::default(),
            wake: None,
            look: true,
            look_at: Instant::now(),
            trouble: None,
        }
    }

    /// Goes on under another configuration; what was planned and not begun is planned again.
    fn reconfigure(&mut self, house: Arc<House>) {
        if let Some(run) = &mut self.run {
            for task in &self.polls {
                run.tried.remove(&task.device);
            }
        }
        for key in &self.deliveries {
            self.delivering.remove(key);
        }
        self.polls.clear();
        self.deliveries.clear();
        self.schedule = house.config.poll.schedule.clone();
        self.house = house;
        self.outbox.rested();
        (self.look, self.judged) = (true, None);
    }

    /// Plans when there is reason to, and fills the free places.
    async fn start(&mut self) -> Result<(), Error> {
        self.house.metrics.turned(self.house.clock.now());
        // People are told while a long run over the fleet is still under way.
        if self.look && self.judged.is_none_or(|judged| judged.elapsed() >= JUDGE) {
            self.judged = Some(Instant::now());
            match tell::judge(&self.house).await {
                Ok(()) => {}
                Err(Error::Ledger(error)) if error.ends_writing() => return Err(error.into()),
                // Reports are collected all the same.
                Err(error) => tracing::error!(%error, "the fleet was not judged, and nobody is told; tried again"),
            }
            if self.beating.is_empty() {
                let house = self.house.clone();
                self.beating.spawn(async move { tell::heartbeat(&house).await });
            }
            self.tell();
        }
        if self.look && self.polls.is_empty() && self.deliveries.is_empty() {
            self.look = false;
            self.plan().await?;
            self.tell();
        }
        while self.running.len() < self.house.config.poll.concurrency {
            if let Some(key) = self.deliveries.pop_front() {
                let house = self.house.clone();
                self.running.spawn(async move {
                    let delivered = deliver::deliver(&house, &key).await?;
                    tracing::info!(device = %delivered.device, answer = %delivered.name,
                        outcome = ?delivered.outcome, "answer delivered");
                    Ok(Done::Delivery(key))
                });
            } else if let Some(task) = self.polls.pop_front() {
                let house = self.house.clone();
                self.running.spawn(async move { poll(&house, task).await });
            } else {
                break;
            }
        }
        Ok(())
    }

    /// Takes in what was put into the import folder, away from the async threads.
    fn look_into_inbox(&mut self) {
        if self.house.config.exchange.import.is_none() {
            return;
        }
        let Some(mut inbox) = self.inbox.take() else { return };
        let house = self.house.clone();
        self.looking.spawn_blocking(move || {
            let looked = inbox.look(&house, std::time::Instant::now());
            (inbox, looked)
        });
    }

    fn looked(&mut self, looked: Result<(Inbox, Result<Looked, Error>), tokio::task::JoinError>) -> Result<(), Error> {
        let looked = match looked {
            Ok((inbox, looked)) => {
                self.inbox = Some(inbox);
                looked
            }
            Err(panic) => {
                self.inbox = Some(Inbox::default());
                Err(Error::Internal(format!("ended abnormally: {panic}")))
            }
        };
        match looked {
            Ok(looked) => {
                self.no_inbox = None;
                if looked.taken > 0 {
                    self.house.stir();
                }
            }
            Err(Error::Ledger(error)) if error.ends_writing() => return Err(error.into()),
            Err(error) => {
                let cause = error.to_string();
                if self.no_inbox.as_ref() != Some(&cause) {
                    tracing::error!(%error, "the import folder is not taken in; tried again every few seconds");
                }
                self.no_inbox = Some(cause);
            }
        }
        Ok(())
    }

    /// Sends what waits to every sink that is free.
    fn tell(&mut self) {
        let now = self.house.clock.now();
        let errands = self.outbox.errands(&self.house.ledger.fleet(), now);
        for errand in errands {
            let house = self.house.clone();
            self.telling.spawn(async move {
                let told = tell::send(&house, &errand).await;
                (errand, told)
            });
        }
        if let Some(wake) = self.outbox.wake(now) {
            self.look_at = self.look_at.min(Instant::now() + self.until(wake));
        }
    }

    /// A sink has taken a message, or has not; the next one for it may be waiting.
    fn told(&mut self, told: Result<(Errand, Result<Sent, Error>), tokio::task::JoinError>) -> Result<(), Error> {
        let now = self.house.clock.now();
        match told {
            Ok((errand, Ok(how))) => self.outbox.ended(&errand, how, now),
            Ok((_, Err(Error::Ledger(error)))) if error.ends_writing() => return Err(error.into()),
            Ok((errand, Err(error))) => {
                let sink = &errand.sink;
                tracing::warn!(%sink, %error, "a message went out, which is not on record; it goes out again");
                self.outbox.ended(&errand, Sent::NotNow, now);
            }
            Err(panic) => {
                tracing::error!(%panic, "telling ended abnormally; what waits goes out again");
                self.outbox = Outbox::default();
            }
        }
        self.tell();
        Ok(())
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
        self.deliveries.extend(plan.deliver.into_iter().filter(|key| self.delivering.insert(key.clone())));
        for name in plan.upstreams {
            if self.passing.insert(name.clone()) {
                let house = self.house.clone();
                self.passes.spawn(async move {
                    let passed = submit::pass(&house, &name, false).await;
                    (name, passed)
                });
            }
        }
        let held = |gate: &Gate| {
            let fleet = self.house.ledger.fleet();
            submission::hold(&fleet, gate, self.house.settings.credential_hold_after).is_some()
        };
        for gate in self.house.settings.gates.iter().filter(|gate| !held(gate)) {
            let name = gate.upstream.clone();
            let due = check::next(&self.house, &name).is_some_and(|next| next <= now);
            if due && self.checking.insert(name.clone()) {
                let house = self.house.clone();
                self.checks.spawn(async move {
                    let checked = check::check(&house, &name).await;
                    (name, checked)
                });
            }
        }
        if let Some(run) = &mut self.run {
            run.tried.extend(plan.poll.iter().map(|task| task.device.clone()));
            let house = &self.house;
            let site = |task: &PollTask| house.device(&task.device).map(|device| device.site.clone());
            self.polls.extend(flow::by_turns(plan.poll, site));
            if plan.run_ended && self.running.is_empty() {
                let (polled, failed, due) = (self.polled, self.failed, run.due);
                let fact = ScheduleRan { schedule: POLL.to_owned(), due, polled, failed };
                self.house.ledger.append_async(now, vec![Fact::ScheduleRan(fact)], Vec::new()).await?;
                tracing::info!(polled, failed, next = ?self.wake.map(|wake| wake.to_string()), "run over the fleet ended");
                self.run = None;
            }
        }
        Ok(())
    }

    fn finish(&mut self, done: Result<Result<Done, Error>, tokio::task::JoinError>) -> Result<(), Error> {
        match done {
            Ok(Ok(Done::Poll { failed })) => {
                self.polled += 1;
                self.failed += u64::from(failed);
            }
            Ok(Ok(Done::PutOff(device))) => {
                // The plan says when it has another turn.
                if let Some(run) = &mut self.run {
                    run.tried.remove(&device);
                }
            }
            Ok(Ok(Done::Delivery(key))) => {
                self.delivering.remove(&key);
            }
            Ok(Err(Error::Ledger(error))) if error.ends_writing() => return Err(error.into()),
            Ok(Err(error)) => tracing::warn!(%error, "left for the next plan"),
            Err(panic) => tracing::error!(%panic, "a dialogue ended abnormally; the next run tries again"),
        }
        if self.running.is_empty() {
            // What failed half-way is planned again like everything else.
            self.delivering.clear();
            self.look = true;
        }
        Ok(())
    }

    /// A pass at an upstream ended; what it came to is on record, and told here once.
    fn passed(&mut self, passed: Result<(String, Result<Passed, Error>), tokio::task::JoinError>) -> Result<(), Error> {
        self.look = true;
        match passed {
            Ok((name, passed)) => {
                self.passing.remove(&name);
                match passed {
                    Ok(passed) => tell_pass(&passed),
                    Err(Error::Ledger(error)) if error.ends_writing() => return Err(error.into()),
                    Err(error) => tracing::warn!(upstream = %name, %error, "left for the next plan"),
                }
            }
            Err(panic) => {
                tracing::error!(%panic, "a pass at an upstream ended abnormally; the next plan tries again");
                self.passing.clear();
            }
        }
        Ok(())
    }

    /// An upstream said what it knows; what is news is on record, and told here once.
    fn checked(
        &mut self,
        checked: Result<(String, Result<Checked, Error>), tokio::task::JoinError>,
    ) -> Result<(), Error> {
        match checked {
            Ok((name, checked)) => {
                self.checking.remove(&name);
                match checked {
                    Ok(checked) => tell_check(&checked),
                    Err(Error::Ledger(error)) if error.ends_writing() => return Err(error.into()),
                    Err(error) => tracing::warn!(upstream = %name, %error, "not compared; tried again"),
                }
            }
            Err(panic) => {
                tracing::error!(%panic, "a comparison ended abnormally; it is tried again");
                self.checking.clear();
            }
        }
        Ok(())
    }

    /// A run of the schedule of snapshots ended.
    async fn published(&mut self, made: published::Made) -> Result<(), Error> {
        self.look = true;
        self.publishing.ended(&self.house, made).await
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

    /// Lets dialogues and answers under way come to their end, for a while.
    async fn drain(mut self, serving: tokio::task::JoinHandle<()>) {
        let all = async {
            while self.running.join_next().await.is_some() {}
            while self.telling.join_next().await.is_some() {}
            while self.passes.join_next().await.is_some() {}
            while self.checks.join_next().await.is_some() {}
            while self.handing_over.ended().await.is_some() {}
            while self.looking.join_next().await.is_some() {}
            serving.await
        };
        if tokio::time::timeout(DRAIN, all).await.is_err() {
            tracing::warn!(after = ?DRAIN, "dialogues cut off; what they wrote to devices is on record");
        }
    }
}

async fn poll(house: &House, task: PollTask) -> Result<Done, Error> {
    let Some(polled) = control::poll_task(house, &task).await? else { return Ok(Done::Poll { failed: false }) };
    if polled.not_before.is_some() {
        // Said once, when the circuit opened.
        return Ok(Done::PutOff(polled.device));
    }
    let device = &polled.device;
    for problem in &polled.problems {
        tracing::warn!(%device, problem, "told by the poll; the rest of the answer is kept");
    }
    match &polled.failure {
        Some((blame, cause)) => {
            let blame = serde_json::to_value(blame).unwrap_or_default();
            tracing::warn!(%device, %blame, cause, "poll failed; the next run tries again");
        }
        None => tracing::debug!(%device, collected = polled.collected, missing = polled.missing, "polled"),
    }
    Ok(Done::Poll { failed: polled.failure.is_some() })
}

fn watchdog_interval() -> Duration {
    sd_notify::watchdog_enabled().map_or(LOOK, |limit| limit / 2)
}

/// Without systemd there is nobody to tell.
fn notify(state: &[sd_notify::NotifyState]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::debug!(%error, "systemd was not told");
    }
}
