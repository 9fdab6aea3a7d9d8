//! The register and the open violations as one word for a monitoring system: fine, look, act.
//!
//! An acknowledged violation counts as an open one: a note stops reminders, not the fact.

use std::fmt;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::deadline::{Contact, ObligationState};
use super::settings::words;
use super::status::Row;
use super::violation::{Severity, Stage, Violation};

/// The worst that was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    Ok,
    Warning,
    Critical,
}
words!(Verdict { Ok = "OK", Warning = "WARNING", Critical = "CRITICAL" });

/// So long before leave-by it is time to look, and to act.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Thresholds {
    pub warning: SignedDuration,
    pub critical: SignedDuration,
}

/// How the fleet stands, in numbers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Health {
    pub thresholds: Thresholds,
    /// Rows of the register: devices, orphans, On-Prem servers.
    pub obligations: usize,
    pub overdue: usize,
    /// Not overdue, and leave-by is past or within the critical time.
    pub critical: usize,
    /// The same for the warning time, without those above.
    pub warning: usize,
    pub critical_violations: usize,
    pub warning_violations: usize,
    /// Devices of which nothing was heard for long, or never.
    pub silent: usize,
    /// Of the obligation that must leave first; negative when it should have left.
    pub days_to_leave_by: Option<f64>,
    pub days_to_due: Option<f64>,
    /// Who that is.
    pub first: Option<String>,
}

/// Judges the register at an instant.
pub fn judge<'a>(
    rows: &[Row],
    violations: impl Iterator<Item = &'a Violation>,
    thresholds: Thresholds,
    now: Timestamp,
) -> Health {
    let mut health = Health {
        thresholds,
        obligations: rows.len(),
        overdue: 0,
        critical: 0,
        warning: 0,
        critical_violations: 0,
        warning_violations: 0,
        silent: 0,
        days_to_leave_by: None,
        days_to_due: None,
        first: None,
    };
    let days = |at: Timestamp| (at.duration_since(now).as_secs_f64() / 8640.0).round() / 10.0;
    for row in rows {
        health.silent += usize::from(row.mode.is_some() && row.contact != Contact::Ok);
        let Some((due, leave_by)) = row.due.map(|due| (due, row.leave_by.unwrap_or(due))) else { continue };
        let left = leave_by.duration_since(now);
        if row.state == ObligationState::Overdue {
            health.overdue += 1;
        } else if left <= thresholds.critical {
            health.critical += 1;
        } else if left <= thresholds.warning {
            health.warning += 1;
        }
        if health.days_to_leave_by.is_none_or(|first| days(leave_by) < first) {
            health.days_to_leave_by = Some(days(leave_by));
            health.first = Some(row.name());
        }
        health.days_to_due = Some(health.days_to_due.map_or(days(due), |first| first.min(days(due))));
    }
    for violation in violations {
        match (violation.stage(now), violation.found.severity) {
            (Stage::Resolved, _) | (Stage::Open | Stage::Acknowledged, Severity::Info) => {}
            (Stage::Open | Stage::Acknowledged, Severity::Warning) => health.warning_violations += 1,
            (Stage::Open | Stage::Acknowledged, Severity::Critical) => health.critical_violations += 1,
        }
    }
    health
}

impl Health {
    pub fn verdict(&self) -> Verdict {
        if self.overdue + self.critical + self.critical_violations > 0 {
            Verdict::Critical
        } else if self.warning + self.warning_violations > 0 {
            Verdict::Warning
        } else {
            Verdict::Ok
        }
    }

    /// What is wrong, in words; how many there are when nothing is.
    fn findings(&self) -> Vec<String> {
        let span = |span: SignedDuration| format!("{}d", span.as_hours().div_euclid(24));
        let (critical, warning) = (span(self.thresholds.critical), span(self.thresholds.warning));
        let found = [
            (self.overdue, "overdue".to_owned()),
            (self.critical, format!("to leave within {critical}")),
            (self.warning, format!("to leave within {warning}")),
            (self.critical_violations, "critical violations".to_owned()),
            (self.warning_violations, "violations to look at".to_owned()),
        ];
        let mut found: Vec<String> =
            found.into_iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")).collect();
        if found.is_empty() {
            found.push(format!("{} obligations, none near", self.obligations));
        }
        if let (Some(first), Some(days)) = (&self.first, self.days_to_leave_by) {
            found.push(format!("first {first} ({days:.1} days to leave-by)"));
        }
        found
    }
}

/// One line as plugins for Nagios print it: words, a bar, then `label=value;warn;crit;min` parts. A threshold such as
/// `30:` means "fine from 30 on", `0` "fine at 0". What is not known is `U`.
impl fmt::Display for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The bar begins the numbers, and one in a name would.
        let words = self.findings().join(", ").replace('|', "/");
        write!(f, "SLP {} - {words} |", self.verdict())?;
        let days = |span: SignedDuration| (span.as_secs_f64() / 8640.0).round() / 10.0;
        let (warning, critical) = (days(self.thresholds.warning), days(self.thresholds.critical));
        let known = |days: Option<f64>| days.map_or_else(|| "U".to_owned(), |days| days.to_string());
        write!(f, " obligations={};;;0 overdue={};;0;0", self.obligations, self.overdue)?;
        write!(f, " to_leave_critical={};;0;0 to_leave_warning={};0;;0", self.critical, self.warning)?;
        write!(f, " violations_critical={};;0;0", self.critical_violations)?;
        write!(f, " violations_warning={};0;;0 silent={};;;0", self.warning_violations, self.silent)?;
        write!(f, " days_to_leave_by={};{warning}:;{critical}:", known(self.days_to_leave_by))?;
        write!(f, " days_to_due={};;0:", known(self.days_to_due))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::event::{Event, Fact, ViolationAcknowledged, ViolationResolved};
    use crate::domain::fleet::Fleet;
    use crate::domain::instance::Site;
    use crate::domain::status::tests::row;
    use crate::domain::violation::{Finding, Kind, Subject};

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    const NOW: &str = "2026-03-01T00:00:00Z";

    fn health(rows: &[Row], fleet: &Fleet) -> Health {
        let days = |days: i64| SignedDuration::from_hours(24 * days);
        judge(rows, fleet.violations.values(), Thresholds { warning: days(30), critical: days(7) }, at(NOW))
    }

    #[test]
    fn leave_by_is_what_counts_and_each_obligation_counts_once() {
        let rows = [
            row("late", "a", "2026-02-27T00:00:00Z", 10),
            row("gone-soon", "a", "2026-03-12T00:00:00Z", 10),
            row("missed-the-courier", "a", "2026-03-05T00:00:00Z", 10),
            row("soon", "a", "2026-04-01T00:00:00Z", 10),
            row("far", "a", "2026-06-01T00:00:00Z", 10),
        ];
        let all = health(&rows, &Fleet::default());
        assert_eq!((all.overdue, all.critical, all.warning), (1, 2, 1));
        let line = all.to_string();
        assert!(
            line.starts_with("SLP CRITICAL - 1 overdue, 2 to leave within 7d, 1 to leave within 30d, first late (")
        );
        assert_eq!(health(&rows[3..], &Fleet::default()).verdict(), Verdict::Warning);
        let fine = health(&rows[4..], &Fleet::default());
        assert_eq!(
            fine.to_string(),
            "SLP OK - 1 obligations, none near, first far (82.0 days to leave-by) | obligations=1;;;0 overdue=0;;0;0 \
             to_leave_critical=0;;0;0 to_leave_warning=0;0;;0 violations_critical=0;;0;0 violations_warning=0;0;;0 \
             silent=0;;;0 days_to_leave_by=82;30:;7: days_to_due=92;;0:"
        );
        let nothing = health(&[], &Fleet::default());
        assert!(nothing.to_string().contains("days_to_due=U;;0:") && nothing.verdict() == Verdict::Ok);
    }

    #[test]
    fn an_acknowledged_violation_still_counts_and_a_resolved_one_does_not() {
        let found = Finding {
            kind: Kind::OutOfCompliance,
            subject: Subject::Device("edge-1".into()),
            device: Some("edge-1".into()),
            site: Site::default(),
            severity: Severity::Critical,
            explanation: "more is used than was bought".to_owned(),
            evidence: Vec::new(),
        };
        let id = found.id();
        let mut fleet = Fleet::default();
        let mut tell = |fact: Fact| {
            fleet.apply(&Event { by: None, at: at(NOW), fact });
            health(&[], &fleet).verdict()
        };
        assert_eq!(tell(Fact::ViolationFound(Box::new(found))), Verdict::Critical);
        let until = at("2026-04-01T00:00:00Z");
        let acknowledged = ViolationAcknowledged { id: id.clone(), note: "ordered".to_owned(), until };
        assert_eq!(tell(Fact::ViolationAcknowledged(acknowledged)), Verdict::Critical);
        assert_eq!(tell(Fact::ViolationResolved(ViolationResolved { id, cause: "bought".to_owned() })), Verdict::Ok);
    }

    #[test]
    fn no_name_breaks_the_line() {
        let rows = [row("a|b", "a", "2026-06-01T00:00:00Z", 10)];
        assert_eq!(health(&rows, &Fleet::default()).to_string().matches('|').count(), 1);
    }
}
