//! `snapshot`: who used how much of what, at an instant.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};

use super::ask::{ask, part};
use super::output::{self, Column, minute, or_dash, printable};
use super::plot::{self, Picture};
use super::status::{instant, span};
use super::{Exit, Listing, Stop};
use crate::control::{Answered, Request};
use crate::domain::digest::Sha256;
use crate::domain::fleet::HandoverStage;
use crate::domain::problem::with_causes;
use crate::domain::snapshot::{Changed, EntitlementLine, Entry, Head, NO_PARQUET, Whole, curve, difference};
use crate::exchange::snapshot::{Form, read, verify};
use crate::flow::consumption::{Asked, Snapped, SnapshotLine};
use crate::flow::handover::HandoverLine;

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
        /// One JSON document with roll-ups and sources; or a row for each licence of each instance, as CSV, NDJSON or
        /// Parquet (where it is built in), or as resource, attribute and value for importers of service management.
        #[arg(long, value_parser = form, value_name = "FORM", default_value = "json")]
        format: Form,
        /// Where to keep it; the folder `snapshots` beside the ledger if not given. A running daemon writes it, with
        /// the daemon's rights: under the shipped unit only below /var/lib/slp-collector.
        #[arg(long, value_name = "DIR")]
        out: Option<PathBuf>,
    },
    /// Make one where [snapshot] of the configuration wants them, in its formats: what the daemon does by schedule.
    Publish {
        /// The instant (RFC 3339, a date, or "-30d"); now if not given.
        #[arg(long, value_name = "TIME", value_parser = instant, allow_hyphen_values = true)]
        as_of: Option<Timestamp>,
    },
    /// Send what the receiver of [snapshot.post] is owed now, what it refused included; what it took is not sent again.
    Post {
        /// This one, by its number or the first digits, though the receiver took it before.
        snapshot: Option<String>,
        #[command(flatten)]
        listing: Listing,
    },
    /// The snapshots that are kept, the oldest instant first, and where they stand on their way to the receiver.
    List {
        /// In this folder; in `snapshots` beside the ledger and where [snapshot] publishes if not given.
        #[arg(long, value_name = "DIR")]
        out: Option<PathBuf>,
        #[command(flatten)]
        listing: Listing,
    },
    /// What changed from one to the other, with the reports that tell it; offline, of two in JSON.
    Diff {
        first: PathBuf,
        second: PathBuf,
        #[command(flatten)]
        listing: Listing,
    },
    /// The instances, reports and hashes behind a number.
    Explain {
        /// The snapshot in JSON; the newest that is kept if not given.
        file: Option<PathBuf>,
        /// Only this licence, by its tag or its name.
        #[arg(long)]
        tag: Option<String>,
        /// Only this Smart or Virtual Account.
        #[arg(long)]
        account: Option<String>,
        #[command(flatten)]
        listing: Listing,
    },
    /// Draw an entitlement over the window of a snapshot as SVG: peak, the instant it is of, and what is not known.
    Plot {
        /// The snapshot in JSON; the newest that is kept if not given. More of them only add the marks of their instants.
        files: Vec<PathBuf>,
        /// The licence, by its tag or its name.
        #[arg(long)]
        tag: String,
        /// Only this Smart or Virtual Account.
        #[arg(long)]
        account: Option<String>,
        /// From here on; the window's start if not given.
        #[arg(long, value_name = "TIME", value_parser = instant, allow_hyphen_values = true)]
        from: Option<Timestamp>,
        /// Up to here; the snapshot's instant if not given.
        #[arg(long, value_name = "TIME", value_parser = instant, allow_hyphen_values = true)]
        to: Option<Timestamp>,
        /// The file to write; it must not be there yet.
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
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
            writeln!(out, "{path}")?;
            writeln!(out, "{}", told(&snapped.head))?;
            if snapped.was_there {
                writeln!(out, "nothing changed since: it was there already")?;
            }
            if !snapped.listed.is_empty() {
                let listed: Vec<String> = snapped.listed.iter().map(|(list, size)| format!("{size} {list}")).collect();
                writeln!(out, "listed in it: {}", listed.join(", "))?;
            }
            if let Some(entitlements) = &snapped.entitlements {
                writeln!(out)?;
                output::table(out, &entitlements.lines, ENTITLED)?;
                writeln!(
                    out,
                    "\nheadroom, over since and what is expected are estimates; `measured` is what they rest on"
                )?;
                if !entitlements.unlisted.is_empty() {
                    let count = entitlements.unlisted.len();
                    writeln!(out, "licences of an account in use that no running line covers: {count}")?;
                }
            }
            Ok(Exit::Done)
        }
        Verb::Publish { as_of } => {
            let request = Request::PublishSnapshot { as_of };
            let made = part!(ask(load()?, request, &mut |_| {})?, Answered::Published(made) => made);
            for snapped in &made {
                let there = if snapped.was_there { ": was there already" } else { "" };
                writeln!(out, "{}{there}", printable(&snapped.path.display().to_string()))?;
            }
            if let Some(Snapped { head, .. }) = made.first() {
                writeln!(out, "{}", told(head))?;
            }
            Ok(Exit::Done)
        }
        Verb::Post { snapshot, listing } => {
            let request = Request::PostSnapshots { snapshot };
            let lines = part!(ask(load()?, request, &mut |_| {})?, Answered::Handovers(lines) => lines);
            output::list(out, listing.format, &lines, HANDED_OVER)?;
            let taken = |line: &&HandoverLine| matches!(line.handover.stage, HandoverStage::Taken { .. });
            let worked = lines.iter().filter(taken).count();
            Ok(Exit::of(worked, lines.len() - worked))
        }
        Verb::List { out: folder, listing } => {
            let request = Request::Snapshots { folder: absolute(folder)? };
            let lines = part!(ask(load()?, request, &mut |_| {})?, Answered::Snapshots(lines) => lines);
            output::list(out, listing.format, &lines, COLUMNS)?;
            Ok(Exit::Done)
        }
        Verb::Diff { first, second, listing } => {
            let difference = difference(&whole(&first)?, &whole(&second)?);
            match listing.format {
                output::Format::Json => {
                    serde_json::to_writer_pretty(&mut *out, &difference).map_err(Stop::failed)?;
                    writeln!(out)?;
                }
                format => output::list(out, format, &difference.changed, CHANGED)?,
            }
            Ok(Exit::Done)
        }
        Verb::Explain { file, tag, account, listing } => {
            let file = match file {
                Some(file) => file,
                None => newest(load()?)?,
            };
            let whole = whole(&file)?;
            if let Some(tag) = &tag
                && whole.of(Some(tag), None).next().is_none()
            {
                return Err(no_row_of(tag));
            }
            let rows: Vec<Entry> = whole.of(tag.as_deref(), account.as_deref()).cloned().collect();
            output::list(out, listing.format, &rows, EXPLAINED)?;
            if listing.format == output::Format::Table {
                let sum: u64 = rows.iter().filter_map(|entry| entry.row.quantity).fold(0, u64::saturating_add);
                let measured = rows.iter().filter(|entry| entry.row.quantity.is_some()).count();
                writeln!(out, "\n{sum} in {measured} measured rows of {}, as of {}", rows.len(), whole.head.as_of)?;
            }
            Ok(Exit::Done)
        }
        Verb::Plot { files, tag, account, from, to, out: file } => {
            let newest = if files.is_empty() { Some(newest(load()?)?) } else { None };
            let wholes: Vec<Whole> = newest.iter().chain(&files).map(|file| whole(file)).collect::<Result<_, _>>()?;
            let picture = picture(&wholes, &tag, account.as_deref(), from, to)?;
            let failed = |error| Stop::failed(format!("{}: {error}", printable(&file.display().to_string())));
            let mut new = File::create_new(&file).map_err(failed)?;
            new.write_all(plot::svg(&picture).as_bytes()).map_err(failed)?;
            writeln!(out, "{}", printable(&file.display().to_string()))?;
            Ok(Exit::Done)
        }
        Verb::Verify { file, signer } => check(&file, signer, out),
    }
}

fn no_row_of(tag: &str) -> Stop {
    let tag = printable(tag);
    Stop::usage(format!("no row of the snapshot is of {tag}; `snapshot explain` without --tag lists what there is"))
}

/// The first of these, drawn; the others tell more instants.
fn picture(
    wholes: &[Whole],
    tag: &str,
    account: Option<&str>,
    from: Option<Timestamp>,
    to: Option<Timestamp>,
) -> Result<Picture, Stop> {
    let Some(whole) = wholes.first() else { return Err(Stop::usage("no snapshot to draw")) };
    let head = &whole.head;
    let (from, to) = (from.unwrap_or(head.window_start), to.unwrap_or(head.window_end));
    if from < head.window_start || to > head.window_end || from >= to {
        let window = format!("{} to {}", head.window_start, head.window_end);
        return Err(Stop::usage(format!("the snapshot tells of {window}; write --from and --to within it")));
    }
    let rows: Vec<&Entry> = whole.of(Some(tag), account).collect();
    let Some(first) = rows.first() else {
        return Err(no_row_of(tag));
    };
    let name = first.row.license_name.as_deref().unwrap_or(tag);
    let place = account.map(|account| format!(" in {account}")).unwrap_or_default();
    let title = format!("{name}{place}");
    let tags: BTreeSet<&str> =
        rows.iter().filter_map(|entry| entry.row.entitlement_tag.as_ref().map(|tag| &*tag.0)).collect();
    // A name may be that of several tags: all of them are drawn together.
    let licence = match (tags.first(), tags.len()) {
        (None, _) => tag.to_owned(),
        (Some(one), 1) => (*one).to_owned(),
        (Some(one), more) => format!("{one} and {} more of that name", more - 1),
    };
    let subtitle = format!("{licence}; snapshot {}", head.snapshot_id);
    let marks = wholes.iter().map(|whole| whole.head.as_of).collect();
    let steps = curve(rows.iter().copied(), whole.gone(), from, to);
    Ok(Picture { title, subtitle, from, to, marks, steps })
}

const COLUMNS: &[Column<SnapshotLine>] = &[
    ("snapshot", |line| line.snapshot_id.to_string()),
    ("as of", |line| minute(Some(line.as_of))),
    ("from", |line| minute(Some(line.window_start))),
    ("format", |line| line.form.to_string()),
    ("bytes", |line| line.size.to_string()),
    ("corrects", |line| or_dash(line.corrects.as_ref())),
    ("receiver", |line| or_dash(line.handover.as_ref().map(|handover| &handover.stage))),
    ("path", |line| line.path.display().to_string()),
];

const HANDED_OVER: &[Column<HandoverLine>] = &[
    ("snapshot", |line| line.handover.facts.snapshot_id.to_string()),
    ("as of", |line| minute(Some(line.handover.facts.as_of))),
    ("format", |line| line.handover.facts.form.to_string()),
    ("owed since", |line| minute(Some(line.handover.owed))),
    ("tries", |line| line.handover.tries.to_string()),
    ("receiver", |line| line.handover.stage.to_string()),
];

/// The width at which a name is cut in the short form.
const NAME: usize = 32;

const ENTITLED: &[Column<EntitlementLine>] = &[
    ("account", |line| line.said.account.chars().take(NAME).collect()),
    ("licence", |line| line.said.licences.join(";").chars().take(NAME).collect()),
    ("term", |line| line.term.to_string()),
    ("entitled", |line| line.said.quantity.to_string()),
    ("quantity", |line| or_dash(line.quantity.as_ref())),
    ("expected", |line| or_dash(line.quantity_expected.as_ref())),
    ("measured", |line| format!("{} of {}", line.measured, line.rows)),
    ("headroom", |line| {
        let left = line.headroom.as_ref();
        or_dash(left.and_then(|left| left.measured.or(left.expected)).as_ref())
    }),
    ("over since", |line| minute(line.over.as_ref().and_then(|over| over.since))),
    ("growth", |line| {
        let reached = line.growth.iter().rev().find(|growth| growth.reached.is_some());
        or_dash(reached.map(|growth| format!("> {} %", growth.over_percent)).as_ref())
    }),
    ("milestone", |line| {
        or_dash(line.projection.as_ref().map(|next| next.milestone.strftime("%Y-%m-%d").to_string()).as_ref())
    }),
    ("expected then", |line| or_dash(line.projection.as_ref().map(|next| format!("{:.0}", next.quantity)).as_ref())),
];

const CHANGED: &[Column<Changed>] = &[
    ("what", |changed| changed.what.to_string()),
    ("device", |changed| or_dash(changed.device.as_ref())),
    ("pid", |changed| or_dash(changed.pid.as_ref())),
    ("sn", |changed| or_dash(changed.sn.as_ref())),
    ("licence", |changed| {
        or_dash(changed.license_name.as_ref().or(changed.entitlement_tag.as_ref().map(|tag| &tag.0)))
    }),
    ("before", |changed| or_dash(changed.before.as_ref())),
    ("after", |changed| or_dash(changed.after.as_ref())),
    ("reports", |changed| {
        changed.reports.iter().map(|report| report.report_id.to_string()).collect::<Vec<_>>().join(" ")
    }),
];

const EXPLAINED: &[Column<Entry>] = &[
    ("device", |entry| or_dash(entry.row.device.as_ref())),
    ("pid", |entry| or_dash(entry.row.pid.as_ref())),
    ("sn", |entry| or_dash(entry.row.sn.as_ref())),
    ("virtual account", |entry| or_dash(entry.row.virtual_account.as_ref())),
    ("tag", |entry| or_dash(entry.row.entitlement_tag.as_ref())),
    ("name", |entry| or_dash(entry.row.license_name.as_ref())),
    ("quantity", |entry| or_dash(entry.row.quantity.as_ref())),
    ("measured", |entry| entry.row.measured_state.to_string()),
    ("report", |entry| or_dash(entry.row.last_report_id.as_ref())),
    ("sha256", |entry| or_dash(entry.row.source_sha256.as_ref())),
];

/// A snapshot in a sentence, and in whose place it stands.
fn told(head: &Head) -> String {
    let measured = head.completeness.map_or_else(
        || "nothing in it should be measured".to_owned(),
        |share| format!("{:.1} % of what should be is measured", share * 100.0),
    );
    let Head { snapshot_id, as_of, row_count, instances, .. } = head;
    let told = format!("snapshot {snapshot_id} as of {as_of}: {row_count} rows of {instances} instances, {measured}");
    match &head.corrects {
        Some(old) => format!("{told}\nit stands in place of snapshot {old}"),
        None => told,
    }
}

fn whole(path: &Path) -> Result<Whole, Stop> {
    read(path).map_err(|error| Stop::failed(with_causes(&error)))
}

/// The snapshot of the latest instant that is kept in JSON.
fn newest(config: crate::config::Config) -> Result<PathBuf, Stop> {
    let request = Request::Snapshots { folder: None };
    let lines = part!(ask(config, request, &mut |_| {})?, Answered::Snapshots(lines) => lines);
    let whole = |line: &&SnapshotLine| {
        let corrected = lines.iter().any(|other| other.corrects.as_ref() == Some(&line.snapshot_id));
        line.form == Form::Json && !corrected
    };
    let newest = lines.iter().rev().find(whole).map(|line| line.path.clone());
    newest.ok_or_else(|| Stop::usage("no snapshot in JSON is kept yet; see `snapshot create`"))
}

fn form(text: &str) -> Result<Form, String> {
    let form: Form = text.parse().map_err(|error: crate::domain::settings::UnknownWord| error.to_string())?;
    if form.is_built() { Ok(form) } else { Err(NO_PARQUET.to_owned()) }
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
