//! What a device printed, under inspection: `show license …`, `show version`, `show inventory`, sessions.

use std::borrow::Cow;

use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::{Inspection, finished};
use crate::domain::deadline::Basis;
use crate::domain::problem::Problems;
use crate::domain::show_license::{self, CrossCheck, Kind, Reading};
use crate::domain::state::{DeviceState, Stamp};

/// The object of the interface for a device's output; `None` when the text is none that we know.
pub(super) fn inspect(name: &str, bytes: &[u8], zone: Option<&TimeZone>) -> Option<Inspection> {
    let text = String::from_utf8_lossy(bytes);
    let text = out_of_json(&text).map_or(text, Cow::Owned);
    let reading = show_license::read(&text, zone);
    let mut problems = Problems::default();
    // Terminal logs have a stray byte now and then; nothing around it is lost.
    if let Err(error) = std::str::from_utf8(bytes) {
        problems.remark(format!("byte {} is not UTF-8 text", error.valid_up_to()));
    }
    problems.take(reading.problems.clone());
    match reading.kind {
        Kind::ShowLicense => {
            let check = show_license::cross_check(&reading.state, reading.os);
            let lines = license_lines(&reading, &check);
            Some(finished(name, "show-license", &problems, license_json(&reading, &check), lines))
        }
        Kind::ShowVersion => {
            Some(finished(name, "show-version", &problems, chassis_json(&reading), chassis_lines(&reading)))
        }
        Kind::ShowInventory => {
            if reading.chassis.is_none() {
                problems.fault("no part of the inventory is the chassis");
            }
            Some(finished(name, "show-inventory", &problems, chassis_json(&reading), chassis_lines(&reading)))
        }
        Kind::Refusal => {
            let mut refusal = Problems::default();
            for refused in &reading.complaints {
                refusal.fault(format!("the device refused a command: {}", refused.complaint.text));
            }
            Some(finished(name, "unknown", &refusal, json!({ "os": reading.os }), Vec::new()))
        }
        Kind::Unknown => None,
    }
}

/// The output in an answer of NX-API, where it is a text inside of JSON.
fn out_of_json(text: &str) -> Option<String> {
    if !text.trim_start().starts_with(['{', '[']) {
        return None;
    }
    let mut outputs = Vec::new();
    lines_in(&serde_json::from_str(text).ok()?, &mut outputs);
    (!outputs.is_empty()).then(|| outputs.join("\n"))
}

/// The outputs under the names that NX-API gives them; the depth is bounded by the JSON reader.
fn lines_in(value: &Value, outputs: &mut Vec<String>) {
    match value {
        Value::Array(values) => values.iter().for_each(|value| lines_in(value, outputs)),
        Value::Object(members) => members.iter().for_each(|(key, value)| match value {
            Value::String(text) if ["body", "msg", "clierror"].contains(&key.as_str()) && text.contains('\n') => {
                outputs.push(text.clone());
            }
            value => lines_in(value, outputs),
        }),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn license_json(reading: &Reading, check: &CrossCheck) -> Value {
    let state = &reading.state;
    let udi = state.udi.as_ref().map(|udi| json!({ "pid": udi.pid, "sn": udi.sn, "uuid": state.uuid }));
    let mut json = json!({
        "os": reading.os,
        "hostname": reading.hostname,
        "version": reading.software,
        "clock": reading.clock,
        "model": state.model,
        "smart_account": state.smart_account,
        "virtual_account": state.virtual_account,
        "transport": state.transport,
        "privacy": state.privacy,
        "policy": state.policy,
        "usage_reporting": state.usage_reporting,
        "trust_codes": state.trust_codes,
        "udi": udi,
        "members": state.members,
        "licenses": state.licenses,
        "reserved": state.reserved,
        "reports": state.reports,
        "rum_ids": state.rum_ids,
        "agent_version": state.agent_version,
        "authorizations": state.authorizations,
        "compliance": state.compliance,
        "deadline": check,
    });
    if !reading.traditional.is_empty() {
        json["traditional"] = json!(reading.traditional);
    }
    if let Some(host_id) = &reading.host_id {
        json["host_id"] = json!(host_id);
    }
    if let Some(platform) = &reading.platform {
        json["platform"] = json!(platform);
    }
    json
}

fn chassis_json(reading: &Reading) -> Value {
    json!({
        "os": reading.os,
        "hostname": reading.hostname,
        "version": reading.software,
        "udi": reading.chassis,
    })
}

fn chassis_lines(reading: &Reading) -> Vec<String> {
    vec![format!(
        "{}  {}  version {}  {}",
        reading.os.unwrap_or("system not told"),
        reading.hostname.as_deref().unwrap_or("host not told"),
        reading.software.as_deref().unwrap_or("not told"),
        reading.chassis.as_ref().map_or_else(|| "chassis not told".to_owned(), ToString::to_string),
    )]
}

fn license_lines(reading: &Reading, check: &CrossCheck) -> Vec<String> {
    let state = &reading.state;
    let model = serde_json::to_value(state.model).unwrap_or_default();
    let mut lines = vec![format!(
        "{}  model {}  {}",
        reading.os.unwrap_or("system not told"),
        model.as_str().unwrap_or_default(),
        state.udi.as_ref().map_or_else(|| "UDI not told".to_owned(), ToString::to_string),
    )];
    lines.extend(state.members.iter().map(|member| {
        let role = serde_json::to_value(member.role).unwrap_or_default();
        format!("{} {}", role.as_str().unwrap_or_default(), member.udi)
    }));
    let account = &state.account();
    if account.smart_account.is_some() || account.virtual_account.is_some() {
        lines.push(super::account_line(account.smart_account.as_deref(), account.virtual_account.as_deref()));
    }
    if let Some(transport) = &state.transport {
        let kind = transport.kind.as_deref().unwrap_or("not told");
        lines.push(format!("transport {kind} {}", transport.url.as_deref().unwrap_or_default()).trim_end().to_owned());
    }
    lines.extend(state.policy.iter().flat_map(|policy| super::policy_lines(policy)));
    lines.extend(reporting_line(state));
    lines.extend(deadline_line(check));
    lines.extend(state.licenses.iter().map(|license| {
        let count = license.count.map_or_else(|| "-".to_owned(), |count| count.to_string());
        let told = [&license.status, &license.license_type, &license.enforcement];
        let told: Vec<&str> = told.into_iter().flatten().map(|word| &**word).collect();
        format!("licence {}  {count}  {}", license.name.as_deref().unwrap_or("without a name"), told.join(", "))
    }));
    lines.extend(state.reserved.iter().map(|reserved| {
        let count = reserved.count.map_or_else(|| "-".to_owned(), |count| count.to_string());
        let name = reserved.name.as_deref().unwrap_or("not told what");
        format!("reserved {name}  {count}  {}", reserved.authorization.as_deref().unwrap_or_default())
    }));
    for code in state.authorizations.iter().flat_map(|printed| &printed.codes) {
        let udi = code.udi.as_ref().map_or_else(String::new, |udi| format!(" {udi}"));
        lines.push(format!("authorization code{udi}  {}", code.status));
    }
    lines.extend(state.authorizations.iter().flat_map(|printed| &printed.allowed).map(|allowed| {
        let count = allowed.count.map_or_else(|| "-".to_owned(), |count| count.to_string());
        format!("authorized {}  {count}", allowed.name.as_deref().unwrap_or("not told what"))
    }));
    if let Some(reports) = &state.reports {
        let show = |count: Option<u64>| count.map_or_else(|| "-".to_owned(), |count| count.to_string());
        lines.push(format!(
            "reports {} in all, {} acknowledged, {} waiting for an ACK, {} available, {} purged",
            show(reports.total),
            show(reports.acknowledged),
            show(reports.waiting_for_ack),
            show(reports.available),
            show(reports.purged)
        ));
    }
    lines.extend(state.rum_ids.iter().map(|listed| {
        let word = listed.state.and_then(|state| serde_json::to_value(state).ok());
        let word = word.as_ref().and_then(Value::as_str).unwrap_or("state not told");
        format!("report {}  {word}  {}", listed.report_id, listed.feature.as_deref().unwrap_or_default())
            .trim_end()
            .to_owned()
    }));
    if let Some(status) = reading.platform.as_ref().and_then(|platform| platform.upgrade_status.as_deref()) {
        lines.push(format!("right to upgrade: {status}"));
    }
    lines
}

fn reporting_line(state: &DeviceState) -> Option<String> {
    let reporting = &state.usage_reporting;
    let show =
        |stamp: &Option<Box<Stamp>>| stamp.as_ref().map_or_else(|| "none".to_owned(), |stamp| stamp.text.to_string());
    (reporting.push_interval_days.is_some() || reporting.last_ack.is_some()).then(|| {
        format!(
            "last ACK {}, last push {}, last file {}",
            show(&reporting.last_ack),
            show(&reporting.last_push),
            show(&reporting.last_file_write)
        )
    })
}

fn deadline_line(check: &CrossCheck) -> Option<String> {
    let due = check.due.as_ref()?;
    if check.basis != Basis::DeviceStated {
        return Some(format!("next ACK due {} by our own rule, {}", due.text, check.basis));
    }
    let ours = match (&check.computed, check.agrees) {
        (Some(_), Some(true)) => "our own rule agrees".to_owned(),
        (Some(computed), Some(false)) => format!("our own rule says {}", computed.text),
        (Some(_), None) | (None, _) => "our own rule cannot tell".to_owned(),
    };
    Some(format!("next ACK due {}, stated by the device; {ours}", due.text))
}
