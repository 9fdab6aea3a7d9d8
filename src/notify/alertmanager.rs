//! Messages as alerts of Prometheus' Alertmanager, by its API v2: one alert a line.
//!
//! An alert is known by its labels alone, severity among them. So a line that fires ends the same alert at the other
//! severities, and a line that is met or resolved ends it at all of them; ending what never fired changes nothing.
//! Labels are those words that stay the same from the first reminder to the end; what changes is an annotation.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use reqwest::header::HeaderMap;
use serde::Serialize;

use super::http::Http;
use super::{Error, Sink};
use crate::config::web;
use crate::domain::message::{Line, Message, Topic};
use crate::domain::settings::Word;
use crate::domain::violation::Severity;

const PATH: &str = "/api/v2/alerts";

/// Alerts in one request.
const MOST: usize = 1000;

/// An alert fires so long unless it ends before: Alertmanager would let go of it after minutes, and the longest silence
/// between two rungs of the ladder is 16 days.
const HOLDS: SignedDuration = SignedDuration::from_hours(45 * 24);

/// What is only news fires so long.
const NEWS: SignedDuration = SignedDuration::from_mins(10);

/// What Alertmanager takes.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Alert<'m> {
    labels: BTreeMap<&'static str, &'m str>,
    annotations: BTreeMap<&'static str, String>,
    starts_at: Timestamp,
    ends_at: Timestamp,
}

#[derive(Debug)]
pub(super) struct Alertmanager {
    http: Http,
    collector: String,
}

impl Alertmanager {
    pub(super) fn new(place: String, settings: &web::Http, collector: &str) -> Self {
        Alertmanager { http: Http::new(place, settings, PATH), collector: collector.to_owned() }
    }

    /// An alert that fires as long as somebody repeats this: when it ends, the collector is silent.
    pub(super) async fn heartbeat(&self, now: Timestamp, valid_for: Duration) -> Result<(), Error> {
        let labels = BTreeMap::from([
            ("alertname", "SlpCollectorAlive"),
            ("collector", self.collector.as_str()),
            ("severity", Severity::Info.word()),
        ]);
        let summary = "slp-collector runs; what matters is when this alert ends".to_owned();
        let annotations = BTreeMap::from([("summary", summary)]);
        self.post(&[Alert { labels, annotations, starts_at: now, ends_at: later(now, valid_for) }]).await
    }

    async fn post(&self, alerts: &[Alert<'_>]) -> Result<(), Error> {
        let json = serde_json::to_vec(alerts).map_err(|error| Error::Ours(error.to_string()))?;
        self.http.post(HeaderMap::new(), json).await
    }

    fn alerts<'m>(&'m self, message: &'m Message) -> Vec<Alert<'m>> {
        let story = Story::of(message);
        if message.lines.is_empty() || matches!(story, Story::News) {
            return self.alert(message, story, None);
        }
        message.lines.iter().flat_map(|line| self.alert(message, story, Some(line))).collect()
    }

    /// The alert of a line, at each severity that it has or may have had.
    fn alert<'m>(&'m self, message: &'m Message, story: Story, line: Option<&'m Line>) -> Vec<Alert<'m>> {
        let annotations = annotations(message, line);
        let at = |severity: Severity, ends_at| Alert {
            labels: self.labels(message, story, line, severity),
            annotations: annotations.clone(),
            starts_at: message.at,
            ends_at,
        };
        match story {
            Story::News => vec![at(message.severity, later(message.at, NEWS.unsigned_abs()))],
            Story::Deadline { over } | Story::Violation { over } => Severity::ALL
                .iter()
                .map(|severity| match *severity == message.severity && !over {
                    true => at(*severity, later(message.at, HOLDS.unsigned_abs())),
                    false => at(*severity, message.at),
                })
                .collect(),
        }
    }

    fn labels<'m>(
        &'m self,
        message: &'m Message,
        story: Story,
        line: Option<&'m Line>,
        severity: Severity,
    ) -> BTreeMap<&'static str, &'m str> {
        let name = match (story, message.topic) {
            (Story::Deadline { .. }, _) => "SlpDeadline",
            (Story::Violation { .. }, _) => "SlpViolation",
            (Story::News, Topic::Test) => "SlpTest",
            (Story::News, _) => "SlpDigest",
        };
        let site = line.map(|line| &line.site).or(message.site.as_ref());
        let mut labels = BTreeMap::from([
            ("alertname", name),
            ("collector", self.collector.as_str()),
            ("severity", severity.word()),
            ("site", site.map_or("", |site| &*site.0)),
        ]);
        if let Some(line) = line {
            labels.insert("device", line.device.as_ref().map_or(line.name.as_str(), |device| &*device.0));
            // A deadline may be told with a violation and without: that is no other alert.
            if let Story::Violation { .. } = story {
                labels.insert("kind", line.kind.map_or("", Word::word));
                labels.insert("violation", line.violation.as_ref().map_or("", |id| id.as_str()));
            }
        }
        // Alertmanager takes a label without a value for one that is not there.
        labels.retain(|_, value| !value.is_empty());
        labels
    }
}

impl Sink for Alertmanager {
    async fn send(&self, message: &Message) -> Result<(), Error> {
        for part in self.alerts(message).chunks(MOST) {
            self.post(part).await?;
        }
        Ok(())
    }
}

/// What a topic goes on with.
#[derive(Clone, Copy)]
enum Story {
    Deadline { over: bool },
    Violation { over: bool },
    News,
}

impl Story {
    fn of(message: &Message) -> Story {
        match message.topic {
            Topic::Reminder | Topic::Overdue => Story::Deadline { over: false },
            Topic::Met => Story::Deadline { over: true },
            Topic::Violation => Story::Violation { over: false },
            Topic::Resolved => Story::Violation { over: true },
            Topic::Digest | Topic::Test => Story::News,
        }
    }
}

fn annotations(message: &Message, line: Option<&Line>) -> BTreeMap<&'static str, String> {
    let mut annotations = BTreeMap::from([
        ("summary", message.title.clone()),
        ("message", message.id.clone()),
        ("topic", message.topic.to_string()),
    ]);
    let Some(line) = line else {
        if !message.text.is_empty() {
            annotations.insert("description", message.text.clone());
        }
        return annotations;
    };
    annotations.insert("description", line.what.clone());
    let more = [
        ("remedy", line.remedy.clone()),
        ("instance", line.udi.as_ref().map(ToString::to_string)),
        ("state", line.state.map(|state| state.to_string())),
        ("due", line.due.map(|due| due.to_string())),
        ("leave_by", line.leave_by.map(|leave_by| leave_by.to_string())),
        ("smart_account", line.account.smart_account.as_deref().map(str::to_owned)),
        ("virtual_account", line.account.virtual_account.as_deref().map(str::to_owned)),
    ];
    annotations.extend(more.into_iter().filter_map(|(name, value)| Some((name, value?))));
    annotations
}

fn later(at: Timestamp, by: Duration) -> Timestamp {
    at.checked_add(by).unwrap_or(Timestamp::MAX)
}
