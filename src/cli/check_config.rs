//! `check-config`: every mistake in configuration and inventory, or what they amount to; whether messages arrive.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::Path;

use jiff::Timestamp;

use super::Exit;
use crate::config::{Config, Inventory, Mistakes, duration};
use crate::domain::problem::printable;
use crate::domain::settings::{Mode, Word};
use crate::notify::{self, Sinks};
use crate::receiver;
use crate::schedule::Schedule;

#[derive(Debug, Default, clap::Args)]
pub struct Args {
    /// Send a test message to each sink and tell whether it arrived; log in at each upstream; connect to the receiver of
    /// snapshots; without it nothing is sent to anybody.
    #[arg(long)]
    pub probe: bool,
}

/// Reads everything; a summary and the next runs go to `out`, mistakes and warnings to `err`. Answers the exit code.
pub fn run(args: &Args, config: &Path, now: Timestamp, out: &mut dyn Write, err: &mut dyn Write) -> u8 {
    let told = match Config::load(config) {
        Ok(config) => summary(&config, now, out, err).and_then(|()| match args.probe {
            true => probe(&config, now, out).map(Exit::code),
            false => Ok(Exit::Done.code()),
        }),
        Err(mistakes) => refusal(&mistakes, err).map(|()| Exit::Usage.code()),
    };
    told.unwrap_or(Exit::Failed.code())
}

/// A line for each sink: it arrived, or why not and what to do.
fn probe(config: &Config, now: Timestamp, out: &mut dyn Write) -> io::Result<Exit> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let sinks = Sinks::new(config);
    let message = notify::test_message(now);
    let (mut worked, mut failed) = (0, 0);
    for name in sinks.names() {
        let place = printable(sinks.place(name).unwrap_or_default());
        match runtime.block_on(sinks.send(name, &message)) {
            Ok(()) => {
                worked += 1;
                writeln!(out, "sink {name}: arrived ({place}), message {}", message.id)?;
            }
            Err(error) => {
                failed += 1;
                writeln!(out, "sink {name}: failed: {}; {}", printable(&error.to_string()), error.remedy())?;
            }
        }
    }
    if worked + failed == 0 {
        writeln!(out, "no sinks to probe")?;
    }
    for (name, upstream) in &config.upstreams {
        match runtime.block_on(crate::upstream::probe(upstream)) {
            Ok(found) => {
                worked += 1;
                writeln!(out, "upstream {name}: works ({}): {}", upstream.url.origin(), printable(&found))?;
            }
            Err(error) => {
                failed += 1;
                writeln!(out, "upstream {name}: failed: {}; {}", printable(&error.to_string()), error.remedy())?;
            }
        }
    }
    if let Some(post) = &config.snapshot.post {
        match runtime.block_on(receiver::probe(post)) {
            Ok(found) => {
                worked += 1;
                writeln!(out, "{}: answers: {found}", receiver::place(post))?;
            }
            Err(error) => {
                failed += 1;
                writeln!(out, "receiver: failed: {}; {}", printable(&error.to_string()), error.remedy())?;
            }
        }
    }
    Ok(Exit::of(worked, failed))
}

fn refusal(mistakes: &Mistakes, err: &mut dyn Write) -> io::Result<()> {
    writeln!(err, "{mistakes}")?;
    match mistakes.len() {
        1 => writeln!(err, "1 mistake"),
        count => writeln!(err, "{count} mistakes"),
    }
}

fn summary(config: &Config, now: Timestamp, out: &mut dyn Write, err: &mut dyn Write) -> io::Result<()> {
    for warning in config.warnings() {
        writeln!(err, "warning: {warning}")?;
    }
    writeln!(out, "configuration  {}", config.file.display())?;
    let path = config.collector.inventory.display();
    writeln!(out, "inventory      {path}: {}", devices(&config.inventory))?;
    let sites: Vec<&str> = config.sites.keys().map(|site| &*site.0).collect();
    writeln!(out, "sites          {}", listed(&sites))?;
    let credentials: Vec<&str> = config.credentials.keys().map(String::as_str).collect();
    writeln!(out, "credentials    {}", listed(&credentials))?;
    let sinks: Vec<&str> = config.sinks.keys().map(String::as_str).collect();
    writeln!(out, "sinks          {}", listed(&sinks))?;
    let upstreams: Vec<&str> = config.upstreams.keys().map(String::as_str).collect();
    if !upstreams.is_empty() {
        writeln!(out, "upstreams      {}", listed(&upstreams))?;
    }
    if let Some(post) = &config.snapshot.post {
        let formats: Vec<&str> = post.formats.iter().map(|form| form.word()).collect();
        writeln!(out, "snapshots to   {} as {}", post.server.url.origin(), listed(&formats))?;
    }
    let (schedule, spread) = (&config.poll.schedule, duration::show(config.poll.spread));
    writeln!(out, "poll           {schedule} (UTC), spread over {spread}")?;
    for run in runs(schedule, now) {
        writeln!(out, "               {run}")?;
    }
    Ok(())
}

/// `3 devices: 2 observe, 1 deliver; 1 by hand`
fn devices(inventory: &Inventory) -> String {
    let mut modes: BTreeMap<Mode, usize> = BTreeMap::new();
    for device in inventory {
        *modes.entry(device.mode).or_default() += 1;
    }
    let modes: Vec<String> = modes.iter().map(|(mode, count)| format!("{count} {}", mode.word())).collect();
    let by_hand = match inventory.iter().filter(|device| !device.within_reach()).count() {
        0 => String::new(),
        count => format!("; {count} by hand"),
    };
    match inventory.len() {
        0 => "no devices".to_owned(),
        1 => format!("1 device: {}{by_hand}", modes.join(", ")),
        count => format!("{count} devices: {}{by_hand}", modes.join(", ")),
    }
}

fn listed(names: &[&str]) -> String {
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

fn runs(schedule: &Schedule, now: Timestamp) -> Vec<String> {
    let left = schedule.next_three(now).into_iter().filter(|run| *run != Timestamp::MAX);
    left.map(|run| run.to_string()).collect()
}
