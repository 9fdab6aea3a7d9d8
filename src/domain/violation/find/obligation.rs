//! The deadline and what follows from it: overdue, a change unreported, voice services that stop.

use super::{About, EVIDENCE, Evidence, Kind, Scan, Told, day};
use crate::domain::deadline::{self, Basis, ObligationState, Standing};
use crate::domain::fleet::Instance;
use crate::domain::plan::Settings;
use crate::domain::state::License;
use jiff::{SignedDuration, Timestamp};

/// The tag by which the inventory says that calls go through a device.
const VOICE: &str = "voice";

pub(super) fn find(scan: &mut Scan<'_>, about: &About<'_>) {
    let (instance, now) = (about.instance, scan.now);
    let rules = &scan.settings.rules;
    let lead = about.device.map_or(SignedDuration::ZERO, |device| device.exchange_lead);
    let standing = deadline::standing(instance, lead, rules, now);
    if let Some(kind) = overdue(instance, &standing) {
        scan.tell(about, kind, || deadline_told(instance, kind, &standing));
    }
    if let Some(change) = unreported(instance, &standing, rules, now) {
        scan.tell(about, Kind::ChangeUnreported, || {
            let deadline::ChangeDue { change, days, due } = change;
            let reports = instance.waiting().filter(|owed| owed.change.is_some()).take(EVIDENCE);
            let tag = instance.owed.iter().find(|owed| owed.change == Some(change));
            let tag = tag.and_then(|owed| owed.entitlement_tag.as_ref());
            let tag = tag.map_or_else(|| "a licence".to_owned(), |tag| tag.to_string());
            let (change, due) = (day(change), day(due));
            Told::new(format!(
                "the use of {tag} changed on {change}; the {days} days to report a change ended on {due}, and no ACK \
                 covers it"
            ))
            .with(reports.map(|owed| Evidence::Report(owed.report_id)))
        });
    }
    if let Some(why) = at_risk(about, &standing) {
        scan.tell(about, Kind::ServiceAtRisk, || {
            let software = instance.software.as_deref().unwrap_or_default();
            let due = standing.due.map_or_else(String::new, |due| format!(" due on {}", day(due)));
            let why = match why {
                Voice::Licence(license) => {
                    format!("{} is in use", license.name.as_deref().unwrap_or("a licence for voice"))
                }
                Voice::Tagged => format!("the inventory tags it '{VOICE}'"),
            };
            Told::new(format!("{why}, and on {software} such services stop while the ACK{due} is missing"))
                .with([Evidence::Printed(format!("software {software}"))])
        });
    }
}

/// The kinds that follow from a deadline and the hour alone.
const BY_DEADLINE: [Kind; 4] =
    [Kind::AckOverdue, Kind::FirstReportOverdue, Kind::ChangeUnreported, Kind::ServiceAtRisk];

/// Is it one of those that [`kinds`] tells?
pub(in crate::domain) fn by_deadline(kind: Kind) -> bool {
    BY_DEADLINE.contains(&kind)
}

/// The kinds that an instance breaks by its deadline, of those that are on at its site.
pub(in crate::domain) fn kinds(
    instance: &Instance,
    device: Option<&super::Watched>,
    standing: &Standing<'_>,
    settings: &Settings,
    at: Timestamp,
) -> impl Iterator<Item = Kind> {
    let site = device.map_or(&instance.site, |device| &device.site);
    let about = About { instance, device, known: None, site };
    let retired = instance.retired.is_some();
    let change = unreported(instance, standing, &settings.rules, at).map(|_| Kind::ChangeUnreported);
    let risk = at_risk(&about, standing).map(|_| Kind::ServiceAtRisk);
    let found = [overdue(instance, standing), change, risk];
    let rules = settings.violations.of(site);
    found.into_iter().flatten().filter(move |kind| !retired && rules.is_on(*kind))
}

/// Overdue is never hidden: it is one of the two.
pub(in crate::domain) fn overdue(instance: &Instance, standing: &Standing<'_>) -> Option<Kind> {
    match standing.state {
        ObligationState::Overdue => {}
        ObligationState::NotSlp
        | ObligationState::DueSoon
        | ObligationState::NeverReported
        | ObligationState::Ok
        | ObligationState::NotRequired
        | ObligationState::NothingToReport
        | ObligationState::Unknown => return None,
    }
    // What a device calls its last ACK may have been the installation of its policy.
    let first =
        last_ack(instance).is_none() && instance.acknowledged.is_empty() || standing.basis == Basis::FirstReport;
    Some(if first { Kind::FirstReportOverdue } else { Kind::AckOverdue })
}

fn deadline_told(instance: &Instance, kind: Kind, standing: &Standing<'_>) -> Told {
    let due = standing.due.map_or_else(String::new, |due| format!(" on {}", due.strftime("%Y-%m-%d %H:%M UTC")));
    let basis = standing.basis;
    let last = match (kind, last_ack(instance)) {
        (Kind::AckOverdue, Some(last)) => format!("the last one was of {last}"),
        _ => "there was none yet".to_owned(),
    };
    let printed = instance.state.as_ref().and_then(|state| state.usage_reporting.next_ack_deadline.as_ref());
    let printed = printed.filter(|_| basis == Basis::DeviceStated);
    let oldest = instance.waiting().take(EVIDENCE).map(|owed| Evidence::Report(owed.report_id));
    Told::new(format!("the ACK was due{due} ({basis}); {last}"))
        .with(printed.map(|stamp| Evidence::Printed(format!("Next ACK deadline: {}", stamp.text))))
        .with(oldest)
}

/// As a sentence shows it: its day where UTC is known, else as it was printed.
fn last_ack(instance: &Instance) -> Option<String> {
    let stamp = instance.state.as_ref()?.usage_reporting.last_ack.as_ref()?;
    Some(stamp.utc.map_or_else(|| stamp.text.to_string(), |utc| day(utc).to_string()))
}

/// A change of use that is reported too late. Where the policy asks no ACK, handing over met it.
fn unreported(
    instance: &Instance,
    standing: &Standing<'_>,
    rules: &deadline::Rules,
    at: Timestamp,
) -> Option<deadline::ChangeDue> {
    match standing.state {
        ObligationState::NotSlp | ObligationState::NotRequired => None,
        ObligationState::Overdue
        | ObligationState::DueSoon
        | ObligationState::NeverReported
        | ObligationState::Ok
        | ObligationState::NothingToReport
        | ObligationState::Unknown => deadline::change_due(instance, rules).filter(|change| change.due < at),
    }
}

/// Why a device is one of voice.
enum Voice<'a> {
    Licence(&'a License),
    Tagged,
}

/// The risk is real once the deadline is near: before that it is every such device's, for ever.
fn at_risk<'a>(about: &About<'a>, standing: &Standing<'_>) -> Option<Voice<'a>> {
    match standing.state {
        ObligationState::Overdue | ObligationState::DueSoon => {}
        ObligationState::NotSlp
        | ObligationState::NeverReported
        | ObligationState::Ok
        | ObligationState::NotRequired
        | ObligationState::NothingToReport
        | ObligationState::Unknown => return None,
    }
    let instance = about.instance;
    if !instance.software.as_deref().is_some_and(stops_services) {
        return None;
    }
    let licenses = instance.state.iter().flat_map(|state| &state.licenses);
    let mut voice = licenses.filter(|license| license.in_use() && is_voice(license));
    let tagged = || about.device.is_some_and(|device| device.tags.iter().any(|tag| tag.eq_ignore_ascii_case(VOICE)));
    voice.next().map(|license| Voice::Licence(license)).or_else(|| tagged().then_some(Voice::Tagged))
}

/// IOS XE 17.3.2, 17.3.3, 17.3.4a, 17.6.1a and every 17.4 and 17.5 (Cisco's guide of CUBE). Versions are written with
/// and without leading zeros.
fn stops_services(software: &str) -> bool {
    let mut parts = software.trim().splitn(3, '.');
    let mut number = || parts.next().and_then(|part| part.parse::<u32>().ok());
    let (Some(17), Some(minor)) = (number(), number()) else { return false };
    let rest = parts.next().unwrap_or_default().trim_start_matches('0');
    match minor {
        4 | 5 => true,
        3 => matches!(rest, "2" | "3" | "4a"),
        6 => rest == "1a",
        _ => false,
    }
}

/// Does a word of its names say CUBE, Unified CME or SRST?
fn is_voice(license: &License) -> bool {
    let tag = license.entitlement_tag.as_ref().map(|tag| tag.0.as_ref());
    let names = [license.name.as_deref(), tag, license.description.as_deref()];
    names.into_iter().flatten().any(|name| {
        let mut words = name.split(|c: char| !c.is_ascii_alphanumeric());
        words.any(|word| ["CUBE", "CME", "SRST"].iter().any(|voice| word.eq_ignore_ascii_case(voice)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_releases_that_cisco_names_stop_services() {
        for named in ["17.3.2", "17.03.03", "17.3.4a", "17.03.04a", "17.6.1a", "17.06.01a", "17.4.1", "17.05.01b"] {
            assert!(stops_services(named), "{named}");
        }
        for other in ["17.3.4", "17.3.5", "17.6.1", "17.6.2", "17.9.4", "16.12.4", "17.3.2a", "17", "", "x.y", "18.4.1"]
        {
            assert!(!stops_services(other), "{other}");
        }
    }

    #[test]
    fn a_licence_is_of_voice_by_whole_words() {
        let named = |name: &str| is_voice(&License { name: Some(name.into()), ..License::default() });
        assert!(named("CUBE_T_STD") && named("srst_ep") && named("Unified CME endpoints"));
        assert!(!named("acme-advantage") && !named("CUBESAT"));
    }
}
