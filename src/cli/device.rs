//! `device`: the inventory and what is known of it.

use std::io::Write;
use std::path::PathBuf;

use super::ask::{ask, part};
use super::output::{self, Column, List, minute, or_dash, printable, word};
use super::{Exit, Listing, Stop, probe, rehearse, status};
use crate::config::Config;
use crate::control::{Answered, DeviceSheet, Reply, Request, TrustLine};
use crate::domain::digest::Sha256;
use crate::domain::instance::{DeviceName, Site};
use crate::domain::status::Row;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Verb {
    /// Every device, with its place in the register.
    List(Listing),
    /// All that is known of one device: identity, state, deadline, every write to it.
    Show {
        /// Its name in the inventory.
        name: String,
        #[command(flatten)]
        listing: Listing,
    },
    /// Try every access of one device: which works, why others do not, and what would mend them.
    ///
    /// Reads only. A refused login or a changed key ends it at once, and is kept as a poll keeps it. Exit code 0 when
    /// some access works.
    Probe {
        /// Its name in the inventory.
        name: String,
        #[command(flatten)]
        listing: Listing,
    },
    /// Run the whole loop on one device, step by step, with a question before each write.
    ///
    /// Identify, list, close or save and fetch as far as mode and reporter allow, then deliver the answers that wait
    /// for it and read back. A write that is declined ends its step and is not sent. At the end: what became of each
    /// step, every write that was sent, and files of ours that are left. Once for each model and software version
    /// before a fleet goes further than `observe`.
    Rehearse {
        /// Its name in the inventory.
        name: String,
        /// Yes to every question.
        #[arg(long)]
        yes: bool,
        #[command(flatten)]
        listing: Listing,
    },
    /// Note a session with one device, scrubbed, for the report of a device bug.
    ///
    /// Reads only. Passwords, keys, signatures, login names, host names, addresses, accounts and serial numbers are
    /// replaced by invented ones; read the file before you send it all the same. Exit code 1 when the session failed;
    /// what was said until then is written.
    Record {
        /// Its name in the inventory.
        name: String,
        /// The file; it must not be there yet. [default: slpc-record-<pid>-<os>-<software>.jsonl]
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Accept a changed certificate or host key after showing it.
    #[command(group(clap::ArgGroup::new("whom").args(["names", "site"]).required(true)))]
    Trust {
        /// Devices by name.
        #[arg(value_name = "DEVICE")]
        names: Vec<String>,
        /// Every device of a site that shows another certificate or host key.
        #[arg(long)]
        site: Option<String>,
        /// Accept what is shown; without it the list is only printed.
        #[arg(long)]
        accept: bool,
    },
    /// A device is gone for good: its obligation ends, its evidence stays.
    ///
    /// It must be off the inventory first. What it owed still goes into bundles. One that is seen again by a poll is
    /// no longer retired.
    Retire {
        /// Its name or its UDI (PID:…,SN:…), as `status` shows.
        whom: String,
        /// Why.
        #[arg(long)]
        note: String,
    },
    /// Another chassis stands in for one that is gone (RMA): the old one's obligation ends.
    ///
    /// The old one must be off the inventory first, unless the new one took its name.
    Replace {
        /// The old one's name or UDI (PID:…,SN:…).
        old: String,
        /// The new one's.
        new: String,
        /// For the record, such as the RMA's number.
        #[arg(long)]
        note: Option<String>,
    },
}

pub(super) fn run(verb: Verb, config: Config, out: &mut dyn Write) -> Result<Exit, Stop> {
    match verb {
        Verb::List(listing) => {
            let mut list = List::new(out, listing.format, LIST);
            let answered = ask(config, Request::Devices, &mut |reply| {
                if let Reply::Rows(rows) = reply {
                    list.add(&rows);
                }
            });
            part!(answered?, Answered::Nothing => list.end()?);
            Ok(Exit::Done)
        }
        Verb::Show { name, listing } => {
            let request = Request::Device { name: DeviceName::from(name) };
            let sheet = part!(ask(config, request, &mut |_| {})?, Answered::Device(sheet) => sheet);
            match listing.format {
                output::Format::Table => show(out, &sheet)?,
                output::Format::Json | output::Format::Ndjson => {
                    serde_json::to_writer_pretty(&mut *out, &sheet).map_err(Stop::failed)?;
                    writeln!(out)?;
                }
                output::Format::Csv => output::list(out, listing.format, &[sheet.row], status::COLUMNS)?,
            }
            Ok(Exit::Done)
        }
        Verb::Probe { name, listing } => {
            let request = Request::Probe { name: DeviceName::from(name) };
            let found = part!(ask(config, request, &mut |_| {})?, Answered::Probe(found) => found);
            probe::print(&found, listing.format, out)?;
            Ok(if found.works() { Exit::Done } else { Exit::Failed })
        }
        Verb::Rehearse { name, yes, listing } => {
            rehearse::run(DeviceName::from(name), yes, listing.format, config, out)
        }
        Verb::Record { name, out: file } => {
            let request = Request::Record { name: DeviceName::from(name) };
            let recording = part!(ask(config, request, &mut |_| {})?, Answered::Recording(recording) => recording);
            let path = file.unwrap_or_else(|| PathBuf::from(recording.file_name()));
            let unwritten = |error: std::io::Error| Stop::failed(format!("{}: {error}", path.display()));
            let mut file = std::fs::File::create_new(&path).map_err(unwritten)?;
            file.write_all(recording.text().as_bytes()).and_then(|()| file.sync_all()).map_err(unwritten)?;
            writeln!(out, "{}", printable(&path.display().to_string()))?;
            match &recording.head.failure {
                None => Ok(Exit::Done),
                Some(failure) => Err(Stop::failed(format!("the session failed: {failure}"))),
            }
        }
        Verb::Retire { whom, note } => ended(Request::Retire { whom, note }, config, out),
        Verb::Replace { old, new, note } => ended(Request::Replace { old, new, note }, config, out),
        Verb::Trust { names, site, accept } => {
            let devices: Vec<DeviceName> = names.into_iter().map(DeviceName::from).collect();
            let site = site.map(Site::from);
            let trust = |accept: Vec<(DeviceName, Sha256)>| {
                let request = Request::Trust { devices: devices.clone(), site: site.clone(), accept };
                Ok(part!(ask(config.clone(), request, &mut |_| {})?, Answered::Trust(lines) => lines))
            };
            let mut lines = trust(Vec::new())?;
            if accept {
                let shown = lines.iter().filter_map(|line| Some((line.device.clone(), line.presented?)));
                lines = trust(shown.collect())?;
            }
            output::list(out, output::Format::Table, &lines, TRUST)?;
            let waiting = lines.iter().filter(|line| line.presented.is_some()).count();
            if !accept && waiting > 0 {
                writeln!(out, "\nnothing is accepted yet: compare with the device, then add --accept")?;
            }
            let found = |name: &&DeviceName| lines.iter().any(|line| line.device == **name && line.presented.is_some());
            let missing: Vec<&DeviceName> = devices.iter().filter(|name| !found(name)).collect();
            for name in &missing {
                writeln!(
                    std::io::stderr(),
                    "slp-collector: '{name}' shows no other certificate or host key than is pinned"
                )?;
            }
            Ok(Exit::of(waiting, missing.len()))
        }
    }
}

const LIST: &[Column<Row>] = &[
    ("device", Row::name),
    ("site", |row| row.site.to_string()),
    ("instance", |row| row.instance.as_ref().map_or("-".to_owned(), |udi| format!("{} {}", udi.pid, udi.sn))),
    ("os", |row| or_dash(row.os.as_ref())),
    ("software", |row| or_dash(row.software.as_ref())),
    ("mode", |row| row.mode.as_ref().map(word).unwrap_or_default()),
    ("reporter", |row| row.reporter.as_ref().map(word).unwrap_or_default()),
    ("contact", |row| row.contact.to_string()),
    ("last contact", |row| minute(row.last_contact)),
    ("trouble", |row| row.trouble.clone().unwrap_or_default()),
];

/// Asks for the end of an obligation and prints what became of it.
fn ended(request: Request, config: Config, out: &mut dyn Write) -> Result<Exit, Stop> {
    let rows = part!(ask(config, request, &mut |_| {})?, Answered::Rows(rows) => rows);
    if rows.is_empty() {
        writeln!(out, "noted; it was never reached, so nothing was owed")?;
    } else {
        output::list(out, output::Format::Table, &rows, ENDED)?;
    }
    Ok(Exit::Done)
}

const ENDED: &[Column<Row>] = &[
    ("device", Row::name),
    ("instance", |row| row.instance.as_ref().map_or_else(String::new, |own| format!("{} {}", own.pid, own.sn))),
    ("state", |row| row.state.to_string()),
    ("waiting", |row| row.reports_waiting.to_string()),
    ("reason", |row| row.reason.clone()),
];

const TRUST: &[Column<TrustLine>] = &[
    ("device", |line| line.device.to_string()),
    ("key", |line| line.key_type.clone().unwrap_or_else(|| "certificate".to_owned())),
    ("pinned", |line| or_dash(line.pinned.as_ref())),
    ("shown", |line| or_dash(line.presented.as_ref())),
    ("accepted", |line| line.accepted.to_string()),
];

fn show(out: &mut dyn Write, sheet: &DeviceSheet) -> std::io::Result<()> {
    let row = &sheet.row;
    let mut line = |name: &str, value: String| writeln!(out, "{name:<16} {}", printable(&value));
    line("device", or_dash(row.device.as_ref()))?;
    line("address", or_dash(sheet.address.as_ref()))?;
    line("site", row.site.to_string())?;
    line("mode", row.mode.as_ref().map(word).unwrap_or_default())?;
    line("reporter", row.reporter.as_ref().map(word).unwrap_or_default())?;
    line("credential", or_dash(sheet.credential.as_ref()))?;
    line("trust", sheet.trust.clone())?;
    if let Some(windows) = &sheet.windows {
        line("windows", windows.clone())?;
    }
    line("certificate", or_dash(sheet.known.pin.as_ref()))?;
    let host_key = sheet.known.host_key.as_ref().map(|key| format!("{} {}", key.key_type, key.fingerprint));
    line("host key", or_dash(host_key.as_ref()))?;
    let learned = &sheet.known.learned;
    if let Some(access) = learned.access {
        let files = [("files by", learned.get), ("answers by", learned.put)];
        let ways = files.iter().filter_map(|(what, way)| way.map(|way| format!(", {what} {way}")));
        let teller = learned.teller.map(|teller| format!(", state by {teller}"));
        line("access", std::iter::once(access.to_string()).chain(teller).chain(ways).collect::<String>())?;
    }
    if let Some(instance) = &row.instance {
        line("instance", format!("PID:{},SN:{}", instance.pid, instance.sn))?;
    }
    for member in sheet.instance.iter().flat_map(|instance| &instance.members) {
        line("member", format!("{} {}", word(&member.role), member.udi))?;
    }
    line("software", format!("{} {}", or_dash(row.os.as_ref()), or_dash(row.software.as_ref())))?;
    line("accounts", format!("{} / {}", or_dash(row.smart_account.as_ref()), or_dash(row.virtual_account.as_ref())))?;
    line("transport", or_dash(row.transport.as_ref()))?;
    let state = sheet.instance.as_ref().and_then(|instance| instance.state.as_ref());
    if let Some(privacy) = state.and_then(|state| state.privacy) {
        let told = |sends| match sends {
            Some(true) => "sent",
            Some(false) => "kept back",
            None => "not told",
        };
        let (hostname, version) = (told(privacy.sends_hostname), told(privacy.sends_version));
        line("privacy", format!("host name {hostname}, software version {version}"))?;
    }
    line("policy", or_dash(row.policy.as_ref()))?;
    line("state", format!("{} ({})", row.state, row.reason))?;
    line("due", minute(row.due))?;
    line("leave by", minute(row.leave_by))?;
    if row.agrees == Some(false) {
        line("cross-check", format!("our own rule gives {}: more than a day apart", minute(row.computed)))?;
    }
    line("last ACK", minute(row.last_ack))?;
    line("contact", format!("{}, last {}", row.contact, minute(row.last_contact)))?;
    if let Some(skew) = row.clock_skew_seconds {
        line("clock", output::clock(skew))?;
    }
    if let Some(trouble) = &row.trouble {
        line("trouble", trouble.clone())?;
    }
    if let Some(instance) = &sheet.instance {
        let (kept, acknowledged) = (instance.collected.len(), instance.acknowledged.len());
        line("reports", format!("{kept} kept, {} waiting, {acknowledged} acknowledged", row.reports_waiting))?;
        for license in instance.state.iter().flat_map(|state| &state.licenses) {
            line("licence", format!("{} x {}", or_dash(license.name.as_ref()), or_dash(license.count.as_ref())))?;
        }
    }
    if sheet.known.writes.is_empty() {
        line("writes", "none: nothing was ever written to it".to_owned())?;
    }
    for write in &sheet.known.writes {
        let refused = write.refused.as_ref().map_or(String::new(), |cause| format!(" — refused: {cause}"));
        line("write", format!("{} {} {}{refused}", minute(Some(write.at)), word(&write.write), write.detail))?;
    }
    Ok(())
}
