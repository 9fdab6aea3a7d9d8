//! What was bought: a quantity of a licence for an account over a term, as the operator states it.

use std::sync::Arc;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp, ToSpan};
use serde::{Deserialize, Serialize};

use super::row::Row;
use super::{Tier, same_licence};
use crate::domain::settings::words;
use crate::domain::timeline::Seconds;

/// One line of the operator's file. **signed**
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entitlement {
    /// A Smart Account, a Virtual Account, or both as `Smart / Virtual`.
    pub account: String,
    pub suite: Option<String>,
    /// Licences that share the quantity, each by its tag or its name.
    pub licences: Vec<String>,
    #[serde(rename = "entitled")]
    pub quantity: u64,
    pub tier: Option<Tier>,
    /// By so many percent use may grow over the term before a True Forward comes early.
    pub growth_allowance: Option<u32>,
    /// The first day, in UTC.
    pub term_start: Date,
    /// The last day.
    pub term_end: Date,
    /// `None`: only the end of the term.
    pub milestones: Option<Milestones>,
    /// In the operator's words; what it costs is for others to say.
    pub rate_model: Option<String>,
}

/// When use is compared with what was bought: every so often from the start of the term, and at its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Milestones {
    Annual,
    Quarterly,
}
words!(Milestones { Annual = "annual", Quarterly = "quarterly" });

/// Where an instant lies to a term.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TermState {
    ToCome,
    Running,
    Ended,
}
words!(TermState { ToCome = "to-come", Running = "running", Ended = "ended" });

impl Entitlement {
    /// The first instant of the term.
    pub fn begins(&self) -> Timestamp {
        midnight(self.term_start)
    }

    /// The first instant after it.
    pub fn ends(&self) -> Timestamp {
        self.term_end.tomorrow().map_or(Timestamp::MAX, midnight)
    }

    pub fn state_at(&self, at: Timestamp) -> TermState {
        if at < self.begins() {
            TermState::ToCome
        } else if at < self.ends() {
            TermState::Running
        } else {
            TermState::Ended
        }
    }

    /// The end of the first six months, or of a shorter term.
    pub(super) fn early_until(&self) -> Timestamp {
        after(self.term_start, 6.months()).min(self.ends())
    }

    /// The next instant at which use is compared, after `at`.
    pub fn next_milestone(&self, at: Timestamp) -> Option<Timestamp> {
        let every = match self.milestones {
            Some(Milestones::Annual) => 12,
            Some(Milestones::Quarterly) => 3,
            None => 0,
        };
        let ends = self.ends();
        // No term is longer than the file may say; each is counted from the start, for months are of several lengths.
        let between =
            (1..).map(|turn: i32| after(self.term_start, turn.saturating_mul(every).min(MOST_MONTHS).months()));
        let mut between = between.take(if every == 0 { 0 } else { MOST_MONTHS as usize });
        let next = between.find(|milestone| *milestone > at);
        (at < ends).then(|| next.map_or(ends, |next| next.min(ends)))
    }

    /// Is it of the row's account?
    pub(super) fn is_of(&self, row: &Row) -> bool {
        let same = |name: &str| name.trim().eq_ignore_ascii_case(self.account.trim());
        let both = || {
            let (smart, own) = self.account.split_once('/')?;
            let is = |known: &Option<Arc<str>>, said: &str| {
                known.as_deref().is_some_and(|known| known.trim().eq_ignore_ascii_case(said.trim()))
            };
            Some(is(&row.smart_account, smart) && is(&row.virtual_account, own))
        };
        [&row.smart_account, &row.virtual_account].into_iter().flatten().any(|name| same(name)) || both() == Some(true)
    }

    /// Is the row's licence one of it? A tag is also known by the name that it says itself.
    pub(super) fn covers(&self, row: &Row) -> bool {
        let called = |text: &String| {
            let by_tag = |tag| same_licence(text, tag) || text.eq_ignore_ascii_case(&tag.0);
            row.license_name.as_deref().is_some_and(|name| name.eq_ignore_ascii_case(text))
                || row.entitlement_tag.as_ref().is_some_and(by_tag)
        };
        self.is_of(row) && self.licences.iter().any(called)
    }
}

/// Twenty years and some; milestones beyond are not looked for.
const MOST_MONTHS: i32 = 300;

fn midnight(day: Date) -> Timestamp {
    TimeZone::UTC.to_timestamp(day.into()).unwrap_or(Timestamp::MAX)
}

fn after(start: Date, span: Span) -> Timestamp {
    start.checked_add(span).map_or(Timestamp::MAX, midnight)
}

/// The earliest instant from which use counts for any term that runs at `at`.
pub fn earliest_start(entitlements: &[Entitlement], at: Timestamp) -> Option<Seconds> {
    let running = entitlements.iter().filter(|one| one.state_at(at) == TermState::Running);
    running.map(|one| one.begins().as_second()).min()
}
