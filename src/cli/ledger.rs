//! `ledger`: the memory. These verbs need it alone: while the daemon runs they end with exit 75.

use std::io::Write;

use jiff::Timestamp;

use super::ask::stop;
use super::output::printable;
use super::{Exit, Stop};
use crate::config::Config;
use crate::domain::report::read::{self, READER_VERSION};
use crate::flow;
use crate::ledger::{self, FoldFrom, Options};

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
}

pub(super) fn run(verb: &Verb, config: &Config, out: &mut dyn Write) -> Result<Exit, Stop> {
    let dir = flow::ledger_dir(config);
    match verb {
        Verb::Verify => {
            let found = ledger::verify(&dir).map_err(|error| stop(&error))?;
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
