//! `device probe`: what was found, for a person.

use std::io::Write;

use super::output::{self, Format, or_dash, printable, word};
use crate::device::mend::{Known, Mend};
use crate::flow::probe::{Agreed, Probe, Tested, Way};

/// The whole of it: a page for a person, a document for a program; as CSV the accesses alone.
pub(super) fn print(probe: &Probe, format: Format, out: &mut dyn Write) -> std::io::Result<()> {
    match format {
        Format::Table => page(probe, out),
        Format::Json => {
            serde_json::to_writer_pretty(&mut *out, probe)?;
            writeln!(out)
        }
        Format::Ndjson => output::list(out, format, std::slice::from_ref(probe), &[]),
        Format::Csv => output::list(out, format, &probe.accesses, COLUMNS),
    }
}

const COLUMNS: &[output::Column<Tested>] = &[
    ("access", |tested| tested.access.to_string()),
    ("works", |tested| tested.works.to_string()),
    ("model", |tested| tested.model.as_ref().map(word).unwrap_or_default()),
    ("reports", |tested| tested.reports.to_string()),
    ("failure", |tested| tested.failure.as_ref().map(|(_, cause)| cause.clone()).unwrap_or_default()),
    ("mend", |tested| tested.mend.iter().map(mend).collect::<Vec<_>>().join("; ")),
];

fn page(probe: &Probe, out: &mut dyn Write) -> std::io::Result<()> {
    let mut line = |name: &str, text: &str| writeln!(out, "{}", format!("{name:<16} {}", printable(text)).trim_end());
    line("device", &probe.device.to_string())?;
    line("address", &or_dash(probe.address.as_ref()))?;
    if let Some(identity) = &probe.identity {
        line("instance", &identity.udi.to_string())?;
        line("software", &format!("{} {}", identity.os, or_dash(identity.software.as_ref())))?;
        line("host name", &or_dash(identity.hostname.as_ref()))?;
    }
    if let Some(clock) = &probe.clock {
        let apart = clock.ahead_seconds.map_or("its distance from ours is not known".to_owned(), apart);
        line("clock", &format!("{} ({apart})", clock.text))?;
    }
    if let Some(certificate) = &probe.certificate {
        line("certificate", &format!("SHA-256 {certificate}"))?;
    }
    for tested in &probe.accesses {
        line(&tested.access.to_string(), &told(tested))?;
        for mend in &tested.mend {
            line("", &format!("  mend: {}", self::mend(mend)))?;
        }
    }
    for access in &probe.not_tried {
        line(&access.to_string(), "not tried")?;
    }
    for agreed in &probe.ssh {
        for (name, text) in of_ssh(agreed) {
            line(&name, &text)?;
        }
    }
    for way in &probe.files {
        line(&format!("files by {}", way.way), &of_way(way))?;
        for mend in &way.mend {
            line("", &format!("  mend: {}", self::mend(mend)))?;
        }
    }
    if let Some(stopped) = &probe.stopped {
        line("stopped", stopped)?;
    }
    let teller = probe.teller.map_or(String::new(), |teller| format!(", state by {teller}"));
    let chosen = probe.chosen.map_or("none".to_owned(), |chosen| format!("{chosen}{teller}"));
    line("would be chosen", &chosen)
}

fn told(tested: &Tested) -> String {
    let remark = tested.remark.as_ref().map_or(String::new(), |remark| format!("; {remark}"));
    match &tested.failure {
        Some((blame, cause)) => format!("no: {}: {cause}{remark}", word(blame)),
        None => {
            let model =
                tested.model.as_ref().map_or("model unknown".to_owned(), |model| format!("model {}", word(model)));
            format!("works: {model}, {} reports listed{remark}", tested.reports)
        }
    }
}

fn mend(mend: &Mend) -> String {
    let inferred = match mend.known {
        Known::Documented => "",
        Known::Inferred => "   (inferred)",
    };
    match mend.os {
        Some(os) => format!("{os}: {}{inferred}", mend.line),
        None => format!("{}{inferred}", mend.line),
    }
}

fn of_ssh(agreed: &Agreed) -> Vec<(String, String)> {
    let mac = |mac: &str| if mac.is_empty() { "of the cipher".to_owned() } else { mac.to_owned() };
    let mut lines = vec![
        (format!("{} server", agreed.access), agreed.server.clone()),
        ("  host key".to_owned(), format!("{} {}", agreed.host_key_type, agreed.fingerprint)),
        (
            "  agreed".to_owned(),
            format!(
                "kex {}, host key {}, cipher {}, MAC out {}, in {}",
                agreed.kex,
                agreed.host_key_algorithm,
                agreed.cipher,
                mac(&agreed.mac_out),
                mac(&agreed.mac_in)
            ),
        ),
    ];
    if !agreed.outdated.is_empty() {
        lines.push(("  outdated".to_owned(), agreed.outdated.join(", ")));
    }
    lines
}

fn of_way(way: &Way) -> String {
    match (&way.failure, way.put) {
        (Some(cause), _) => format!("no: {cause}"),
        (None, true) => "off the device and, as inferred, onto it".to_owned(),
        (None, false) => "off the device".to_owned(),
    }
}

fn apart(ahead: i64) -> String {
    match ahead {
        0 => "as ours".to_owned(),
        ahead if ahead > 0 => format!("{ahead} s ahead of ours"),
        behind => format!("{} s behind ours", behind.unsigned_abs()),
    }
}
