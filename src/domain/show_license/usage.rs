//! Licences in use, and licences set aside, in the layouts of the agents.

use std::sync::Arc;

use jiff::tz::TimeZone;

use super::lines::{Line, starts_with};
use super::section::Section;
use super::stamp::stamp;
use super::status::{authorization, number, role_and_udi, strip, text};
use crate::domain::report::EntitlementTag;
use crate::domain::state::{License, Reservation};

/// How a licence was printed, the most telling last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Layout {
    /// A row of `show license summary`.
    Row,
    /// `name (TAG):` with lines below.
    Block,
    /// `Handle: 1` of the tech support text.
    Handle,
}

#[derive(Debug)]
struct Printed {
    layout: Layout,
    /// Counts the listings in one text.
    listing: usize,
    license: License,
    /// A heading alone is none.
    fields: usize,
    line: usize,
}

/// What the licence sections said.
#[derive(Debug, Default)]
pub(super) struct Usage {
    printed: Vec<Printed>,
    pub reserved: Vec<Reservation>,
    listing: usize,
    in_table: bool,
    /// `No licenses in use`.
    pub none_in_use: bool,
    /// The reservation whose terms come, and how many have come.
    reservation: Option<(Reservation, usize)>,
}

impl Usage {
    /// Another listing begins: it is newer than what was listed before.
    pub(super) fn open(&mut self, section: Section) {
        self.close_reservation();
        self.in_table = false;
        if section == Section::Reservations {
            self.reserved.clear();
        }
        let listed = self.printed.last().is_some_and(|last| last.listing == self.listing);
        if listed && matches!(section, Section::Start | Section::Licences | Section::Authorization) {
            self.listing += 1;
        }
    }

    /// Takes what a line says, and tells the section that goes on.
    pub(super) fn take(&mut self, section: Section, line: &Line<'_>, zone: Option<&TimeZone>) -> Option<Section> {
        match section {
            Section::Reservations => self.set_aside(line, zone).then_some(section),
            Section::Start | Section::Licences | Section::Authorization => {
                self.in_use(line).then_some(Section::Licences)
            }
            // Licences may be listed right after any text before them.
            Section::UsingPolicy
            | Section::Account
            | Section::Transport
            | Section::Privacy
            | Section::Policy
            | Section::Reporting
            | Section::TrustCode
            | Section::Registration
            | Section::Members
            | Section::Codes
            | Section::Allowed
            | Section::ExportKeys
            | Section::Summary
            | Section::Other => (is_handle(line) && self.in_use(line)).then_some(Section::Licences),
        }
    }

    fn in_use(&mut self, line: &Line<'_>) -> bool {
        if starts_with(&line.text, "no licenses in use") {
            self.none_in_use = true;
            return true;
        }
        if is_table_head(&line.text) {
            self.in_table = true;
            return true;
        }
        if self.in_table {
            if line.text.bytes().all(|byte| byte == b'-') {
                return true;
            }
            if let Some(license) = row(&line.text) {
                self.push(Layout::Row, license, 2, line);
                return true;
            }
        }
        if is_handle(line) {
            self.push(Layout::Handle, License::default(), 0, line);
            return true;
        }
        if let Some((name, tag)) = heading(&line.text) {
            let license = License {
                name: Some(name.unwrap_or(tag).into()),
                entitlement_tag: whole_tag(tag),
                ..License::default()
            };
            self.in_table = false;
            self.push(Layout::Block, license, 0, line);
            return true;
        }
        self.field(line)
    }

    fn push(&mut self, layout: Layout, license: License, fields: usize, line: &Line<'_>) {
        self.printed.push(Printed { layout, listing: self.listing, license, fields, line: line.number });
    }

    fn field(&mut self, line: &Line<'_>) -> bool {
        let Some(Printed { license, fields, layout: Layout::Block | Layout::Handle, .. }) = self.printed.last_mut()
        else {
            return false;
        };
        let Some((label, value)) = line.field() else { return false };
        match label.to_ascii_lowercase().as_str() {
            "license" => license.name = text(value),
            "entitlement tag" => license.entitlement_tag = text(value).map(EntitlementTag),
            "description" => license.description = text(value),
            "count" => license.count = number(value),
            "status" => license.status = text(value.split('(').next().unwrap_or(value)),
            "enforcement type" => license.enforcement = text(value),
            "license type" => license.license_type = text(value),
            _ => return false,
        }
        *fields += 1;
        true
    }

    fn set_aside(&mut self, line: &Line<'_>, zone: Option<&TimeZone>) -> bool {
        if let Some((name, tag)) = heading(&line.text) {
            self.close_reservation();
            let reservation = Reservation {
                name: Some(name.unwrap_or(tag).into()),
                entitlement_tag: whole_tag(tag),
                ..Reservation::default()
            };
            self.reservation = Some((reservation, 0));
            return true;
        }
        let Some((reservation, terms)) = &mut self.reservation else { return false };
        if let Some((role, udi)) = role_and_udi(&line.text) {
            let term = Reservation { role, udi: Some(udi), count: None, ..reservation.clone() };
            self.reserved.push(term);
            *terms += 1;
            return true;
        }
        let Some((label, value)) = line.field() else { return false };
        let place = match self.reserved.last_mut() {
            Some(term) if *terms > 0 => term,
            _ => reservation,
        };
        match label.to_ascii_lowercase().as_str() {
            "description" => place.description = text(value),
            "total reserved count" | "term count" | "count" => place.count = number(value),
            "enforcement type" => place.enforcement = text(value),
            "authorization type" => (place.authorization, place.installed) = authorization(value, zone),
            "license type" => place.license_type = text(value),
            "start date" => place.start = stamp(value, zone),
            "end date" => place.end = stamp(value, zone),
            _ => return false,
        }
        true
    }

    /// A reservation without terms counts as one of the whole instance.
    fn close_reservation(&mut self) {
        if let Some((reservation, 0)) = self.reservation.take() {
            self.reserved.push(reservation);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.printed.is_empty() && !self.none_in_use
    }

    /// Is there a status word that only SLP uses?
    pub(super) fn has_slp_status(&self) -> bool {
        let of = |printed: &Printed| printed.license.status.as_deref().is_some_and(|status| status.ends_with("IN USE"));
        self.none_in_use || self.printed.iter().any(of)
    }

    /// Does the last licence lack lines that every agent prints? The number of its first line.
    pub(super) fn unfinished(&self) -> Option<usize> {
        let last = self.printed.last()?;
        let License { count, status, license_type, .. } = &last.license;
        // Before SLP the type was not printed.
        let typed = |status: &Arc<str>| license_type.is_some() || !status.ends_with("IN USE");
        let whole = last.layout == Layout::Row || count.is_some() && status.as_ref().is_some_and(typed);
        (!whole).then_some(last.line)
    }

    /// The NX-OS form has headings without a name.
    pub(super) fn looks_like_nx_os(&self) -> bool {
        let blocks = || self.printed.iter().filter(|printed| printed.layout == Layout::Block && printed.fields > 0);
        blocks().next().is_some()
            && blocks().all(|printed| {
                let tag = printed.license.entitlement_tag.as_ref().map(|tag| tag.0.as_ref());
                tag.is_some()
                    && tag == printed.license.name.as_deref()
                    && printed.license.license_type.as_deref() == Some("Generic")
            })
    }

    /// The newest listing in the most telling layout.
    pub(super) fn finish(mut self) -> (Vec<License>, Vec<Reservation>) {
        self.close_reservation();
        self.printed.retain(|printed| printed.fields > 0);
        let Some(best) = self.printed.iter().map(|printed| printed.layout).max() else {
            return (Vec::new(), self.reserved);
        };
        let newest = self.printed.iter().filter(|printed| printed.layout == best).map(|printed| printed.listing).max();
        let chosen = |printed: &Printed| printed.layout == best && Some(printed.listing) == newest;
        (self.printed.into_iter().filter(chosen).map(|printed| printed.license).collect(), self.reserved)
    }
}

fn is_handle(line: &Line<'_>) -> bool {
    strip(&line.text, "handle:")
        .is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
}

fn is_table_head(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    lower.starts_with("license") && lower.contains("count") && lower.contains("status") && !lower.contains(':')
}

/// `dna-advantage (C9300-24 DNA Advantage):` or `(LAN_ENTERPRISE_SERVICES_PKG):`.
pub(super) fn heading(text: &str) -> Option<(Option<&str>, &str)> {
    let inner = text.strip_suffix("):")?;
    let (name, tag) = inner.split_at_checked(opening(inner)?)?;
    let tag = tag.get(1..)?.trim();
    if tag.is_empty() || !(name.is_empty() || name.ends_with(' ')) {
        return None;
    }
    let name = name.trim();
    Some(((!name.is_empty()).then_some(name), tag))
}

/// Where the bracket opens that closes at the end of a text.
fn opening(inner: &str) -> Option<usize> {
    let mut depth = 1_usize;
    inner.bytes().enumerate().rev().find_map(|(at, byte)| {
        match byte {
            b')' => depth += 1,
            b'(' => depth -= 1,
            _ => {}
        }
        (depth == 0).then_some(at)
    })
}

/// `network-advantage  (C9300-48 Network Advan...)  1 IN USE`.
fn row(text: &str) -> Option<License> {
    let (before, after) = match text.rfind(')') {
        Some(at) => text.split_at_checked(at + 1)?,
        None => text.split_at_checked(text.find("  ")?)?,
    };
    let mut words = after.trim_start_matches(':').split_whitespace();
    let count = words.next()?.parse().ok()?;
    let status: Vec<&str> = words.collect();
    let (name, tag) = match before.split_once('(') {
        Some((name, tag)) => (name.trim(), tag.trim().trim_end_matches(')').trim()),
        None => (before.trim(), ""),
    };
    Some(License {
        name: self::text(if name.is_empty() { tag } else { name }),
        entitlement_tag: whole_tag(tag),
        count: Some(count),
        status: self::text(&status.join(" ")),
        ..License::default()
    })
}

/// A tag that was cut to the width of its column is none.
pub(super) fn whole_tag(tag: &str) -> Option<EntitlementTag> {
    (!tag.is_empty() && !tag.ends_with("..")).then(|| EntitlementTag(tag.into()))
}
