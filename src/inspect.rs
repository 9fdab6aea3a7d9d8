//! `inspect`: what is in a file, told without a configuration, a ledger or a network.
//!
//! Files are told by their content. The JSON shapes are those of the interface: one object a
//! file, with the common keys `file`, `kind` and `problems`.

mod archive;
mod device_output;

use jiff::tz::TimeZone;
use serde_json::{Value, json};

use crate::domain::ack::AnswerFile;
use crate::domain::policy::Policy;
use crate::domain::problem::Problems;
use crate::domain::report::{ReportFacts, ReportType};
use crate::domain::rum_file::RumFile;
use crate::domain::slp_file::{self, SlpFile};
use crate::exchange::archive::{Limits, is_archive};

/// Was everything in the file read?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Completeness {
    /// Yes; its problems, if any, are remarks.
    Whole,
    /// No: cut off, damaged, in part or wholly not understood.
    NotWhole,
}

/// One file, looked at.
#[derive(Clone, Debug, PartialEq)]
pub struct Inspection {
    /// The object of the interface.
    pub json: Value,
    pub completeness: Completeness,
    /// The same for people: one line a thing; foreign text is not yet escaped.
    pub lines: Vec<String>,
}

/// Looks at `bytes`; `name` is only repeated. Never fails: what cannot be read is told in `problems`.
pub fn inspect(name: &str, bytes: &[u8]) -> Inspection {
    inspect_in(name, bytes, None)
}

/// The same for a file with output of a device in a known time zone.
pub fn inspect_in(name: &str, bytes: &[u8], zone: Option<&TimeZone>) -> Inspection {
    if is_archive(bytes) {
        return archive::inspect(name, bytes, &Limits::default());
    }
    let file = slp_file::read(bytes);
    let kind = kind(&file);
    match &file {
        SlpFile::Rum(rum) => finished(
            name,
            kind,
            &rum.problems,
            rum_json(rum),
            rum.reports.iter().map(|r| report_line(&r.facts)).collect(),
        ),
        SlpFile::Answer(answer) => finished(name, kind, &answer.problems, answer_json(answer), answer_lines(answer)),
        SlpFile::Unknown(problems) => device_output::inspect(name, bytes, zone)
            .unwrap_or_else(|| finished(name, kind, problems, json!({}), Vec::new())),
    }
}

fn kind(file: &SlpFile) -> &'static str {
    match file {
        SlpFile::Rum(_) => "rum-report-file",
        SlpFile::Answer(_) => "ack-file",
        SlpFile::Unknown(_) => "unknown",
    }
}

/// Puts the common keys to the others.
pub(crate) fn finished(name: &str, kind: &str, problems: &Problems, mut json: Value, lines: Vec<String>) -> Inspection {
    json["file"] = name.into();
    json["kind"] = kind.into();
    json["problems"] = problems.sentences().into();
    let completeness = if problems.is_whole() { Completeness::Whole } else { Completeness::NotWhole };
    Inspection { json, completeness, lines }
}

fn rum_json(file: &RumFile) -> Value {
    let reports: Vec<&ReportFacts> = file.reports.iter().map(|report| &report.facts).collect();
    json!({ "system_info": file.system_info, "reports": reports })
}

fn answer_json(file: &AnswerFile) -> Value {
    let mut json = json!({
        "parts": file.parts,
        "udi": file.udi(),
        "policy": file.policy,
        "account": file.account,
        "acknowledgements": file.acknowledgements,
        "licences": file.licences,
        "correlation_id": file.correlation_id,
    });
    if file.udis.len() > 1 {
        json["udis"] = json!(file.udis);
    }
    json
}

fn report_line(facts: &ReportFacts) -> String {
    let of = match (&facts.entitlement_tag, &facts.report_type) {
        (Some(tag), _) => tag.to_string(),
        (None, ReportType::Telemetry) => "telemetry".to_owned(),
        (None, ReportType::Other(word)) => word.clone(),
        (None, ReportType::Entitlement) => "no entitlement tag".to_owned(),
    };
    let time = |time: Option<jiff::Timestamp>| time.map_or("?".to_owned(), |time| time.to_string());
    let count = facts.measurements.iter().rev().find_map(|measurement| measurement.value);
    format!(
        "report {}  {} {}  {of}  {} to {}  last count {}",
        facts.report_id,
        facts.udi.pid,
        facts.udi.sn,
        time(facts.start()),
        time(facts.end()),
        count.map_or("none".to_owned(), |count| count.to_string())
    )
}

fn answer_lines(file: &AnswerFile) -> Vec<String> {
    let parts: Vec<&str> = file.parts.iter().map(|part| part.as_str()).collect();
    let mut lines = vec![format!("parts: {}", parts.join(", "))];
    lines.extend(file.udis.iter().map(|udi| format!("for {udi}")));
    lines.extend(file.policy.iter().flat_map(policy_lines));
    if let Some(account) = &file.account {
        lines.push(account_line(account.smart_account.as_deref(), account.virtual_account.as_deref()));
    }
    lines.extend(file.acknowledgements.iter().map(|one| format!("acknowledges report {}", one.report_id)));
    lines
}

fn policy_lines(policy: &Policy) -> Vec<String> {
    let name = policy.name.as_deref().unwrap_or("without a name");
    let ack = policy.ack_required.map_or("not told", |required| if required { "yes" } else { "no" });
    let mut lines = vec![format!("policy {name}, acknowledgement required: {ack}")];
    for (class, days) in [
        ("perpetual", policy.perpetual),
        ("subscription", policy.subscription),
        ("enforced", policy.enforced),
        ("export", policy.export),
    ] {
        let days = days.unwrap_or_default();
        let show = |days: Option<u32>| days.map_or("-".to_owned(), |days| days.to_string());
        lines.push(format!(
            "  {class}: first report {}, then every {}, on change {} days",
            show(days.first_report_days),
            show(days.reporting_frequency_days),
            show(days.report_on_change_days)
        ));
    }
    lines
}

fn account_line(smart: Option<&str>, of: Option<&str>) -> String {
    format!("Smart Account {}, Virtual Account {}", smart.unwrap_or("not told"), of.unwrap_or("not told"))
}
