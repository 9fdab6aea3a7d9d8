//! `snapshot`: who used how much of what, at an instant.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};

use super::ask::{ask, part};
use super::output::{self, Column, minute, or_dash, printable};
use super::status::{instant, span};
use super::{Exit, Listing, Stop};
use crate::control::{Answered, Request};
use crate::domain::digest::Sha256;
use crate::domain::problem::with_causes;
use crate::exchange::snapshot::{Form, verify};
use crate::flow::consumption::{Asked, SnapshotLine};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Verb {
    /// Make one of this or a past instant, signed. It is kept; without --out it is also printed.
    Create {
        /// The instant (RFC 3339, a date, or "-30d"); now if not given.
        #[arg(long, value_name = "TIME", value_parser = instant, allow_hyphen_values = true)]
        as_of: Option<Timestamp>,
        /// How far peak and average look back.
        #[arg(long, value_name = "TIME", value_parser = span, default_value = "90d")]
        window: SignedDuration,
        /// One JSON document with roll-ups and sources, or a row a line as CSV or NDJSON.
        #[arg(long, value_parser = form, value_name = "FORM", default_value = "json")]
        format: Form,
        /// Where to keep it; the folder `snapshots` beside the ledger if not given. A running daemon writes it, with
        /// the daemon's rights: under the shipped unit only below /var/lib/slp-collector.
        #[arg(long, value_name = "DIR")]
        out: Option<PathBuf>,
    },
    /// The snapshots that are kept, the oldest instant first.
    List {
        /// In this folder; the folder `snapshots` beside the ledger if not given.
        #[arg(long, value_name = "DIR")]
        out: Option<PathBuf>,
        #[command(flatten)]
        listing: Listing,
    },
    /// Check the seal of a snapshot and that it is what was sealed, offline.
    Verify {
        /// The snapshot; its .seal, .sig and .pem lie beside it.
        file: PathBuf,
        /// The SHA-256 of the certificate that must have signed it; else whoever signed is named.
        #[arg(long, value_name = "FINGERPRINT", value_parser = super::bundle::fingerprint)]
        signer: Option<Sha256>,
    },
}

pub(super) fn run(verb: Verb, config: &Path, out: &mut dyn Write) -> Result<Exit, Stop> {
    let load = || super::load(config);
    let absolute = |folder: Option<PathBuf>| folder.map(std::path::absolute).transpose();
    match verb {
        Verb::Create { as_of, window, format, out: folder } => {
            let (print, folder) = (folder.is_none(), absolute(folder)?);
            let request = Request::CreateSnapshot(Asked { as_of, window, form: format, out: folder });
            let snapped = part!(ask(load()?, request, &mut |_| {})?, Answered::Snapshot(snapped) => snapped);
            let path = printable(&snapped.path.display().to_string());
            if print {
                let failed = |error| Stop::failed(format!("it is kept, but cannot be printed: {path}: {error}"));
                std::io::copy(&mut File::open(&snapped.path).map_err(failed)?, out)?;
                return Ok(Exit::Done);
            }
            let head = &snapped.head;
            writeln!(out, "{path}")?;
            let measured = head.completeness.map_or_else(
                || "nothing in it should be measured".to_owned(),
                |share| format!("{:.1} % of what should be is measured", share * 100.0),
            );
            writeln!(
                out,
                "snapshot {} as of {}: {} rows of {} instances, {measured}",
                head.snapshot_id, head.as_of, head.row_count, head.instances
            )?;
            if let Some(old) = &head.corrects {
                writeln!(out, "it stands in place of snapshot {old}")?;
            }
            if snapped.was_there {
                writeln!(out, "nothing changed since: it was there already")?;
            }
            Ok(Exit::Done)
        }
        Verb::List { out: folder, listing } => {
            let request = Request::Snapshots { folder: absolute(folder)? };
            let lines = part!(ask(load()?, request, &mut |_| {})?, Answered::Snapshots(lines) => lines);
            output::list(out, listing.format, &lines, COLUMNS)?;
            Ok(Exit::Done)
        }
        Verb::Verify { file, signer } => check(&file, signer, out),
    }
}

const COLUMNS: &[Column<SnapshotLine>] = &[
    ("snapshot", |line| line.snapshot_id.to_string()),
    ("as of", |line| minute(Some(line.as_of))),
    ("from", |line| minute(Some(line.window_start))),
    ("format", |line| line.form.to_string()),
    ("bytes", |line| line.size.to_string()),
    ("corrects", |line| or_dash(line.corrects.as_ref())),
    ("path", |line| line.path.display().to_string()),
];

fn form(text: &str) -> Result<Form, String> {
    text.parse().map_err(|error: crate::domain::settings::UnknownWord| error.to_string())
}

fn check(file: &Path, signer: Option<Sha256>, out: &mut dyn Write) -> Result<Exit, Stop> {
    let path = printable(&file.display().to_string());
    match verify(file, signer) {
        Ok((seal, signer)) => {
            let name = printable(signer.common_name.as_deref().unwrap_or("unnamed"));
            writeln!(out, "{path}: whole, and signed by {name}, certificate {}", signer.fingerprint)?;
            writeln!(out, "snapshot {} as of {}", seal.snapshot_id, seal.as_of)?;
            Ok(Exit::Done)
        }
        Err(error) => {
            let exit = if error.is_unverified() { Exit::NotVerified } else { Exit::Failed };
            let cause = with_causes(&error);
            Err(Stop { exit, reason: if cause.contains(&path) { cause } else { format!("{path}: {cause}") } })
        }
    }
}
