//! Asking: the running daemon over its socket, or the ledger itself when no daemon runs.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::mpsc;

use super::{Exit, Stop};
use crate::config::{Config, Outline};
use crate::control::{self, Answered, Reply, Request};
use crate::flow::rehearse::Leave;
use crate::flow::{self, Clock, House, person};
use crate::ledger::{self, Ledger};

/// Asks, hands each part of the answer to `told`, and returns the last one.
pub(super) fn ask(config: Config, request: Request, told: &mut dyn FnMut(Reply)) -> Result<Answered, Stop> {
    converse(config, request, &mut |reply| {
        told(reply);
        None
    })
}

/// As [`ask`]. A daemon that answers has read the inventory; only where there is none it is read here.
pub(super) fn ask_briefly(file: &Path, request: Request, told: &mut dyn FnMut(Reply)) -> Result<Answered, Stop> {
    let outline = Outline::load(file).map_err(Stop::usage)?;
    let socket = outline.socket().to_owned();
    exchange(socket, move || outline.complete().map_err(Stop::usage), request, &mut |reply| {
        told(reply);
        None
    })
}

/// As [`ask`], where `told` answers the questions among the parts.
pub(super) fn converse(
    config: Config,
    request: Request,
    told: &mut dyn FnMut(Reply) -> Option<Leave>,
) -> Result<Answered, Stop> {
    exchange(config.collector.socket.clone(), move || Ok(config), request, told)
}

/// Asks whoever listens at the socket, else the ledger of the configuration.
fn exchange(
    socket: PathBuf,
    config: impl FnOnce() -> Result<Config, Stop> + Send + 'static,
    request: Request,
    told: &mut dyn FnMut(Reply) -> Option<Leave>,
) -> Result<Answered, Stop> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Stop::failed(format!("cannot start: {error}")))?;
    let (tell, mut parts) = mpsc::unbounded_channel();
    let (say, answers) = mpsc::unbounded_channel();
    let answering = runtime.spawn(answer(socket, config, request, tell, answers));
    let mut last = None;
    while let Some(reply) = parts.blocking_recv() {
        match reply {
            Reply::Done(answered) => last = Some(Ok(answered)),
            Reply::Failed { input, reason } => {
                let exit = if input { Exit::Usage } else { Exit::Failed };
                last = Some(Err(Stop { exit, reason }));
            }
            part @ (Reply::Total(_)
            | Reply::Rows(_)
            | Reply::Polled(_)
            | Reply::Taken(_)
            | Reply::Delivered(_)
            | Reply::Brought(_)
            | Reply::Bytes(_)
            | Reply::Step(_)
            | Reply::Question(_)) => {
                if let Some(leave) = told(part) {
                    // Nobody listens any more where everything is said.
                    let _ = say.send(leave);
                }
            }
        }
    }
    runtime.block_on(answering).map_err(|panic| Stop::failed(format!("ended abnormally: {panic}")))??;
    last.unwrap_or_else(|| Err(Stop::failed("no answer came")))
}

async fn answer(
    socket: PathBuf,
    config: impl FnOnce() -> Result<Config, Stop> + Send,
    request: Request,
    tell: control::Tell,
    mut answers: control::Answers,
) -> Result<(), Stop> {
    let called = control::call(&socket, &request, &tell, &mut answers).await;
    let unheard = |error: std::io::Error| {
        let hint = match error.kind() {
            std::io::ErrorKind::PermissionDenied => "; only the service's own user and group may ask the daemon",
            _ => "",
        };
        Stop::failed(format!("{}: {error}{hint}", socket.display()))
    };
    if called.map_err(unheard)?.is_some() {
        return Ok(());
    }
    let config = config()?;
    let ledger = open(&config)?;
    for healing in ledger.healings() {
        drop(writeln!(std::io::stderr(), "slp-collector: mended while opening: {healing}"));
    }
    let house = House::new(config, ledger, Clock::system());
    let house = Arc::new(match person::own() {
        Some(own) => house.asked_by(&own),
        None => house,
    });
    let last = match control::execute_asking(&house, request, &tell, answers).await {
        Ok(answered) => Reply::Done(answered),
        Err(error) => control::failed(&error),
    };
    drop(tell.send(last));
    Ok(())
}

/// Opens the ledger. Another user than its owner, root above all, would leave files in it that the
/// service cannot write.
fn open(config: &Config) -> Result<Ledger, Stop> {
    use std::os::unix::fs::MetadataExt;
    let dir = flow::ledger_dir(config);
    if let (Ok(folder), Ok(own)) = (std::fs::metadata(&dir), std::fs::metadata("/proc/self"))
        && folder.uid() != own.uid()
    {
        let dir = dir.display();
        return Err(Stop::failed(format!(
            "{dir} belongs to another user and no daemon answers; call as that user: `sudo -u slp-collector slp-collector …`"
        )));
    }
    flow::open_ledger(config).map_err(|error| stop(&error))
}

/// A fault of the ledger as the command line ends on it.
pub(super) fn stop(error: &ledger::Error) -> Stop {
    let exit = if matches!(error, ledger::Error::Held { .. }) { Exit::LedgerHeld } else { Exit::Failed };
    Stop { exit, reason: crate::domain::problem::with_causes(error) }
}

/// The part of an answer that a verb expects; anything else is a mistake of ours.
macro_rules! part {
    ($answered:expr, $pattern:pat => $value:expr) => {
        match $answered {
            $pattern => $value,
            other => return Err($crate::cli::Stop::failed(format!("the daemon answered something else: {other:?}"))),
        }
    };
}
pub(super) use part;
