//! One measurement: a count that held from a start to an end.

use serde::Serialize;

use crate::report::Ended;

/// The agent looks every quarter of an hour.
const SAMPLING: i64 = 900;

/// A measurement under way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Running {
    pub start: i64,
    /// When it was logged, by the clock as it is now: after a step back this may lie before the start, as in a capture.
    pub logged: i64,
    pub count: u32,
    /// How far the clock was moved since the start.
    pub clock_change: i64,
}

impl Running {
    pub fn from(now: i64, count: u32) -> Running {
        Running { start: now, logged: now, count, clock_change: 0 }
    }

    /// The finished measurement. A clock that was set back makes it end where it began, never before.
    pub fn end(&self, now: i64, ended: Option<Ended>, names_close: bool) -> Measurement {
        let end = now.max(self.start);
        let sample_interval = end - self.start;
        let word = ended.map(Ended::word);
        let meta = Meta {
            clock_change_delta: (self.clock_change != 0).then(|| self.clock_change.to_string()),
            termination_reason: word,
            close_reason: word.filter(|_| names_close),
        };
        Measurement {
            log_time: self.logged,
            metric_name: "ENTITLEMENT",
            start_time: self.start,
            end_time: end,
            sample_interval,
            num_samples: sample_interval / SAMPLING + 1,
            meta: (meta != Meta::default()).then_some(meta),
            value: Value { kind: "COUNT", value: self.count.to_string() },
        }
    }
}

/// As it stands in a payload; members in the order of the captures.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Measurement {
    pub log_time: i64,
    pub metric_name: &'static str,
    pub start_time: i64,
    pub end_time: i64,
    pub sample_interval: i64,
    pub num_samples: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub meta: Option<Meta>,
    pub value: Value,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Meta {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clock_change_delta: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub termination_reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub close_reason: Option<&'static str>,
}

/// The count is a string, as in every capture.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Value {
    #[serde(rename = "type")]
    pub kind: &'static str,
    pub value: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_every_quarter_of_an_hour() {
        let measurement = Running::from(1000, 2).end(1000 + 86_399, None, true);
        assert_eq!((measurement.sample_interval, measurement.num_samples), (86_399, 96));
        assert_eq!(measurement.meta, None);
        assert_eq!(measurement.value.value, "2");
    }
}
