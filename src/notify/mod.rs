//! How people are told: a message, to each way that the operator configured.
//!
//! Each way is a [`Sink`]: webhook, Alertmanager, mail, syslog, command. What is told, when and how often is decided
//! elsewhere, and so is what happens to a message that did not go. A message may arrive twice; its id says so. Messages
//! go to a sink in the order in which they were made, so that an end does not come before its beginning.

mod alertmanager;
mod command;
mod document;
mod error;
mod host;
mod html;
mod http;
mod mail;
mod smtp;
mod syslog;
mod text;
mod webhook;
mod wire;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use crate::config::sinks::Way;
use crate::config::{self, Config};
use crate::domain::digest::Sha256;
use crate::domain::message::{Message, Topic};
use crate::domain::violation::Severity;
pub use error::Error;

/// A way by which a message goes.
pub trait Sink {
    /// The whole message, or an error and at worst a part of it. Whoever calls sets the time limit.
    fn send(&self, message: &Message) -> impl Future<Output = Result<(), Error>> + Send;
}

#[derive(Debug)]
enum Driver {
    Webhook(webhook::Webhook),
    Alertmanager(alertmanager::Alertmanager),
    Mail(mail::Mail),
    Syslog(syslog::Syslog),
    Command(command::Command),
}

impl Sink for Driver {
    async fn send(&self, message: &Message) -> Result<(), Error> {
        match self {
            Driver::Webhook(sink) => sink.send(message).await,
            Driver::Alertmanager(sink) => sink.send(message).await,
            Driver::Mail(sink) => sink.send(message).await,
            Driver::Syslog(sink) => sink.send(message).await,
            Driver::Command(sink) => sink.send(message).await,
        }
    }
}

/// Every sink of the configuration, by its name.
#[derive(Debug, Default)]
pub struct Sinks(BTreeMap<String, Configured>);

#[derive(Debug)]
struct Configured {
    settings: config::Sink,
    /// Its type and address, as errors name it.
    place: String,
    driver: Driver,
}

impl Sinks {
    /// Opens nothing and reads nothing; secrets and CA files are read at each use.
    pub fn new(config: &Config) -> Self {
        let collector = config.collector.name.as_str();
        let configured = |settings: &config::Sink| {
            let place = place(&settings.way);
            let driver = driver(&settings.way, place.clone(), collector);
            Configured { settings: settings.clone(), place, driver }
        };
        Sinks(config.sinks.iter().map(|(name, sink)| (name.clone(), configured(sink))).collect())
    }

    /// The sinks' names, in their order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Is nobody to be told?
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// Type and address of a sink, fit to be shown; `None` for an unknown name.
    pub fn place(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(|sink| sink.place.as_str())
    }

    /// Is the message for that sink, by severity, topic and site? A test is for everybody.
    ///
    /// A message about no site in particular goes to a sink with `sites` too, with the lines of those sites only.
    pub fn wants(&self, name: &str, message: &Message) -> bool {
        let Some(Configured { settings, driver, .. }) = self.0.get(name) else { return false };
        // An alert must end wherever it may have begun, and its end is often less severe.
        let end = matches!((message.topic, driver), (Topic::Met | Topic::Resolved, Driver::Alertmanager(_)));
        let severity = end || message.severity >= settings.severity;
        let topic = settings.topics.is_empty() || settings.topics.contains(&message.topic);
        let site = |site| settings.sites.is_empty() || settings.sites.contains(site);
        let lines = message.lines.is_empty() || message.lines.iter().any(|line| site(&line.site));
        let place = message.site.as_ref().map_or(lines, site);
        message.topic == Topic::Test || (severity && topic && place)
    }

    /// Sends the message by that sink, within the sink's time limit, whether it [`wants`](Self::wants) it or not.
    pub async fn send(&self, name: &str, message: &Message) -> Result<(), Error> {
        let sink = self.0.get(name).ok_or_else(|| Error::Unknown(name.to_owned()))?;
        sink.within_limit(sink.driver.send(&sink.own(message))).await
    }

    /// Tells each Alertmanager that this collector runs: the alert `SlpCollectorAlive` fires until `now` and
    /// `valid_for`, so that its end is a sign of silence. Repeat it well before.
    pub async fn heartbeat(&self, now: Timestamp, valid_for: Duration) -> Vec<(&str, Result<(), Error>)> {
        let mut told = Vec::new();
        for (name, sink) in &self.0 {
            if let Driver::Alertmanager(alertmanager) = &sink.driver {
                told.push((name.as_str(), sink.within_limit(alertmanager.heartbeat(now, valid_for)).await));
            }
        }
        told
    }
}

impl Configured {
    async fn within_limit(&self, sending: impl Future<Output = Result<(), Error>>) -> Result<(), Error> {
        let limit = self.settings.timeout;
        let slow = |_| Err(Error::TooSlow { place: self.place.clone(), limit });
        tokio::time::timeout(limit, sending).await.unwrap_or_else(slow)
    }

    /// The message without lines of sites that this sink is not told of.
    fn own<'m>(&self, message: &'m Message) -> Cow<'m, Message> {
        let sites = &self.settings.sites;
        if sites.is_empty() || message.lines.iter().all(|line| sites.contains(&line.site)) {
            return Cow::Borrowed(message);
        }
        let lines = message.lines.iter().filter(|line| sites.contains(&line.site)).cloned().collect();
        Cow::Owned(Message { lines, ..message.clone() })
    }
}

/// A message by which somebody tries whether messages arrive.
pub fn test_message(now: Timestamp) -> Message {
    let id = Sha256::of(format!("test {now}").as_bytes()).to_string();
    Message {
        id: format!("m-{}", &id[..10]),
        at: now,
        topic: Topic::Test,
        severity: Severity::Info,
        site: None,
        title: "slp-collector: this is a test".to_owned(),
        text: "Somebody ran `check-config --probe`. Nothing is wrong, and nothing is to be done.".to_owned(),
        lines: Vec::new(),
    }
}

fn place(way: &Way) -> String {
    let word = way.word();
    match way {
        Way::Webhook(http) | Way::Alertmanager(http) => format!("{word} {}", http.url.origin()),
        Way::Mail(mail) => format!("{word} {}", mail.server),
        Way::Syslog(syslog) => format!("{word} {} ({})", syslog.server, syslog.transport),
        Way::Command(words) => format!("{word} {}", words.first().map_or("", String::as_str)),
    }
}

fn driver(way: &Way, place: String, collector: &str) -> Driver {
    match way {
        Way::Webhook(http) => Driver::Webhook(webhook::Webhook::new(place, http, collector)),
        Way::Alertmanager(http) => Driver::Alertmanager(alertmanager::Alertmanager::new(place, http, collector)),
        Way::Mail(mail) => Driver::Mail(mail::Mail::new(place, mail)),
        Way::Syslog(syslog) => Driver::Syslog(syslog::Syslog::new(place, syslog)),
        Way::Command(words) => Driver::Command(command::Command::new(place, words, collector)),
    }
}
