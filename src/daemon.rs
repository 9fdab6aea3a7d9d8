//! The service: start, loop, reload, stop. The loop is dull: plan, do, sleep until the plan's `wake`.
//!
//! What it is told comes as an [`Order`], who asks comes in by a door, and all that takes time is `Work`: planned here,
//! done beside the loop, and heard of when it has ended.

mod check;
mod dialogues;
mod doors;
mod handover;
mod inbox;
mod orders;
mod published;
mod submit;
mod systemd;
mod tell;
mod work;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior};

use crate::config::Config;
use crate::flow::inbox::SETTLED;
use crate::flow::{self, Clock, Error, House};
use crate::ledger::Ledger;
use doors::Doors;
use work::Work;

pub use doors::view;
pub use orders::Order;

/// The wall clock is looked at this often even when nothing is due: it may have been set.
const LOOK: Duration = Duration::from_secs(60);

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

/// Runs until SIGTERM or SIGINT.
pub async fn run(config: Config, clock: Clock) -> Result<(), Fault> {
    let orders = orders::signals().map_err(Fault::Signals)?;
    obey(config, clock, orders).await
}

/// Runs until it is told to stop, or nobody is left who could.
pub async fn obey(config: Config, clock: Clock, orders: mpsc::Receiver<Order>) -> Result<(), Fault> {
    let ledger = open(&config).await?;
    let house = Arc::new(House::new(config, ledger.clone(), clock));
    let doors = Doors::open(&house).await?;
    let (devices, socket) = (house.watched.len(), doors.socket().display());
    tracing::info!(devices, %socket, version = env!("CARGO_PKG_VERSION"), "ready");
    systemd::tell(NotifyState::Ready);

    let mut work = Work::new(house.clone());
    let why = serve(&house, &mut work, &doors, orders).await?;
    tracing::info!(why, under_way = work.under_way(), "stopping");
    systemd::tell(NotifyState::Stopping);
    let (answering, showing) = doors.close();
    work.drain(answering).await;
    showing.abort();
    let closed = tokio::task::spawn_blocking(move || ledger.close()).await;
    closed.map_err(|panic| Error::Internal(format!("closing the ledger: {panic}")))??;
    Ok(())
}

/// The loop; why it ended.
async fn serve(
    house: &House,
    work: &mut Work,
    doors: &Doors,
    mut orders: mpsc::Receiver<Order>,
) -> Result<&'static str, Error> {
    let mut watchdog = tokio::time::interval(systemd::watchdog_interval());
    let mut inbox = tokio::time::interval(SETTLED);
    inbox.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let look_at = work.start().await?;
        tokio::select! {
            order = orders.recv() => match order {
                Some(Order::Reload) => reload(work, doors),
                Some(Order::Stop(why)) => return Ok(why),
                None => return Ok("nobody is left to give orders"),
            },
            _ = inbox.tick(), if work.may_take_in() => work.take_in(),
            ended = work.ended() => work.note(ended).await?,
            _ = watchdog.tick() => systemd::tell(NotifyState::Watchdog),
            () = house.stirred() => work.stirred(),
            () = reached(look_at) => work.look(),
        }
    }
}

async fn reached(instant: Option<Instant>) {
    match instant {
        Some(instant) => tokio::time::sleep_until(instant).await,
        None => std::future::pending().await,
    }
}

/// Opens the ledger away from the async threads and tells systemd that this may take a while.
async fn open(config: &Config) -> Result<Ledger, Fault> {
    let config = config.clone();
    let opening = tokio::task::spawn_blocking(move || flow::open_ledger(&config));
    tokio::pin!(opening);
    let opened = loop {
        tokio::select! {
            opened = &mut opening => break opened,
            () = tokio::time::sleep(Duration::from_secs(10)) => {
                systemd::tell(NotifyState::ExtendTimeoutUsec(30_000_000));
            }
        }
    };
    let ledger = opened.map_err(|panic| Error::Internal(format!("opening the ledger: {panic}")))??;
    for healing in ledger.healings() {
        tracing::warn!(%healing, "mended while opening the ledger");
    }
    Ok(ledger)
}

/// Goes on under configuration and inventory as they are now. A mistake in them leaves the running ones in force.
fn reload(work: &mut Work, doors: &Doors) {
    systemd::tell(NotifyState::Reloading);
    if let Some(house) = read_again(work.house()) {
        doors.reconfigure(&house);
        work.reconfigure(house);
    }
    systemd::tell(NotifyState::Ready);
}

fn read_again(house: &House) -> Option<Arc<House>> {
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
