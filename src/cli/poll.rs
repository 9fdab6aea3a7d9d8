//! `poll`: one pass now, a line a device.

use std::io::{IsTerminal, Write};

use indicatif::{ProgressBar, ProgressStyle};

use super::ask::ask;
use super::output::{self, Format, or_dash};
use super::{Exit, Listing, Stop};
use crate::config::Config;
use crate::control::{Reply, Request};
use crate::domain::instance::DeviceName;
use crate::domain::problem::printable_lines;
use crate::flow::poll::{Ask, Polled};

#[derive(Debug, clap::Args)]
#[command(group(clap::ArgGroup::new("whom").args(["devices", "all"]).required(true)))]
pub(super) struct Args {
    /// Devices by name.
    #[arg(value_name = "DEVICE")]
    devices: Vec<String>,
    /// Every device of the inventory.
    #[arg(long)]
    all: bool,
    /// Read only: change nothing, on the devices or here.
    #[arg(long)]
    dry_run: bool,
    /// Close the running reports first, where mode and the 30-day rule allow it.
    #[arg(long)]
    close: bool,
    #[command(flatten)]
    listing: Listing,
}

pub(super) fn run(args: Args, config: Config, out: &mut dyn Write) -> Result<Exit, Stop> {
    let devices = args.devices.iter().map(|name| DeviceName::from(name.clone())).collect();
    let request = Request::Poll { devices, ask: Ask { close: args.close, dry_run: args.dry_run, ..Ask::default() } };
    let mut polled: Vec<Polled> = Vec::new();
    let mut written = Ok(());
    let progress = Progress::new();
    ask(config, request, &mut |reply| {
        if let Reply::Polled(one) = &reply {
            if args.listing.format == Format::Table && written.is_ok() {
                written = progress.above(|| writeln!(out, "{}", line(one)));
            }
            polled.push(one.clone());
        }
        progress.see(&reply);
    })?;
    written?;
    if polled.is_empty() {
        writeln!(std::io::stderr(), "slp-collector: no device of the inventory is within reach")?;
    }
    if args.listing.format != Format::Table {
        polled.sort_by(|a, b| a.device.cmp(&b.device));
        output::list(out, args.listing.format, &polled, COLUMNS)?;
    }
    let failed = polled.iter().filter(|polled| polled.failure.is_some()).count();
    if failed == 0 && polled.iter().any(|polled| !polled.problems.is_empty()) {
        // Single reports could not be read; the others are kept.
        return Ok(Exit::Partly);
    }
    Ok(Exit::of(polled.len() - failed, failed))
}

/// A device's clock so many seconds off ours is remarked on.
const CLOCK_REMARK: u64 = 3600;

const COLUMNS: &[output::Column<Polled>] = &[
    ("device", |polled| polled.device.to_string()),
    ("instance", |polled| or_dash(polled.udi.as_ref())),
    ("software", |polled| or_dash(polled.software.as_ref())),
    ("collected", |polled| polled.collected.to_string()),
    ("missing", |polled| polled.missing.to_string()),
    ("closed", |polled| polled.closed.to_string()),
    ("failure", |polled| polled.failure.as_ref().map(|(_, cause)| cause.clone()).unwrap_or_default()),
];

fn line(polled: &Polled) -> String {
    let device = &polled.device;
    let mut line = match &polled.failure {
        Some((blame, cause)) => format!("{device}: {}: {cause}", output::word(blame)),
        None => {
            let udi = or_dash(polled.udi.as_ref());
            let closed = if polled.closed { ", closed" } else { "" };
            format!("{device}: ok, {udi}{closed}, {} new, {} not collected", polled.collected, polled.missing)
        }
    };
    let clock = polled.clock_skew_seconds.filter(|skew| skew.unsigned_abs() > CLOCK_REMARK).map(output::clock);
    for remark in polled.not_closed.iter().chain(&polled.problems).chain(&clock) {
        line.push_str("\n    ");
        line.push_str(remark);
    }
    printable_lines(&line)
}

/// A bar on standard error while that is a terminal.
pub(super) struct Progress(ProgressBar);

impl Progress {
    pub(super) fn new() -> Self {
        let bar = if std::io::stderr().is_terminal() { ProgressBar::no_length() } else { ProgressBar::hidden() };
        let style = ProgressStyle::with_template("{bar:40} {pos}/{len} {elapsed} left {eta}");
        Progress(match style {
            Ok(style) => bar.with_style(style),
            Err(_) => bar,
        })
    }

    pub(super) fn see(&self, reply: &Reply) {
        match reply {
            Reply::Total(total) => self.0.set_length(*total as u64),
            Reply::Polled(_) | Reply::Delivered(_) => self.0.inc(1),
            Reply::Taken(_)
            | Reply::Rows(_)
            | Reply::Brought(_)
            | Reply::Bytes(_)
            | Reply::Step(_)
            | Reply::Question(_)
            | Reply::Done(_)
            | Reply::Failed { .. } => {}
        }
    }

    /// Prints without tearing the bar.
    pub(super) fn above<T>(&self, print: impl FnOnce() -> T) -> T {
        self.0.suspend(print)
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
