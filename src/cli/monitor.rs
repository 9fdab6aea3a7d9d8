//! `monitor`: one line and an exit code, as plugins for Nagios and its kin give them.

use std::io::Write;
use std::path::Path;

use jiff::SignedDuration;

use super::ask::{ask_briefly, part};
use super::output::printable;
use super::status::span;
use super::{Exit, Stop};
use crate::control::{Answered, Request};
use crate::domain::monitor::{Health, Thresholds, Verdict};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// WARNING from so long before the earliest leave-by, as "30d".
    #[arg(long, value_name = "TIME", value_parser = span, default_value = "30d")]
    warning: SignedDuration,
    /// CRITICAL from so long before it.
    #[arg(long, value_name = "TIME", value_parser = span, default_value = "7d")]
    critical: SignedDuration,
}

/// Whatever goes wrong is UNKNOWN, with the reason in the line: nobody sees standard error of a plugin.
pub(super) fn run(args: Args, config: &Path, out: &mut dyn Write) -> Result<Exit, Stop> {
    match health(args, config) {
        Ok(health) => {
            writeln!(out, "{}", printable(&health.to_string()))?;
            Ok(Exit::Monitor(match health.verdict() {
                Verdict::Ok => 0,
                Verdict::Warning => 1,
                Verdict::Critical => 2,
            }))
        }
        Err(stop) => Ok(unknown(&stop.reason, out)),
    }
}

/// The line of a plugin that could not do its work.
pub(super) fn unknown(reason: &str, out: &mut dyn Write) -> Exit {
    let lines = reason.lines().map(str::trim).filter(|line| !line.is_empty());
    let reason = lines.collect::<Vec<_>>().join("; ").replace('|', "/");
    // Where nobody reads it, the exit code still says it.
    drop(writeln!(out, "SLP UNKNOWN - {}", printable(&reason)));
    Exit::Monitor(3)
}

fn health(Args { warning, critical }: Args, config: &Path) -> Result<Health, Stop> {
    if critical > warning {
        return Err(Stop::usage("--critical must not be longer than --warning: it is the nearer one"));
    }
    let request = Request::Monitor(Thresholds { warning, critical });
    Ok(part!(ask_briefly(config, request, &mut |_| {})?, Answered::Health(health) => health))
}
