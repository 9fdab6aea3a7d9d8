//! `bundle`: offline exchange, outward.

use std::io::Write;
use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};

use super::ask::{ask, part};
use super::output::{self, Column, Format, minute, or_dash, printable};
use super::poll::Progress;
use super::status::{instant, span};
use super::{Exit, Listing, Stop};
use crate::control::{Answered, Reply, Request};
use crate::domain::bundle::Selection;
use crate::domain::digest::Sha256;
use crate::domain::fleet::Bundle;
use crate::domain::instance::Site;
use crate::domain::problem::with_causes;
use crate::exchange::archive::Limits;
use crate::exchange::bundle as exchange;
use crate::flow::outward::Made;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Verb {
    /// Put what is owed into a signed bundle for the portal: every licence report that no answer is here for, though it
    /// was in an earlier bundle.
    Create {
        /// Only this site.
        #[arg(long)]
        site: Option<String>,
        /// Only this Smart or Virtual Account.
        #[arg(long)]
        account: Option<String>,
        /// Only devices that are due within this time, as "30d", or overdue.
        #[arg(long, value_name = "TIME", value_parser = span)]
        due_within: Option<SignedDuration>,
        /// Also reports whose answer is here and waits to reach its device.
        #[arg(long)]
        all: bool,
        /// Close the running reports first and collect them.
        #[arg(long)]
        close: bool,
        /// Also reports that ended before the device's last ACK and whose state cannot be read.
        #[arg(long)]
        include_presumed: bool,
        /// Also telemetry reports.
        #[arg(long)]
        include_telemetry: bool,
        /// One tar instead of a folder.
        #[arg(long)]
        tar: bool,
        /// Where to write; the configured exchange folder if not given. A running daemon writes it, with the
        /// daemon's rights: under the shipped unit only below /var/lib/slp-collector.
        #[arg(long, value_name = "DIR")]
        out: Option<PathBuf>,
        /// The instant that names and files carry; now if not given.
        #[arg(long, value_name = "TIME", value_parser = instant)]
        at: Option<Timestamp>,
        #[command(flatten)]
        listing: Listing,
    },
    /// Every bundle and where it stands.
    List(Listing),
    /// One bundle: its reports and what became of them.
    Show {
        /// Its id or the start of it.
        id: String,
        #[command(flatten)]
        listing: Listing,
    },
    /// Check signature and content of a bundle, offline.
    Verify {
        /// The folder or the tar.
        path: PathBuf,
        /// The SHA-256 of the certificate that must have signed it; else whoever signed is named.
        #[arg(long, value_name = "FINGERPRINT", value_parser = fingerprint)]
        signer: Option<Sha256>,
    },
    /// Record that a bundle left the house; the wait for its answer counts from then.
    Handover {
        /// Its id or the start of it.
        id: String,
        /// When it left; now if not given.
        #[arg(long, value_name = "TIME", value_parser = instant, allow_hyphen_values = true)]
        at: Option<Timestamp>,
        /// Who took it, where to.
        #[arg(long)]
        note: String,
    },
}

pub(super) fn run(verb: Verb, config: &Path, out: &mut dyn Write) -> Result<Exit, Stop> {
    let load = || super::load(config);
    match verb {
        Verb::Create {
            site,
            account,
            due_within,
            all,
            close,
            include_presumed,
            include_telemetry,
            tar,
            out: dir,
            at,
            listing,
        } => {
            let site = site.map(Site::from);
            let selection = Selection { site, account, due_within, all, include_presumed, include_telemetry };
            let dir = dir.map(std::path::absolute).transpose()?;
            let request = Request::CreateBundle { selection, close, tar, out: dir, at };
            let mut not_polled = 0;
            let progress = Progress::new();
            let answered = ask(load()?, request, &mut |reply| {
                if let Reply::Polled(polled) = &reply
                    && let Some(cause) = polled.failure.as_ref().map(|(_, cause)| cause).or(polled.not_closed.as_ref())
                {
                    not_polled += usize::from(polled.failure.is_some());
                    let how = if polled.failure.is_some() { "not collected: " } else { "" };
                    let line = format!("{}: {how}{cause}", polled.device);
                    progress.above(|| drop(writeln!(std::io::stderr(), "{}", printable(&line))));
                }
                progress.see(&reply);
            })?;
            drop(progress);
            let made = part!(answered, Answered::Made(made) => made);
            match listing.format {
                Format::Table => {
                    writeln!(out, "{}", made.path.display())?;
                    writeln!(
                        out,
                        "bundle {}: {} reports of {} instances",
                        made.bundle_id, made.reports, made.instances
                    )?;
                    for left_out in &made.left_out {
                        writeln!(out, "left out: {}", printable(left_out))?;
                    }
                    writeln!(out, "next: read READ-ME.txt in it, then `bundle handover {} --note …`", made.bundle_id)?;
                }
                Format::Json | Format::Ndjson => {
                    serde_json::to_writer(&mut *out, &made).map_err(Stop::failed)?;
                    writeln!(out)?;
                }
                Format::Csv => output::list(out, Format::Csv, std::slice::from_ref(&made), MADE)?,
            }
            Ok(if not_polled > 0 || !made.left_out.is_empty() { Exit::Partly } else { Exit::Done })
        }
        Verb::List(listing) => bundles(load()?, Request::Bundles, listing, out),
        Verb::Show { id, listing } => bundles(load()?, Request::Bundle { id }, listing, out),
        Verb::Handover { id, at, note } => {
            bundles(load()?, Request::HandOver { id, at, note }, Listing { format: Format::Table }, out)
        }
        Verb::Verify { path, signer } => verify(&path, signer, out),
    }
}

fn bundles(
    config: crate::config::Config,
    request: Request,
    listing: Listing,
    out: &mut dyn Write,
) -> Result<Exit, Stop> {
    let one = matches!(request, Request::Bundle { .. });
    let bundles = part!(ask(config, request, &mut |_| {})?, Answered::Bundles(bundles) => bundles);
    let mut bundles: Vec<Bundle> = bundles.into_values().collect();
    bundles.sort_by_key(|bundle| bundle.made);
    output::list(out, listing.format, &bundles, COLUMNS)?;
    if one && listing.format == Format::Table {
        writeln!(out)?;
        let reports: Vec<_> = bundles.iter().flat_map(|bundle| &bundle.facts.reports).cloned().collect();
        output::list(out, Format::Table, &reports, REPORTS)?;
    }
    Ok(Exit::Done)
}

const COLUMNS: &[Column<Bundle>] = &[
    ("bundle", |bundle| bundle.facts.bundle_id.clone()),
    ("made", |bundle| minute(Some(bundle.made))),
    ("site", |bundle| bundle.facts.site.as_ref().map_or_else(|| "all".to_owned(), ToString::to_string)),
    ("reports", |bundle| bundle.facts.reports.len().to_string()),
    ("handed over", |bundle| minute(bundle.handed_over)),
    ("answered", |bundle| minute(bundle.answered)),
    ("before it", |bundle| or_dash(bundle.facts.previous_bundle_id.as_ref())),
    ("name", |bundle| bundle.facts.name.clone()),
    ("note", |bundle| bundle.handover_note.clone().unwrap_or_default()),
    ("made by", |bundle| or_dash(bundle.made_by.as_ref())),
    ("handed over by", |bundle| or_dash(bundle.handed_over_by.as_ref())),
];

const MADE: &[Column<Made>] = &[
    ("bundle", |made| made.bundle_id.clone()),
    ("path", |made| made.path.display().to_string()),
    ("reports", |made| made.reports.to_string()),
    ("instances", |made| made.instances.to_string()),
    ("before it", |made| or_dash(made.previous_bundle_id.as_ref())),
    ("left out", |made| made.left_out.join("; ")),
];

const REPORTS: &[Column<crate::domain::event::BundledReport>] = &[
    ("instance", |report| format!("{} {}", report.udi.pid, report.udi.sn)),
    ("report", |report| report.report_id.to_string()),
    ("payload sha256", |report| report.payload_sha256.to_string()),
];

/// A fingerprint as OpenSSL prints it, or without colons.
pub(super) fn fingerprint(text: &str) -> Result<Sha256, String> {
    text.replace(':', "").parse().map_err(|error: crate::domain::digest::NotADigest| error.to_string())
}

/// Checks a bundle against its own signature; the signer is named, for a person to compare.
fn verify(path: &Path, signer: Option<Sha256>, out: &mut dyn Write) -> Result<Exit, Stop> {
    let opened = exchange::open(path, &Limits::own());
    let verified = opened.and_then(|opened| opened.verify(signer));
    match verified {
        Ok(verified) => {
            let (manifest, signer) = (&verified.manifest, &verified.signer);
            let name = printable(signer.common_name.as_deref().unwrap_or("unnamed"));
            writeln!(out, "{}: whole, and signed by {name}, certificate {}", path.display(), signer.fingerprint)?;
            let (reports, members) = (manifest.reports.len(), manifest.members.len());
            writeln!(
                out,
                "bundle {} of {}: {reports} reports in {members} files",
                manifest.bundle_id, manifest.created
            )?;
            Ok(Exit::Done)
        }
        Err(error) => {
            let exit = if error.is_unverified() { Exit::NotVerified } else { Exit::Failed };
            let (path, cause) = (path.display().to_string(), with_causes(&error));
            Err(Stop { exit, reason: if cause.contains(&path) { cause } else { format!("{path}: {cause}") } })
        }
    }
}
