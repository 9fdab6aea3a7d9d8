//! `ledger`: the memory. These verbs need it alone: while the daemon runs they end with exit 75.

use std::io::Write;

use super::{Exit, Stop};
use crate::config::Config;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Verb {
    /// Check every batch, object, index and checkpoint, and the register against a fresh fold.
    Verify,
    /// Make the register anew from the journal.
    Rebuild {
        /// Read every report's bytes again, with the present reader.
        #[arg(long)]
        from_objects: bool,
    },
}

pub(super) fn run(_verb: &Verb, _config: &Config, _out: &mut dyn Write) -> Result<Exit, Stop> {
    Err(Stop::failed("later"))
}
