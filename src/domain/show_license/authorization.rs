//! Authorization codes: which chassis have one, and what the codes allow.
//!
//! Of installed codes one recorded output is known, which lists no licence (agent 5.8); the list `Authorizations:` is
//! read as Cisco's guides show it.

use jiff::tz::TimeZone;

use super::lines::Line;
use super::section::Section;
use super::status::{authorization, number, role_and_udi, text};
use super::usage::{heading, whole_tag};
use crate::domain::instance::{Role, Udi};
use crate::domain::state::{Authorization, AuthorizationCode, Authorizations};

/// What the sections on codes said.
#[derive(Debug, Default)]
pub(super) struct Codes {
    /// Was a chassis' status printed? Without one nothing is known of codes.
    printed: bool,
    chassis: Option<(Option<Role>, Udi)>,
    codes: Vec<AuthorizationCode>,
    allowed: Vec<Authorization>,
    keys: Vec<Authorization>,
    /// Is the licence of the last heading told of by the lines that come?
    open: bool,
}

impl Codes {
    /// Another section begins; one of codes is newer than what was printed before.
    pub(super) fn open(&mut self, section: Section) {
        (self.chassis, self.open) = (None, false);
        match section {
            Section::Codes => {
                self.codes.clear();
                self.allowed.clear();
            }
            Section::Allowed => self.allowed.clear(),
            Section::ExportKeys => self.keys.clear(),
            Section::Start
            | Section::UsingPolicy
            | Section::Account
            | Section::Transport
            | Section::Privacy
            | Section::Policy
            | Section::Reporting
            | Section::TrustCode
            | Section::Licences
            | Section::Registration
            | Section::Authorization
            | Section::Members
            | Section::Reservations
            | Section::Summary
            | Section::Other => {}
        }
    }

    /// Takes a line that only codes have. The status of a chassis is read beside [`super::status`], which takes what
    /// codes set aside out of the same line.
    pub(super) fn take(&mut self, section: Section, line: &Line<'_>, zone: Option<&TimeZone>) -> bool {
        match section {
            Section::Codes => {
                self.status(line, zone);
                false
            }
            Section::Allowed => self.allowed(line),
            Section::ExportKeys => self.key(line),
            Section::Start
            | Section::UsingPolicy
            | Section::Account
            | Section::Transport
            | Section::Privacy
            | Section::Policy
            | Section::Reporting
            | Section::TrustCode
            | Section::Licences
            | Section::Registration
            | Section::Authorization
            | Section::Members
            | Section::Reservations
            | Section::Summary
            | Section::Other => false,
        }
    }

    fn status(&mut self, line: &Line<'_>, zone: Option<&TimeZone>) {
        if let Some(chassis) = role_and_udi(&line.text) {
            self.chassis = Some(chassis);
            return;
        }
        // `Reservation status:` of the tech support text tells of reservations alone.
        let Some((_, value)) = line.field().filter(|(label, _)| label.eq_ignore_ascii_case("status")) else { return };
        self.printed = true;
        let words = value.to_ascii_uppercase();
        if words.contains("INSTALLED") && !words.contains("NOT INSTALLED") {
            let (status, installed) = authorization(value, zone);
            let (role, udi) = self.chassis.clone().unzip();
            let status = status.as_deref().unwrap_or_default().to_owned();
            self.codes.push(AuthorizationCode { role: role.flatten(), udi, status, installed });
        }
    }

    fn allowed(&mut self, line: &Line<'_>) -> bool {
        if let Some((name, tag)) = heading(&line.text) {
            let name = Some(name.unwrap_or(tag).into());
            self.allowed.push(Authorization { name, entitlement_tag: whole_tag(tag), ..Authorization::default() });
            self.open = true;
            return true;
        }
        // The terms below name the chassis again; what they count is in the total.
        let Some(allowed) = self.allowed.last_mut().filter(|_| self.open) else { return false };
        let Some((label, value)) = line.field() else { return false };
        match label.to_ascii_lowercase().as_str() {
            "description" => allowed.description = text(value),
            "total available count" | "count" => allowed.count = number(value),
            "term count" => allowed.count = allowed.count.or(number(value)),
            "enforcement type" => allowed.enforcement = text(value),
            "license type" => allowed.license_type = text(value),
            _ => return false,
        }
        true
    }

    /// A name on a line of its own, below `Features Authorized:`.
    fn key(&mut self, line: &Line<'_>) -> bool {
        let Some(name) = text(&line.text).filter(|_| line.field().is_none()) else { return false };
        let enforcement = Some("EXPORT AUTHORIZATION KEY".into());
        self.keys.push(Authorization { name: Some(name), enforcement, ..Authorization::default() });
        true
    }

    /// What is known of codes; `None` where none of this was printed.
    pub(super) fn finish(mut self) -> Option<Authorizations> {
        self.allowed.append(&mut self.keys);
        self.printed.then_some(Authorizations { codes: self.codes, allowed: self.allowed })
    }
}
