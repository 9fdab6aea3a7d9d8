//! `check-config`: every mistake in configuration and inventory, or what they amount to.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::Path;

use jiff::Timestamp;

use crate::config::{Config, Inventory, Mistakes, duration};
use crate::domain::settings::{Mode, Word};
use crate::schedule::Schedule;

/// Wrong usage or configuration, in the exit codes of every verb.
const EXIT_CONFIGURATION: u8 = 64;

/// Reads everything; a summary and the next runs go to `out`, mistakes and warnings to `err`. Answers the exit code.
pub fn run(config: &Path, now: Timestamp, out: &mut dyn Write, err: &mut dyn Write) -> u8 {
    let told = match Config::load(config) {
        Ok(config) => summary(&config, now, out, err).map(|()| 0),
        Err(mistakes) => refusal(&mistakes, err).map(|()| EXIT_CONFIGURATION),
    };
    told.unwrap_or(1)
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
    let sites: Vec<&str> = config.sites.keys().map(|site| site.0.as_str()).collect();
    writeln!(out, "sites          {}", listed(&sites))?;
    let credentials: Vec<&str> = config.credentials.keys().map(String::as_str).collect();
    writeln!(out, "credentials    {}", listed(&credentials))?;
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
