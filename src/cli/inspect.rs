//! `inspect`: reads any SLP file, offline.

use std::io::Write;
use std::path::PathBuf;

use super::{Exit, Listing, Stop, output};
use crate::inspect::{self as inspection, Format};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Files; `-` is standard input.
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    #[command(flatten)]
    listing: Listing,
}

pub(super) fn run(args: &Args, out: &mut dyn Write) -> Result<Exit, Stop> {
    let format = match args.listing.format {
        output::Format::Table => Format::Table,
        output::Format::Json | output::Format::Ndjson => Format::Json,
        output::Format::Csv => Format::Csv,
    };
    Ok(match inspection::run(&args.files, format, out)? {
        0 => Exit::Done,
        1 => Exit::Failed,
        _ => Exit::Partly,
    })
}
