//! What `show license …` prints: the layout of IOS XE 17 captures; IOS XR and NX-OS as in our drafts, which no public
//! capture confirms but for NX-OS's usage blocks.

use std::fmt::Write as _;

use crate::cli::time::stamp;
use crate::licence::{Class, Licence};
use crate::policy::Frequency;
use crate::report::ReportState;
use crate::spec::{Spec, Transport};
use crate::state::State;
use crate::system::System;
use crate::udi::{Member, Role};

const RULE: &str = "======================";

pub fn all(spec: &Spec, state: &State) -> String {
    let mut text = format!("Smart Licensing Status\n{RULE}\n\nSmart Licensing is ENABLED\n\n");
    if spec.os == System::IosXe {
        text.push_str("Export Authorization Key:\n  Features Authorized:\n    <none>\n\n");
    }
    text.push_str(&status(spec, state));
    text.push_str("\nLicense Usage\n=============\n\n");
    text.push_str(&match spec.os {
        System::IosXe => blocks(spec, state),
        System::IosXr | System::NxOs => usage(spec, state),
    });
    let _ = write!(text, "Product Information\n===================\n{}", udi(state));
    let _ = write!(text, "Agent Version\n=============\nSmart Agent for Licensing: {}\n\n", agent(spec.os));
    text.push_str("License Authorizations\n======================\n");
    text.push_str(&authorization(state));
    text.push_str("\nUsage Report Summary:\n=====================\n");
    text.push_str(&report_summary(state));
    text
}

fn agent(os: System) -> &'static str {
    match os {
        System::IosXe => "5.5.16_rel/62",
        System::IosXr => "5.8.4_rel/50",
        System::NxOs => "5.5.0_rel/12",
    }
}

fn report_summary(state: &State) -> String {
    let count = |wanted: &[ReportState]| state.reports.iter().filter(|known| wanted.contains(&known.state)).count();
    let purged = count(&[ReportState::Purged]);
    format!(
        "Total: {},  Purged: {purged}\nTotal Acknowledged Received: {},  Waiting for Ack: {}\nAvailable to Report: {}  \
         Collecting Data: {}\n",
        state.reports.len() - purged,
        count(&[ReportState::Acknowledged]),
        count(&[ReportState::Unacknowledged]),
        count(&[ReportState::Closed, ReportState::Unacknowledged]),
        count(&[ReportState::Open]),
    )
}

pub fn status(spec: &Spec, state: &State) -> String {
    let mut text = String::from(
        "Utility:\n  Status: DISABLED\n\nSmart Licensing Using Policy:\n  Status: ENABLED\n\nAccount Information:\n",
    );
    text.push_str(&account(spec, state));
    text.push_str(
        "\nData Privacy:\n  Sending Hostname: yes\n    Callhome hostname privacy: DISABLED\n    Smart Licensing hostname \
         privacy: DISABLED\n  Version privacy: DISABLED\n\nTransport:\n",
    );
    text.push_str(match spec.transport {
        Transport::Off => "  Type: Transport Off\n",
        Transport::Cslu => "  Type: cslu\n  Cslu address: <empty>\n  Proxy:\n    Not Configured\n",
        Transport::Smart => {
            "  Type: Smart\n  URL: https://smartreceiver.cisco.com/licservice/license\n  Proxy:\n    Not Configured\n    \
             VRF: <empty>\n"
        }
        Transport::Callhome => "  Type: Callhome\n",
    });
    // The custom id stands before the policy in some captures and behind it in others.
    text.push_str("\nMiscellaneous:\n  Custom Id: <empty>\n\nPolicy:\n");
    text.push_str(&policy(spec, state));
    let _ = write!(
        text,
        "\nUsage Reporting:\n  Last ACK received: {}\n  Next ACK deadline: {}\n  Reporting push interval: 30  days\n  \
         Next ACK push check: <none>\n  Next report push: <none>\n  Last report push: <none>\n  Last report file write: \
         {}\n\n",
        stamp(spec, state.last_ack),
        stamp(spec, state.due),
        stamp(spec, state.last_save),
    );
    match state.trusted {
        None => text.push_str("Trust Code Installed: <none>\n"),
        Some(at) => {
            text.push_str("Trust Code Installed:\n");
            for member in &state.members {
                let (role, udi) = (role(member), &member.udi);
                let _ = write!(text, "  {role}: {udi}\n    INSTALLED on {}\n", stamp(spec, Some(at)));
            }
        }
    }
    text
}

/// The account, with the time it was learnt where a trust code says one was.
fn account(spec: &Spec, state: &State) -> String {
    let Some(account) = &state.account else {
        return "  Smart Account: <none>\n  Virtual Account: <none>\n".to_string();
    };
    let since = state.last_ack.or(state.trusted);
    let since = since.map_or_else(String::new, |at| format!(" As of {}", stamp(spec, Some(at))));
    format!("  Smart Account: {}{since}\n  Virtual Account: {}\n", account.smart, account.virtual_name)
}

fn policy(spec: &Spec, state: &State) -> String {
    let policy = &state.policy;
    let by = if policy.name.is_some() { "Customer Policy" } else { "CISCO default" };
    let mut text = match state.policy_installed {
        Some(at) => format!("  Policy in use: Installed On {}\n", stamp(spec, Some(at))),
        None => "  Policy in use: Merged from multiple sources.\n".to_string(),
    };
    if let Some(name) = &policy.name {
        let _ = writeln!(text, "  Policy name: {name}");
    }
    let required = if policy.ack_required { "yes" } else { "no" };
    let _ = writeln!(text, "  Reporting ACK required: {required} ({by})");
    for (group, Frequency { first, ongoing, change }) in [
        ("Unenforced/Non-Export Perpetual Attributes", policy.perpetual),
        ("Unenforced/Non-Export Subscription Attributes", policy.subscription),
        ("Enforced (Perpetual/Subscription) License Attributes", policy.enforced),
        ("Export (Perpetual/Subscription) License Attributes", policy.export),
    ] {
        let _ = write!(
            text,
            "  {group}:\n    First report requirement (days): {first} ({by})\n    Reporting frequency (days): {ongoing} \
             ({by})\n    Report on change (days): {change} ({by})\n"
        );
    }
    text
}

pub fn usage(spec: &Spec, state: &State) -> String {
    // IOS XR's drafts end the first line with a space, as classic Smart Licensing did.
    let space = if spec.os == System::IosXr { " " } else { "" };
    let blocks = blocks(spec, state);
    let blocks = if blocks.is_empty() { "No licenses in use\n\n".to_string() } else { blocks };
    format!("License Authorization:{space}\n  Status: Not Applicable\n\n{blocks}")
}

/// A block for each licence in use.
fn blocks(spec: &Spec, state: &State) -> String {
    let used = state.licences.iter().filter(|licence| licence.count > 0);
    used.map(|licence| block(spec.os, licence)).collect()
}

fn block(os: System, licence: &Licence) -> String {
    let (name, count, short) = (&licence.name, licence.count, short(licence));
    let status = format!("  Description: {name}\n  Count: {count}\n  Version: 1.0\n  Status: IN USE\n");
    if os == System::NxOs {
        return format!("({short}):\n{status}  Enforcement Type: NOT ENFORCED\n  License Type: Generic\n\n");
    }
    let (export, enforced, class) = match licence.class {
        Class::Perpetual => ("NOT RESTRICTED", "NOT ENFORCED", "Perpetual"),
        Class::Subscription => ("NOT RESTRICTED", "NOT ENFORCED", "Subscription"),
        Class::Enforced => ("NOT RESTRICTED", "ENFORCED", "Perpetual"),
        Class::Export => ("RESTRICTED - ALLOWED", "EXPORT RESTRICTED", "Perpetual"),
    };
    format!(
        "{name} ({short}):\n{status}  Export status: {export}\n  Feature Name: {name}\n  Feature Description: {name}\n  \
         Enforcement type: {enforced}\n  License type: {class}\n\n"
    )
}

/// `DNA_P_250M_A` of `regid.2020-01.com.cisco.DNA_P_250M_A,1.0_…`.
fn short(licence: &Licence) -> &str {
    let name = licence.tag.split(',').next().unwrap_or(&licence.tag);
    name.split_once(".cisco.").map_or(name, |(_, short)| short)
}

pub fn summary(spec: &Spec, state: &State) -> String {
    let mut text = format!("Account Information:\n{}\nLicense Usage:\n", account(spec, state));
    let _ = writeln!(text, "  {:<24}{:<30}{:>5} Status", "License", "Entitlement Tag", "Count");
    let _ = writeln!(text, "  {}", "-".repeat(77));
    for licence in state.licences.iter().filter(|licence| licence.count > 0) {
        let short = format!("({})", short(licence));
        let _ = writeln!(text, "  {:<24}{short:<30}{:>5} IN USE", licence.name, licence.count);
    }
    text
}

pub fn udi(state: &State) -> String {
    let mut text = format!("UDI: {}\n\n", state.udi);
    if state.members.len() > 1 {
        text.push_str("HA UDI List:\n");
        for member in &state.members {
            let _ = writeln!(text, "    {}:{}", role(member), member.udi);
        }
        text.push('\n');
    }
    text
}

pub fn authorization(state: &State) -> String {
    let mut text = String::from("Overall status:\n");
    for member in &state.members {
        let _ = write!(text, "  {}: {}\n      Status: NOT INSTALLED\n", role(member), member.udi);
    }
    text.push_str("\nPurchased Licenses:\n  No Purchase Information Available\n");
    text
}

fn role(member: &Member) -> &'static str {
    match member.role {
        Role::Active => "Active",
        Role::Standby => "Standby",
        Role::Member => "Member",
    }
}

/// The only capture of it is an empty history, and the lab keeps none.
pub fn history() -> String {
    let kinds = ["Trust Establishment", "Usage Reporting", "Result Polling", "Authorization Request"];
    let imports = ["POLICY", "AUTH", "TRUST CODE", "RUM ACK", "CONVERSION ACK", "ACCOUNT INFO"];
    let mut text = format!("Message History (oldest to newest):\n{}\n", "=".repeat(52));
    kinds.iter().for_each(|kind| text.push_str(&format!("{kind}:\n  No past history\n")));
    text.push_str(&format!("\nImport Message History (oldest to newest):\n{}\n", "=".repeat(52)));
    imports.iter().for_each(|kind| text.push_str(&format!("Import {kind}:\n  No past Import history\n\n")));
    text
}

/// IOS XR's flexible consumption table, its columns held by the ruler.
pub fn platform(spec: &Spec, state: &State) -> String {
    let mut text = format!("Collection: LAST: {}\n            NEXT: {}\n", stamp(spec, None), stamp(spec, None));
    let _ = writeln!(text, "SIA Status: {}", spec.knobs.upgrade_right);
    let _ = writeln!(text, "{:67}Count", "");
    let _ = writeln!(text, "{:<13}{:<52}Last Next", "Feature/Area", "Entitlement");
    let _ = writeln!(text, "{} {} ==== ====", "=".repeat(12), "=".repeat(51));
    for licence in &state.licences {
        let _ = writeln!(text, "{:<13}{:<51} {count:>4} {count:>4}", "FCM", licence.name, count = licence.count);
    }
    text
}
