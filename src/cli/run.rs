//! `run`: the service in the foreground, for systemd or a terminal.

use super::{Exit, Stop};
use crate::config::{Config, LogFormat};
use crate::daemon::{self, Fault};
use crate::flow::Clock;

pub(super) fn run(config: Config) -> Result<Exit, Stop> {
    log(&config)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Stop::failed(format!("cannot start: {error}")))?;
    match runtime.block_on(daemon::run(config, Clock::system())) {
        Ok(()) => Ok(Exit::Done),
        Err(Fault::Ledger(error)) => Err(super::ask::stop(&error)),
        Err(fault) => Err(Stop::failed(fault)),
    }
}

/// Logs go to standard error; systemd adds the time.
fn log(config: &Config) -> Result<(), Stop> {
    let filter = tracing_subscriber::EnvFilter::try_new(config.log.level.to_string())
        .map_err(|error| Stop::usage(format!("log.level: {error}")))?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match config.log.format {
        LogFormat::Text => builder.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).init(),
        LogFormat::Json => builder.json().init(),
    }
    Ok(())
}
