//! The state of the licensing itself: account, transport, policy, reporting, trust, chassis.

use std::sync::Arc;

use jiff::tz::TimeZone;

use super::lines::{Line, starts_with};
use super::section::Section;
use super::stamp::{is_nothing, stamp};
use crate::domain::instance::{Account, Member, Role, Udi};
use crate::domain::policy::{ClassPolicy, LicenceClass, Policy, PolicyGroup};
use crate::domain::state::{Privacy, ReportSummary, Reservation, Stamp, Transport, TrustCode, UsageReporting};

/// What the sections outside of licences and reports said.
#[derive(Debug, Default)]
pub(super) struct Status {
    /// `Smart Licensing is ENABLED`.
    pub enabled: Option<bool>,
    /// `Smart Licensing Using Policy: Status: ENABLED`.
    pub using_policy: Option<bool>,
    /// `REGISTERED`, `UNREGISTERED`, `REGISTERED - SPECIFIC LICENSE RESERVATION`, …
    pub registration: Option<String>,
    /// `AUTHORIZED on …`, `EVAL MODE`, `Not Applicable`, …
    pub authorization: Option<String>,
    pub reservation_mode: bool,
    pub account: Account,
    pub transport: Option<Transport>,
    pub privacy: Option<Privacy>,
    pub policy: Option<Policy>,
    pub reporting: UsageReporting,
    pub trust_codes: Vec<TrustCode>,
    pub udi: Option<Udi>,
    pub uuid: Option<String>,
    pub members: Vec<Member>,
    pub agent_version: Option<String>,
    pub summary: Option<ReportSummary>,
    /// Codes that set licences aside, one a chassis.
    pub codes: Vec<Reservation>,
    /// `Current time:` of the tech support text.
    pub clock: Option<String>,
    /// A second `UDI:` that is not the first.
    pub another: Option<Udi>,
    chassis: Option<(Option<Role>, Udi)>,
    sources: Sources,
    group: Option<String>,
}

/// Whose numbers a policy has, by the words in brackets after them.
#[derive(Debug, Default)]
struct Sources {
    ack: Option<String>,
    numbers: Vec<String>,
    merged: bool,
}

/// A time under its label was no time.
pub(super) struct NotATime(pub String);

impl Status {
    /// Begins what a heading opens. The trust code of a lone chassis stands on the heading's line.
    pub(super) fn open(&mut self, section: Section, line: &Line<'_>, zone: Option<&TimeZone>) -> Result<(), NotATime> {
        self.chassis = None;
        self.group = None;
        match section {
            Section::TrustCode => {
                self.trust_codes.clear();
                let value = line.field().map_or("", |(_, value)| value);
                if !is_nothing(value) && !starts_with(value, "trust code type") {
                    let installed = checked(value, zone)?;
                    self.trust_codes.push(TrustCode { role: None, udi: None, installed, expires: None });
                }
            }
            Section::Members => self.members.clear(),
            Section::Codes => self.codes.clear(),
            Section::Policy => {
                self.policy = Some(Policy::default());
                self.sources = Sources::default();
            }
            Section::Summary => self.summary = Some(ReportSummary::default()),
            Section::Start
            | Section::UsingPolicy
            | Section::Account
            | Section::Transport
            | Section::Privacy
            | Section::Reporting
            | Section::Licences
            | Section::Registration
            | Section::Authorization
            | Section::Allowed
            | Section::ExportKeys
            | Section::Reservations
            | Section::Other => {}
        }
        Ok(())
    }

    /// Takes what a line says. `Ok(true)` where it said something.
    pub(super) fn take(
        &mut self,
        section: Section,
        line: &Line<'_>,
        zone: Option<&TimeZone>,
    ) -> Result<bool, NotATime> {
        if self.take_anywhere(line) {
            return Ok(true);
        }
        let Some((label, value)) = line.field() else {
            return if section == Section::TrustCode { self.trust(line, zone) } else { Ok(false) };
        };
        let of = |known: &str| label.eq_ignore_ascii_case(known);
        match section {
            Section::UsingPolicy if of("status") => self.using_policy = Some(value.eq_ignore_ascii_case("enabled")),
            Section::Account | Section::Registration if of("smart account") => {
                let name = value.split(" As of ").next().unwrap_or(value);
                self.account.smart_account = text(name).map(Arc::from);
            }
            Section::Account | Section::Registration if of("virtual account") => {
                self.account.virtual_account = text(value).map(Arc::from);
            }
            Section::Registration if of("status") => self.registration = text(value),
            Section::Authorization if of("status") => self.authorization = text(value),
            Section::Transport => return Ok(self.transport(label, value)),
            Section::Privacy => return Ok(self.privacy(label, value)),
            Section::Policy => return self.policy(label, value, zone),
            Section::Reporting => return self.reporting(label, value, zone),
            Section::TrustCode => return self.trust(line, zone),
            Section::Members => {
                let Some((Some(role), udi)) = role_and_udi(&line.text) else { return Ok(false) };
                self.members.push(Member { role, udi });
            }
            Section::Codes => return Ok(self.code(line, label, value, zone)),
            Section::Summary => return Ok(self.summary(&line.text)),
            Section::Start
            | Section::UsingPolicy
            | Section::Account
            | Section::Licences
            | Section::Registration
            | Section::Authorization
            | Section::Allowed
            | Section::ExportKeys
            | Section::Reservations
            | Section::Other => return Ok(false),
        }
        Ok(true)
    }

    /// Lines that mean the same wherever they stand.
    fn take_anywhere(&mut self, line: &Line<'_>) -> bool {
        if let Some(rest) = strip(&line.text, "smart licensing is ") {
            self.enabled = Some(rest.eq_ignore_ascii_case("enabled"));
        } else if let Some(rest) = strip(&line.text, "license reservation is ") {
            self.reservation_mode |= rest.eq_ignore_ascii_case("enabled");
        } else if let Some(rest) = strip(&line.text, "license reservation:") {
            self.reservation_mode |= rest.eq_ignore_ascii_case("enabled");
        } else if let Some(version) = strip(&line.text, "smart agent for licensing:") {
            self.agent_version = text(version);
        } else if let Some(clock) = strip(&line.text, "current time:") {
            self.clock = text(clock);
        } else if let Some(printed) = strip(&line.text, "udi:") {
            let Some(udi) = udi(printed) else { return false };
            match &self.udi {
                Some(known) if *known != udi => self.another = Some(udi),
                Some(_) => {}
                None => {
                    self.uuid = keyed(printed, "UUID");
                    self.udi = Some(udi);
                }
            }
        } else {
            return false;
        }
        true
    }

    fn transport(&mut self, label: &str, value: &str) -> bool {
        let transport = self.transport.get_or_insert_default();
        match label.to_ascii_lowercase().as_str() {
            "type" => {
                let word = value.to_ascii_lowercase();
                let word = word.strip_prefix("transport ").unwrap_or(&word);
                *transport = Transport { kind: text(word), url: None };
            }
            "url" | "cslu address" if transport.url.is_none() => transport.url = text(value),
            _ => return false,
        }
        true
    }

    fn privacy(&mut self, label: &str, value: &str) -> bool {
        // A word that is none of these tells nothing.
        let one_of = |yes: &str, no: &str| {
            let is = |word: &str| value.eq_ignore_ascii_case(word);
            if is(yes) { Some(true) } else { is(no).then_some(false) }
        };
        let privacy = self.privacy.get_or_insert_default();
        match label.to_ascii_lowercase().as_str() {
            "sending hostname" => privacy.sends_hostname = one_of("yes", "no"),
            "version privacy" => privacy.sends_version = one_of("disabled", "enabled"),
            _ => return false,
        }
        true
    }

    fn policy(&mut self, label: &str, value: &str, zone: Option<&TimeZone>) -> Result<bool, NotATime> {
        let policy = self.policy.get_or_insert_default();
        let known = label.to_ascii_lowercase();
        match known.as_str() {
            "policy in use" => {
                self.sources.merged = starts_with(value, "merged");
                if let Some(at) = strip(value, "installed on ") {
                    policy.installed = checked(at, zone)?;
                }
            }
            "policy name" => policy.name = text(value),
            "reporting ack required" => {
                policy.ack_required =
                    match value.split([' ', '(']).next().unwrap_or_default().to_ascii_lowercase().as_str() {
                        "yes" | "true" => Some(true),
                        "no" | "false" => Some(false),
                        _ => None,
                    };
                self.sources.ack = in_brackets(value);
            }
            _ if value.is_empty() => {
                self.group = Some(label.to_owned());
                return Ok(false);
            }
            _ => {
                let Some(days) = number(value).and_then(|days| u32::try_from(days).ok()) else { return Ok(false) };
                let Some(name) = self.group.clone() else { return Ok(false) };
                if policy.groups.last().is_none_or(|group| group.name != name) {
                    let class = LicenceClass::of_group(&name);
                    policy.groups.push(PolicyGroup { name, class, days: ClassPolicy::default() });
                }
                let Some(group) = policy.groups.last_mut() else { return Ok(false) };
                let place = if known.starts_with("first report") {
                    &mut group.days.first_report_days
                } else if known.starts_with("reporting frequency") {
                    &mut group.days.reporting_frequency_days
                } else if known.starts_with("report on change") {
                    &mut group.days.report_on_change_days
                } else {
                    return Ok(false);
                };
                *place = Some(days);
                self.sources.numbers.extend(in_brackets(value));
            }
        }
        Ok(true)
    }

    fn reporting(&mut self, label: &str, value: &str, zone: Option<&TimeZone>) -> Result<bool, NotATime> {
        let reporting = &mut self.reporting;
        let place = match label.to_ascii_lowercase().as_str() {
            "last ack received" => &mut reporting.last_ack,
            "next ack deadline" => &mut reporting.next_ack_deadline,
            "next ack push check" => &mut reporting.next_ack_push_check,
            "next report push" => &mut reporting.next_push,
            "last report push" => &mut reporting.last_push,
            "last report file write" => &mut reporting.last_file_write,
            "reporting push interval" => {
                reporting.push_interval_days = number(value).and_then(|days| u32::try_from(days).ok());
                return Ok(true);
            }
            _ => return Ok(false),
        };
        *place = checked(value, zone)?.map(Box::new);
        Ok(true)
    }

    fn trust(&mut self, line: &Line<'_>, zone: Option<&TimeZone>) -> Result<bool, NotATime> {
        if let Some((role, udi)) = role_and_udi(&line.text) {
            self.trust_codes.push(TrustCode { role, udi: Some(udi), installed: None, expires: None });
            return Ok(true);
        }
        let Some(code) = self.trust_codes.last_mut() else { return Ok(false) };
        if let Some(at) = strip(&line.text, "installed on ") {
            // Newer agents print the beginning of its time on the same line.
            let at = at.find("Valid on").and_then(|end| at.get(..end)).unwrap_or(at);
            code.installed = checked(at, zone)?;
        } else if let Some(at) = strip(&line.text, "expired on ").or_else(|| strip(&line.text, "expires on ")) {
            code.expires = checked(at, zone)?;
        } else {
            return Ok(false);
        }
        Ok(true)
    }

    /// An authorization code of one chassis; those that only allow (SLAC) set nothing aside.
    fn code(&mut self, line: &Line<'_>, label: &str, value: &str, zone: Option<&TimeZone>) -> bool {
        if let Some(chassis) = role_and_udi(&line.text) {
            self.chassis = Some(chassis);
            return true;
        }
        if !["status", "reservation status"].iter().any(|known| label.eq_ignore_ascii_case(known)) {
            return false;
        }
        let status = value.to_ascii_uppercase();
        let sets_aside = status.contains("INSTALLED")
            && !status.contains("NOT INSTALLED")
            && !status.starts_with("SMART AUTHORIZATION");
        if sets_aside {
            let (authorization, installed) = authorization(value, zone);
            let (role, udi) = self.chassis.clone().unzip();
            self.codes.push(Reservation {
                authorization,
                installed,
                role: role.flatten(),
                udi,
                ..Reservation::default()
            });
        }
        true
    }

    fn summary(&mut self, line: &str) -> bool {
        let lower = line.to_ascii_lowercase();
        let summary = self.summary.get_or_insert_default();
        let of = |label: &str| number(lower.get(lower.find(label)? + label.len()..)?);
        let found = [
            (&mut summary.purged, of("purged:")),
            (&mut summary.acknowledged, of("total acknowledged received:")),
            (&mut summary.waiting_for_ack, of("waiting for ack:")),
            (&mut summary.available, of("available to report:")),
            (&mut summary.total, lower.strip_prefix("total:").and_then(number)),
        ];
        let mut any = false;
        for (place, value) in found {
            if value.is_some() {
                *place = value;
                any = true;
            }
        }
        any
    }

    /// The word on compliance of classic Smart Licensing, without its date.
    pub(super) fn compliance(&self) -> Option<String> {
        let printed = self.authorization.as_deref()?;
        let words = printed.split(" on ").next().unwrap_or(printed).trim();
        // Under SLP there is none.
        (!words.eq_ignore_ascii_case("not applicable")).then(|| words.to_owned())
    }

    /// Closes the policy: its classes, and whose it is.
    pub(super) fn finish(&mut self) {
        let Some(policy) = &mut self.policy else { return };
        policy.groups.retain(|group| group.days != ClassPolicy::default());
        for group in policy.groups.clone() {
            if let Some(class) = group.class {
                policy.set_class(class, group.days);
            }
        }
        let sources = &self.sources;
        let mixed = sources.numbers.windows(2).any(|pair| pair.first() != pair.last());
        policy.source = match (&sources.ack, sources.numbers.first()) {
            (None, None) => None,
            _ if sources.merged && mixed => Some("merged".to_owned()),
            (Some(source), _) | (None, Some(source)) => Some(source.clone()),
        };
    }
}

/// `(Customer Policy)` is `customer`, `(CISCO default)` is `default`; anything else in its own words.
fn in_brackets(value: &str) -> Option<String> {
    let inside = value.rsplit_once('(')?.1.split(')').next()?.trim();
    match inside.to_ascii_lowercase().as_str() {
        "" => None,
        "cisco default" => Some("default".to_owned()),
        "customer policy" => Some("customer".to_owned()),
        other => Some(other.to_owned()),
    }
}

/// `SPECIFIC INSTALLED on Oct 29 17:40:12 2026 UTC`: the words, and when.
pub(super) fn authorization(value: &str, zone: Option<&TimeZone>) -> (Option<String>, Option<Stamp>) {
    match value.split_once(" on ") {
        Some((words, at)) => (text(words), stamp(at, zone)),
        None => (text(value), None),
    }
}

/// A time, or the complaint that it is none.
pub(super) fn checked(value: &str, zone: Option<&TimeZone>) -> Result<Option<Stamp>, NotATime> {
    let value = value.trim();
    let stamp = stamp(value, zone);
    match &stamp {
        Some(stamp) if super::stamp::printed(&stamp.text).is_none() => Err(NotATime(value.to_owned())),
        _ => Ok(stamp),
    }
}

pub(super) fn text(value: &str) -> Option<String> {
    let value = value.trim();
    (!is_nothing(value)).then(|| value.to_owned())
}

/// The whole number that a text begins with.
pub(super) fn number(value: &str) -> Option<u64> {
    let value = value.trim();
    let end = value.bytes().position(|byte| !byte.is_ascii_digit()).unwrap_or(value.len());
    value.get(..end)?.parse().ok()
}

/// What stands after a beginning, whatever the case of its letters.
pub(super) fn strip<'a>(text: &'a str, start: &str) -> Option<&'a str> {
    starts_with(text, start).then(|| text.get(start.len()..).unwrap_or_default().trim())
}

/// `PID:C9300-24UX,SN:FOC0000A001`.
pub(super) fn udi(text: &str) -> Option<Udi> {
    Some(Udi::new(keyed(text, "PID")?, keyed(text, "SN")?))
}

/// A value of `PID:x,SN:y,UUID:z`.
fn keyed(text: &str, key: &str) -> Option<String> {
    text.split(',').find_map(|part| {
        let (name, value) = part.split_once(':')?;
        let value = value.trim();
        (name.trim().eq_ignore_ascii_case(key) && !value.is_empty()).then(|| value.to_owned())
    })
}

/// `Standby: PID:…,SN:…`.
pub(super) fn role_and_udi(text: &str) -> Option<(Option<Role>, Udi)> {
    let at = text.find("PID:")?;
    let (before, printed) = text.split_at_checked(at)?;
    let word = before.trim().trim_end_matches(':').trim_end_matches(|c: char| c.is_ascii_digit());
    if !word.bytes().all(|byte| byte.is_ascii_alphabetic()) {
        return None;
    }
    Some((Role::read(word), udi(printed)?))
}
