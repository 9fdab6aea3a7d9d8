//! `report`: RUM reports, what is kept of them and what happened to them.

use std::io::Write;
use std::path::PathBuf;

use super::ask::{ask, part};
use super::output::{self, Column, minute, or_dash, printable};
use super::{Exit, Listing, Stop};
use crate::config::Config;
use crate::control::{Answered, Reply, ReportBytes, ReportLife, ReportLine, Request};
use crate::domain::instance::DeviceName;
use crate::domain::report::ReportId;
use crate::flow::brought::Brought;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Verb {
    /// Kept reports that are not acknowledged; with --all every kept report.
    List {
        /// Only those of this device.
        #[arg(long)]
        device: Option<String>,
        /// Also those that are acknowledged.
        #[arg(long)]
        all: bool,
        #[command(flatten)]
        listing: Listing,
    },
    /// One report: what it says, and its life from device to acknowledgement.
    Show {
        /// Its number, as `report list` shows it.
        id: u64,
        #[command(flatten)]
        listing: Listing,
    },
    /// Take reports that a person saved on devices (`license smart save usage …`), in files or archives of them.
    Import {
        /// Files as they were saved.
        #[arg(value_name = "FILE", required = true)]
        files: Vec<PathBuf>,
        /// Whose they are, by its name in the inventory; else the known instance, or the host name in the file where
        /// it is that of a device with access by-hand.
        #[arg(long)]
        device: Option<String>,
        #[command(flatten)]
        listing: Listing,
    },
    /// Write the signed bytes, exactly as collected, a file a report.
    Export {
        /// Report ids; none: every kept report.
        ids: Vec<u64>,
        /// Only those of this device.
        #[arg(long)]
        device: Option<String>,
        /// The folder to write to; made if missing.
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
    },
}

pub(super) fn run(verb: Verb, config: Config, out: &mut dyn Write) -> Result<Exit, Stop> {
    match verb {
        Verb::List { device, all, listing } => {
            let request = Request::Reports { device: device.map(DeviceName::from), all };
            let lines = part!(ask(config, request, &mut |_| {})?, Answered::Reports(lines) => lines);
            output::list(out, listing.format, &lines, COLUMNS)?;
            Ok(Exit::Done)
        }
        Verb::Show { id, listing } => {
            let request = Request::Report { id: ReportId(id) };
            let lives = part!(ask(config, request, &mut |_| {})?, Answered::Report(lives) => lives);
            match listing.format {
                output::Format::Table => lives.iter().try_for_each(|life| show(out, life))?,
                format => {
                    let columns: &[Column<ReportLife>] = &[
                        ("report", |life| life.line.report_id.to_string()),
                        ("instance", |life| life.line.udi.to_string()),
                        ("events", |life| life.events.len().to_string()),
                    ];
                    output::list(out, format, &lives, columns)?;
                }
            }
            Ok(Exit::Done)
        }
        Verb::Import { files, device, listing } => import(files, device, listing, config, out),
        Verb::Export { ids, device, out: dir } => {
            let ids = ids.into_iter().map(ReportId).collect();
            std::fs::create_dir_all(&dir).map_err(|error| Stop::failed(format!("{}: {error}", dir.display())))?;
            let request = Request::ReportBytes { ids, device: device.map(DeviceName::from) };
            let mut written = Ok(());
            ask(config, request, &mut |reply| {
                if let (Reply::Bytes(report), Ok(())) = (&reply, &written) {
                    written = export(out, &dir, report);
                }
            })?;
            written.map(|()| Exit::Done)
        }
    }
}

const COLUMNS: &[Column<ReportLine>] = &[
    ("device", |line| or_dash(line.device.as_ref())),
    ("instance", |line| format!("{} {}", line.udi.pid, line.udi.sn)),
    ("report", |line| line.report_id.to_string()),
    ("start", |line| minute(line.start)),
    ("end", |line| minute(line.end)),
    ("collected", |line| minute(Some(line.collected))),
    ("state", |line| or_dash(line.state.as_ref())),
    ("bundle", |line| or_dash(line.bundle.as_ref())),
    ("entitlement", |line| or_dash(line.entitlement_tag.as_ref())),
    ("payload sha256", |line| line.payload_sha256.to_string()),
];

fn show(out: &mut dyn Write, life: &ReportLife) -> std::io::Result<()> {
    let (line, facts) = (&life.line, &life.facts);
    writeln!(out, "report {} of {}", line.report_id, printable(&line.udi.to_string()))?;
    writeln!(out, "  entitlement     {}", printable(&or_dash(line.entitlement_tag.as_ref())))?;
    writeln!(out, "  payload sha256  {}", line.payload_sha256)?;
    writeln!(out, "  object          {}", line.object)?;
    writeln!(out, "  state           {}", or_dash(line.state.as_ref()))?;
    for measured in &facts.measurements {
        let value = or_dash(measured.value.as_ref());
        let reason = measured.termination_reason.as_deref().unwrap_or_default();
        let clock = measured.clock_change_seconds.map_or(String::new(), |s| format!(" clock moved by {s} s"));
        let (start, end) = (minute(measured.start), minute(measured.end));
        writeln!(out, "  measured        {start} to {end}: {value} {}{clock}", printable(reason))?;
    }
    life.events.iter().try_for_each(|(at, event, by)| {
        let by = by.as_ref().map_or_else(String::new, |by| format!("  [{by}]"));
        writeln!(out, "  {at}  {}", printable(&format!("{event}{by}")))
    })
}

fn import(
    files: Vec<PathBuf>,
    device: Option<String>,
    listing: Listing,
    config: Config,
    out: &mut dyn Write,
) -> Result<Exit, Stop> {
    let (read, mut failed) = super::ack::read_all(files)?;
    let (mut worked, mut conflicting) = (0, 0);
    let mut lines = Vec::new();
    if !read.is_empty() {
        let request = Request::ImportReports { files: read, device: device.map(DeviceName::from) };
        ask(config, request, &mut |reply| {
            if let Reply::Brought(brought) = reply {
                worked += usize::from(brought.kept + brought.known > 0);
                conflicting += usize::from(!brought.conflicts.is_empty());
                failed += usize::from(!brought.problems.is_empty());
                lines.push(brought);
            }
        })?;
    }
    match listing.format {
        output::Format::Table => {
            for line in &lines {
                writeln!(out, "{}", printable(&told(line)))?;
            }
        }
        format => output::list(out, format, &lines, BROUGHT)?,
    }
    Ok(if conflicting > 0 && failed == 0 && worked == 0 {
        Exit::NotVerified
    } else {
        Exit::of(worked, failed + conflicting)
    })
}

const BROUGHT: &[Column<Brought>] = &[
    ("name", |line| line.name.clone()),
    ("instance", |line| line.udi.as_ref().map_or_else(String::new, |udi| format!("{} {}", udi.pid, udi.sn))),
    ("device", |line| or_dash(line.device.as_ref())),
    ("kept", |line| line.kept.to_string()),
    ("known", |line| line.known.to_string()),
    ("conflicts", |line| line.conflicts.len().to_string()),
    ("told", told),
];

fn told(line: &Brought) -> String {
    let name = &line.name;
    let Some(udi) = &line.udi else { return format!("{name}: not taken: {}", line.problems.join("; ")) };
    let whose = match &line.device {
        Some(device) => format!("{device} ({udi})"),
        None => format!("{udi}, which is no device of the inventory; --device says which it is"),
    };
    let mut text = format!("{name}: {} reports kept, {} here before, of {whose}", line.kept, line.known);
    if let Some(device) = &line.bound {
        text += &format!("; '{device}' is known as this instance from now on");
    }
    if !line.conflicts.is_empty() {
        let ids: Vec<String> = line.conflicts.iter().map(ToString::to_string).collect();
        text += &format!("; came again with other bytes, both kept: {}", ids.join(" "));
    }
    if !line.problems.is_empty() {
        text += &format!("; {}", line.problems.join("; "));
    }
    text
}

fn export(out: &mut dyn Write, dir: &std::path::Path, report: &ReportBytes) -> Result<(), Stop> {
    let bytes = data_encoding::BASE64.decode(report.base64.as_bytes()).map_err(Stop::failed)?;
    let safe = |text: &str| {
        text.chars()
            .map(|c| if c.is_ascii_alphanumeric() || c == '-' || c == '.' { c } else { '_' })
            .collect::<String>()
    };
    let name = format!("rum-{}-{}-{}.json", safe(&report.udi.pid), safe(&report.udi.sn), report.report_id);
    let path = dir.join(name);
    std::fs::write(&path, bytes).map_err(|error| Stop::failed(format!("{}: {error}", path.display())))?;
    Ok(writeln!(out, "{}", path.display())?)
}
