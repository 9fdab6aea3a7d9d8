//! `show license platform summary|detail` of IOS XR: the flexible consumption model and its upgrade right.

use jiff::tz::TimeZone;
use serde::Serialize;

use super::lines::Line;
use super::stamp::stamp;
use super::status::{strip, text};
use crate::domain::state::{License, Stamp};

/// What a platform counts by itself, hourly, before the agent reports it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Platform {
    /// `In Compliance`, `Out of Compliance(Remaining Grace Period: …)`. Software Innovation Access; newer
    /// software calls it "Upgrade License Status".
    pub upgrade_status: Option<String>,
    pub collection: Span,
    pub reporting: Span,
    pub rows: Vec<PlatformRow>,
}

/// When something was done, and when it is next.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Span {
    pub last: Option<Stamp>,
    pub next: Option<Stamp>,
}

/// One entitlement that the platform counts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PlatformRow {
    /// `FCM`, `FCM 2 Core/E`, …
    pub area: String,
    pub entitlement: String,
    /// The count last collected, and the one that the next collection will have.
    pub last: Option<u64>,
    pub next: Option<u64>,
}

#[derive(Debug, Default)]
pub(super) struct PlatformText {
    pub platform: Option<Platform>,
    inside: Inside,
    /// Where the columns of the table begin.
    entitlement: usize,
    counts: usize,
    in_table: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Inside {
    #[default]
    Nothing,
    Collection,
    Reporting,
}

impl PlatformText {
    pub(super) fn close(&mut self) {
        self.in_table = false;
        self.inside = Inside::Nothing;
    }

    pub(super) fn take(&mut self, line: &Line<'_>, zone: Option<&TimeZone>) -> bool {
        if let Some(rest) = strip(&line.text, "collection:").filter(|rest| strip(rest, "last:").is_some()) {
            self.inside = Inside::Collection;
            return self.time(rest, zone);
        }
        if let Some(rest) = strip(&line.text, "reporting:").filter(|rest| strip(rest, "last:").is_some()) {
            self.inside = Inside::Reporting;
            return self.time(rest, zone);
        }
        for label in ["sia status:", "upgrade license status:"] {
            if let Some(status) = strip(&line.text, label) {
                self.platform.get_or_insert_default().upgrade_status = text(status);
                self.inside = Inside::Nothing;
                return true;
            }
        }
        if self.platform.is_none() {
            return false;
        }
        self.time(&line.text, zone) || self.table(line)
    }

    fn time(&mut self, text: &str, zone: Option<&TimeZone>) -> bool {
        let platform = self.platform.get_or_insert_default();
        let span = match self.inside {
            Inside::Collection => &mut platform.collection,
            Inside::Reporting => &mut platform.reporting,
            Inside::Nothing => return false,
        };
        if let Some(at) = strip(text, "last:") {
            span.last = stamp(at, zone);
        } else if let Some(at) = strip(text, "next:") {
            span.next = stamp(at, zone);
        } else {
            return false;
        }
        true
    }

    /// Columns begin where the ruler's do: names touch each other.
    fn table(&mut self, line: &Line<'_>) -> bool {
        if line.text.starts_with("====") {
            let mut starts = line.text.match_indices(" =").map(|(at, _)| at + 1);
            let (Some(entitlement), Some(counts)) = (starts.next(), starts.next()) else { return false };
            (self.entitlement, self.counts, self.in_table) = (entitlement, counts, true);
            return true;
        }
        if !self.in_table {
            return line.text.starts_with("Feature/Area") || line.text == "Count";
        }
        let (Some(area), Some(entitlement), Some(counts)) = (
            line.text.get(..self.entitlement),
            line.text.get(self.entitlement..self.counts),
            line.text.get(self.counts..),
        ) else {
            return false;
        };
        let counts: Vec<Option<u64>> = counts.split_whitespace().map(|count| count.parse().ok()).collect();
        let [last, next] = counts[..] else { return false };
        let row = PlatformRow { area: area.trim().to_owned(), entitlement: entitlement.trim().to_owned(), last, next };
        self.platform.get_or_insert_default().rows.push(row);
        true
    }
}

impl Platform {
    /// The right to upgrade, without the days that remain of its grace period.
    pub(super) fn compliance(&self) -> Option<String> {
        let printed = self.upgrade_status.as_deref()?;
        let remaining =
            printed.find('(').filter(|at| printed.get(*at..).is_some_and(|rest| rest.contains("Remaining")));
        Some(printed.get(..remaining.unwrap_or(printed.len())).unwrap_or(printed).trim().to_owned())
    }

    /// The rows as licences in use.
    pub(super) fn licenses(&self) -> impl Iterator<Item = License> {
        self.rows.iter().map(|row| License { name: text(&row.entitlement), count: row.last, ..License::default() })
    }
}
