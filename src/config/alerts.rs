//! `[alerts]`: when people are told; who they are is in `[sinks]`.

use std::time::Duration;

use jiff::civil::Time;
use jiff::tz::TimeZone;
use toml::de::DeValue;

use super::place::timezone;
use super::raw::{self, Section, duration_in};
use crate::schedule::Schedule;

/// When people are told.
#[derive(Clone, Debug, PartialEq)]
pub struct Alerts {
    /// Days before leave-by and before due, most first.
    pub ladder: Vec<u32>,
    /// The time of day for what falls on a day.
    pub at: Time,
    pub timezone: TimeZone,
    /// When the digest goes out; in UTC.
    pub digest: Schedule,
    /// What is new waits so long for company.
    pub group_wait: Duration,
    /// At least so long between two messages of one site and severity.
    pub group_interval: Duration,
}

impl Default for Alerts {
    fn default() -> Self {
        Alerts {
            ladder: vec![30, 14, 7, 3, 1],
            at: Time::constant(7, 0, 0, 0),
            timezone: TimeZone::UTC,
            digest: "0 7 * * 1".parse().expect("the default schedule is one"),
            group_wait: Duration::from_secs(5 * 60),
            group_interval: Duration::from_secs(60 * 60),
        }
    }
}

pub(super) fn read(mut section: Section<'_, '_>) -> Alerts {
    let mut alerts = Alerts::default();
    section.read("ladder", &mut alerts.ladder, ladder);
    section.read("at", &mut alerts.at, time);
    section.read("timezone", &mut alerts.timezone, |value| timezone(value.as_str().unwrap_or_default()));
    section.read("digest", &mut alerts.digest, raw::schedule);
    section.read("group_wait", &mut alerts.group_wait, duration_in("0s", "1d"));
    section.read("group_interval", &mut alerts.group_interval, duration_in("0s", "7d"));
    section.finish(&[]);
    alerts
}

fn ladder(value: &DeValue<'_>) -> Result<Vec<u32>, String> {
    let instead = || "write a list of days, each once, such as [30, 14, 7, 3, 1]".to_owned();
    let rungs = value.as_array().ok_or_else(instead)?;
    let day = raw::whole(1, 365);
    let mut days = rungs
        .iter()
        .map(|rung| day(rung.get_ref()).map(|days| u32::try_from(days).unwrap_or(u32::MAX)))
        .collect::<Result<Vec<u32>, String>>()
        .map_err(|_| instead())?;
    days.sort_unstable_by(|a, b| b.cmp(a));
    if days.windows(2).any(|two| two[0] == two[1]) { Err(instead()) } else { Ok(days) }
}

fn time(value: &DeValue<'_>) -> Result<Time, String> {
    let text = value.as_str().unwrap_or_default();
    let time = (text.len() == 5).then(|| Time::strptime("%H:%M", text).ok()).flatten();
    time.ok_or_else(|| r#"write hour and minute, such as "07:00""#.to_owned())
}
