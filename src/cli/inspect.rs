//! `inspect`: reads any SLP file, offline.

use std::io::Write;
use std::path::PathBuf;

use super::{Exit, Listing, Stop};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Files; `-` is standard input.
    #[arg(required = true)]
    files: Vec<PathBuf>,
    #[command(flatten)]
    listing: Listing,
}

pub(super) fn run(_args: &Args, _out: &mut dyn Write) -> Result<Exit, Stop> {
    Err(Stop::failed("later"))
}
