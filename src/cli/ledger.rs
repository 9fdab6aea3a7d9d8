//! `ledger`: the memory. All but `backup` need it alone: while the daemon runs they end with exit 75.

use std::io::Write;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::ask::{ask, part, stop};
use super::output::printable;
use super::{Exit, Stop};
use crate::config::Config;
use crate::control::{Answered, Request};
use crate::domain::report::read::{self, READER_VERSION};
use crate::flow;
use crate::ledger::{self, Backup, FoldFrom, Options, Verification};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Verb {
    /// Check every batch, object, index and checkpoint, and the register against a fresh fold.
    Verify,
    /// Make the register anew from the journal; this is also how its space comes back.
    Rebuild {
        /// Fold from the very first event instead of the newest checkpoint.
        #[arg(long)]
        from_first: bool,
        /// Read every report's bytes again with the present reader, and record what it reads differently.
        #[arg(long)]
        from_objects: bool,
    },
    /// Copy everything that is kept into one file, while work goes on. The signing key is not in it.
    Backup {
        /// A new file. A running daemon writes it, with the daemon's rights: under the shipped unit only below
        /// /var/lib/slp-collector.
        file: PathBuf,
    },
    /// Write every event and object as lines of JSON, for other programs.
    Export {
        /// A new file; `-` or none: standard output.
        file: Option<PathBuf>,
    },
    /// Make a ledger of such lines, where there is none.
    Import {
        /// What `ledger export` wrote.
        file: PathBuf,
    },
    /// Make the ledger of a copy, where there is none; it is checked whole before it counts.
    Restore {
        /// What `ledger backup` wrote.
        file: PathBuf,
    },
}

fn told(found: &Verification, dir: &Path, out: &mut dyn Write) -> Result<Exit, Stop> {
    writeln!(out, "ledger {} in {}", found.ledger_id, dir.display())?;
    writeln!(
        out,
        "{} events in {} batches and {} segments, {} objects, {} records; head {} at batch {}",
        found.events, found.batches, found.segments, found.objects, found.records, found.head, found.seq
    )?;
    if !found.register_compared {
        writeln!(out, "the register was not compared")?;
    }
    for finding in &found.findings {
        writeln!(out, "{}", printable(&finding.to_string()))?;
    }
    if found.is_sound() {
        writeln!(out, "sound")?;
        return Ok(Exit::Done);
    }
    Ok(Exit::NotVerified)
}

pub(super) fn run(verb: &Verb, config: &Config, out: &mut dyn Write) -> Result<Exit, Stop> {
    let dir = flow::ledger_dir(config);
    match verb {
        Verb::Verify => told(&ledger::verify(&dir).map_err(|error| stop(&error))?, &dir, out),
        Verb::Backup { file } => {
            let request = Request::Backup { file: std::path::absolute(file)? };
            let made = part!(ask(config.clone(), request, &mut |_| {})?, Answered::Backup(made) => made);
            let Backup { ledger_id, seq, bytes } = made;
            writeln!(out, "{}: ledger {ledger_id} up to batch {seq}, {bytes} bytes", file.display())?;
            Ok(Exit::Done)
        }
        Verb::Export { file } => {
            let ledger = flow::open_ledger(config).map_err(|error| stop(&error))?;
            let stdout = Path::new("-");
            match file.as_deref().filter(|file| *file != stdout) {
                None => drop(ledger.export(out, stdout).map_err(|error| stop(&error))?),
                Some(file) => {
                    let created = std::fs::File::create_new(file);
                    let created = created.map_err(|error| Stop::failed(format!("{}: {error}", file.display())))?;
                    let done = ledger.export(&created, file).map_err(|error| stop(&error))?;
                    created.sync_all()?;
                    writeln!(out, "{}: {} events, {} objects", file.display(), done.events, done.objects)?;
                }
            }
            Ok(Exit::Done)
        }
        Verb::Import { file } => {
            let done = ledger::import(file, &dir).map_err(|error| stop(&error))?;
            writeln!(out, "{}: {} events, {} objects", dir.display(), done.events, done.objects)?;
            Ok(Exit::Done)
        }
        Verb::Restore { file } => told(&ledger::restore(file, &dir).map_err(|error| stop(&error))?, &dir, out),
        Verb::Rebuild { from_first, from_objects } => {
            let from = if *from_first { FoldFrom::FirstEvent } else { FoldFrom::Checkpoint };
            let rebuilt = ledger::rebuild(&dir, Options::default(), from).map_err(|error| stop(&error))?;
            for healing in &rebuilt.healings {
                writeln!(out, "{}", printable(&healing.to_string()))?;
            }
            writeln!(out, "{} records from the journal up to batch {}", rebuilt.records, rebuilt.seq)?;
            if *from_objects {
                let ledger = flow::open_ledger(config).map_err(|error| stop(&error))?;
                let reader = |bytes: &[u8]| read::report(std::str::from_utf8(bytes).ok()?).ok().map(|raw| raw.facts);
                let reread = ledger.reread(Timestamp::now(), READER_VERSION, &reader).map_err(|error| stop(&error))?;
                let (read, mended, left) = (reread.read, reread.mended, reread.left);
                writeln!(out, "{read} reports read again, {mended} of them mended, {left} left as they are")?;
            }
            Ok(Exit::Done)
        }
    }
}
