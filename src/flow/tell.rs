//! Telling: what is wrong is put on record, what is to be told is put on record, and what is on record is carried to
//! the sinks until each has it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::{Error, House};
use crate::domain::alert;
use crate::domain::event::{Fact, MessageMade, MessageSettled, ScheduleRan};
use crate::domain::fleet::Fleet;
use crate::domain::message::Message;
use crate::domain::violation::find;

/// The name under which the weekly word is remembered.
const DIGEST: &str = "digest";
/// Ten beats and more may be lost before somebody is told that the collector is silent.
const HEARTBEAT_HOLDS: Duration = Duration::from_secs(10 * 60);
/// A sink that failed rests so long, doubled by each failure in a row.
const REST: SignedDuration = SignedDuration::from_secs(30);
/// But never longer than this.
const LONGEST_REST: SignedDuration = SignedDuration::from_mins(10);

/// Looks at everything: violations that came and went, then who is to be told of what. All of it is kept before
/// anything is sent, so that nothing is told twice and nothing is lost.
pub async fn judge(house: &Arc<House>) -> Result<(), Error> {
    let now = house.clock.now();
    for step in [violations, messages] {
        let own = house.clone();
        let facts = tokio::task::spawn_blocking(move || step(&own, now)).await;
        let facts = facts.map_err(|panic| Error::Internal(format!("judging the fleet: {panic}")))?;
        for facts in facts {
            house.ledger.append_async(now, facts, Vec::new()).await?;
        }
    }
    Ok(())
}

/// So many facts in one append: a fleet that is seen for the first time may have a violation a device.
const FACTS_AT_ONCE: usize = 2000;

fn violations(house: &House, now: Timestamp) -> Vec<Vec<Fact>> {
    let fleet = house.ledger.fleet();
    let found = find::find(&fleet, &house.watched, &house.settings, now);
    let mut news = find::news(&fleet, found, now).into_iter().peekable();
    let mut appends = Vec::new();
    while news.peek().is_some() {
        appends.push(news.by_ref().take(FACTS_AT_ONCE).collect());
    }
    appends
}

/// Where nobody is to be told nothing is composed: who is entered later is told of what is so then.
fn messages(house: &House, now: Timestamp) -> Vec<Vec<Fact>> {
    let fleet = house.ledger.fleet();
    let mut appends = dropped(house, &fleet);
    if house.sinks.is_empty() {
        return appends;
    }
    for mut made in alert::tell(&fleet, &house.watched, &house.settings, now) {
        made.sinks = takers(house, &made.message);
        appends.push(vec![Fact::MessageMade(Box::new(made))]);
    }
    appends.extend(digest(house, &fleet, now));
    appends
}

/// What waits for sinks that are no more.
fn dropped(house: &House, fleet: &Fleet) -> Vec<Vec<Fact>> {
    let mut facts = Vec::new();
    for (id, outgoing) in &fleet.messages {
        for sink in outgoing.waiting.iter().filter(|sink| !house.sinks.has(sink)) {
            tracing::warn!(%sink, message = %id, title = %outgoing.message.title,
                "let go of: no sink of that name is configured any more");
            let dropped = Some("no sink of that name is configured any more".to_owned());
            facts.push(Fact::MessageSettled(MessageSettled { message: id.clone(), sink: sink.clone(), dropped }));
        }
    }
    if facts.is_empty() { Vec::new() } else { vec![facts] }
}

fn takers(house: &House, message: &Message) -> Vec<String> {
    house.sinks.names().filter(|sink| house.sinks.wants(sink, message)).map(str::to_owned).collect()
}

/// The weekly word, when it is its time. The first start only notes that.
fn digest(house: &House, fleet: &Fleet, now: Timestamp) -> Vec<Vec<Fact>> {
    let last = fleet.schedules.get(DIGEST).map(|ran| ran.due);
    let due = match last {
        None => Some(now),
        Some(last) => house.config.alerts.digest.missed(Some(last), now),
    };
    let Some(due) = due else { return Vec::new() };
    let ran = Fact::ScheduleRan(ScheduleRan { schedule: DIGEST.to_owned(), due, polled: 0, failed: 0 });
    if last.is_none() {
        return vec![vec![ran]];
    }
    let message = alert::digest(fleet, &house.watched, &house.settings, now);
    let sinks = takers(house, &message);
    vec![vec![ran, Fact::MessageMade(Box::new(MessageMade { message, sinks, told: Vec::new() }))]]
}

/// Tells whoever watches for silence that the collector runs. Repeated at each judgement.
pub async fn heartbeat(house: &House) {
    for (sink, told) in house.sinks.heartbeat(house.clock.now(), HEARTBEAT_HOLDS).await {
        if let Err(error) = told {
            tracing::warn!(sink, %error, "the heartbeat was not taken; the next follows");
        }
    }
}

/// Messages on their way: one at a time to each sink, in the order in which they were made.
#[derive(Default)]
pub struct Outbox {
    busy: BTreeSet<String>,
    /// Sinks that failed: how often in a row, and until when they are left alone.
    resting: BTreeMap<String, (u32, Timestamp)>,
    /// How often a sink said no to a message: such a one goes behind the others, so that it keeps none of them.
    refused: BTreeMap<(String, String), u32>,
}

/// How an errand ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    Arrived,
    /// Whatever had been sent, it would not have been taken.
    NotNow,
    /// The sink said no to just this.
    Refused,
}

/// A message and whom it goes to.
pub struct Errand {
    pub sink: String,
    pub message: Message,
}

impl Outbox {
    /// What is to be sent now; each sink is busy until [`ended`](Self::ended).
    pub fn errands(&mut self, fleet: &Fleet, now: Timestamp) -> Vec<Errand> {
        let mut first: BTreeMap<&str, (u32, &Message)> = BTreeMap::new();
        for outgoing in fleet.messages.values() {
            for sink in &outgoing.waiting {
                let rests = self.resting.get(sink).is_some_and(|(_, until)| *until > now);
                if rests || self.busy.contains(sink) {
                    continue;
                }
                let message = &outgoing.message;
                let refusals = self.refused.get(&(sink.clone(), message.id.clone())).copied().unwrap_or(0);
                let known = first.entry(sink).or_insert((refusals, message));
                if (refusals, turn(message)) < (known.0, turn(known.1)) {
                    *known = (refusals, message);
                }
            }
        }
        let errands: Vec<Errand> = first
            .into_iter()
            .map(|(sink, (_, message))| Errand { sink: sink.to_owned(), message: message.clone() })
            .collect();
        self.busy.extend(errands.iter().map(|errand| errand.sink.clone()));
        errands
    }

    /// Notes how an errand ended.
    pub fn ended(&mut self, errand: &Errand, how: Sent, now: Timestamp) {
        let sink = &errand.sink;
        self.busy.remove(sink);
        let about = (sink.clone(), errand.message.id.clone());
        match how {
            Sent::Arrived => {
                self.refused.remove(&about);
                self.resting.remove(sink);
                return;
            }
            Sent::Refused => *self.refused.entry(about).or_default() += 1,
            Sent::NotNow => {}
        }
        let failures = self.resting.get(sink).map_or(0, |(failures, _)| *failures);
        let rest = REST.checked_mul(1 << failures.min(10)).unwrap_or(LONGEST_REST).min(LONGEST_REST);
        let until = now.saturating_add(rest).unwrap_or(now);
        self.resting.insert(sink.clone(), (failures.saturating_add(1), until));
    }

    /// Everybody may be tried again: what made a sink fail may be set right.
    pub fn rested(&mut self) {
        self.resting.clear();
        self.refused.clear();
    }

    /// When the next sink has rested; one that has already, and is sent nothing, has nothing to wait for.
    pub fn wake(&self, now: Timestamp) -> Option<Timestamp> {
        let resting = self.resting.iter().filter(|(sink, (_, until))| *until > now && !self.busy.contains(*sink));
        resting.map(|(_, (_, until))| *until).min()
    }
}

/// The oldest comes first, and of one judgement the nearest deadline, so that parts come in their order.
fn turn(message: &Message) -> impl Ord {
    let nearest = message.lines.first().map(|line| (line.due, line.name.as_str()));
    (message.at, nearest, message.id.as_str())
}

/// Sends one message to one sink; one that arrived is on record. A failure is said here, and what is next.
pub async fn send(house: &House, errand: &Errand) -> Result<Sent, Error> {
    let Errand { sink, message } = errand;
    if let Err(error) = house.sinks.send(sink, message).await {
        house.metrics.sink_error(sink);
        tracing::warn!(%sink, message = %message.id, %error, "a message was not taken; it is kept and tried again");
        return Ok(if error.is_about_the_message() { Sent::Refused } else { Sent::NotNow });
    }
    house.metrics.sink_sent(sink);
    tracing::info!(%sink, message = %message.id, title = %message.title, "told");
    let settled = MessageSettled { message: message.id.clone(), sink: sink.clone(), dropped: None };
    house.ledger.append_async(house.clock.now(), vec![Fact::MessageSettled(settled)], Vec::new()).await?;
    Ok(Sent::Arrived)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::message::{Line, Outgoing, Topic};
    use crate::domain::violation::Severity;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn waiting(messages: &[(&str, &str, &[&str])]) -> Fleet {
        let mut fleet = Fleet::default();
        for (title, made, sinks) in messages {
            let (at, title) = (at(made), (*title).to_owned());
            let message =
                alert::message(at, Topic::Overdue, Severity::Critical, None, title, String::new(), Vec::new());
            let waiting = sinks.iter().map(|sink| (*sink).to_owned()).collect();
            fleet.messages.insert(message.id.clone(), Outgoing { message, waiting });
        }
        fleet
    }

    fn sent(outbox: &mut Outbox, fleet: &Fleet, now: Timestamp) -> Vec<(String, String)> {
        outbox.errands(fleet, now).into_iter().map(|errand| (errand.sink, errand.message.title)).collect()
    }

    /// How the errand to a sink ended whose message is that one of the fleet.
    fn ended(outbox: &mut Outbox, fleet: &Fleet, sink: &str, title: &str, how: Sent, now: &str) {
        let message = fleet.messages.values().map(|outgoing| &outgoing.message).find(|message| message.title == title);
        let errand = Errand { sink: sink.to_owned(), message: message.unwrap().clone() };
        outbox.ended(&errand, how, at(now));
    }

    fn errand(sink: &str, title: &str) -> (String, String) {
        (sink.to_owned(), title.to_owned())
    }

    #[test]
    fn each_sink_is_sent_its_oldest_and_one_at_a_time() {
        let messages: [(&str, &str, &[&str]); 2] =
            [("second", "2026-01-01T01:00:00Z", &["a", "b"]), ("first", "2026-01-01T00:00:00Z", &["a"])];
        let fleet = waiting(&messages);
        let now = at("2026-01-01T02:00:00Z");
        let mut outbox = Outbox::default();
        assert_eq!(sent(&mut outbox, &fleet, now), [errand("a", "first"), errand("b", "second")]);
        assert_eq!(sent(&mut outbox, &fleet, now), []);
        ended(&mut outbox, &fleet, "a", "first", Sent::Arrived, "2026-01-01T02:00:00Z");
        assert_eq!(sent(&mut outbox, &waiting(&messages[..1]), now), [errand("a", "second")]);
    }

    #[test]
    fn a_message_that_is_refused_for_good_keeps_no_other_from_its_sink() {
        let fleet = waiting(&[("bad", "2026-01-01T00:00:00Z", &["a"]), ("good", "2026-01-01T01:00:00Z", &["a"])]);
        let mut outbox = Outbox::default();
        let later = at("2026-01-01T03:00:00Z");
        assert_eq!(sent(&mut outbox, &fleet, at("2026-01-01T02:00:00Z")), [errand("a", "bad")]);
        ended(&mut outbox, &fleet, "a", "bad", Sent::Refused, "2026-01-01T02:00:00Z");
        assert_eq!(sent(&mut outbox, &fleet, later), [errand("a", "good")]);
        ended(&mut outbox, &fleet, "a", "good", Sent::Arrived, "2026-01-01T03:00:00Z");
        let left = waiting(&[("bad", "2026-01-01T00:00:00Z", &["a"])]);
        assert_eq!(sent(&mut outbox, &left, later), [errand("a", "bad")], "and it is tried again");
    }

    #[test]
    fn the_parts_of_one_judgement_come_in_their_order() {
        let mut fleet = waiting(&[
            ("part 3", "2026-01-01T00:00:00Z", &["a"]),
            ("part 1", "2026-01-01T00:00:00Z", &["a"]),
            ("part 2", "2026-01-01T00:00:00Z", &["a"]),
        ]);
        for outgoing in fleet.messages.values_mut() {
            let part = outgoing.message.title.clone();
            outgoing.message.lines = vec![Line { name: format!("first of {part}"), ..Line::default() }];
        }
        let (mut outbox, now) = (Outbox::default(), "2026-01-01T02:00:00Z");
        for title in ["part 1", "part 2", "part 3"] {
            assert_eq!(sent(&mut outbox, &fleet, at(now)), [errand("a", title)]);
            ended(&mut outbox, &fleet, "a", title, Sent::Arrived, now);
            fleet.messages.retain(|_, outgoing| outgoing.message.title != title);
        }
    }

    #[test]
    fn a_reload_ends_every_rest() {
        let fleet = waiting(&[("m", "2026-01-01T00:00:00Z", &["a"])]);
        let now = at("2026-01-01T00:00:00Z");
        let mut outbox = Outbox::default();
        assert_eq!(sent(&mut outbox, &fleet, now), [errand("a", "m")]);
        ended(&mut outbox, &fleet, "a", "m", Sent::NotNow, "2026-01-01T00:00:00Z");
        assert_eq!(sent(&mut outbox, &fleet, now), []);
        outbox.rested();
        assert_eq!(sent(&mut outbox, &fleet, now), [errand("a", "m")]);
    }

    #[test]
    fn a_sink_that_failed_rests_longer_each_time_and_wakes_nobody_for_nothing() {
        let fleet = waiting(&[("m", "2026-01-01T00:00:00Z", &["mail"])]);
        let mut outbox = Outbox::default();
        ended(&mut outbox, &fleet, "mail", "m", Sent::NotNow, "2026-01-01T00:00:00Z");
        assert_eq!(outbox.wake(at("2026-01-01T00:00:00Z")), Some(at("2026-01-01T00:00:30Z")));
        assert_eq!(outbox.wake(at("2026-01-01T00:00:30Z")), None, "what waited for it was dropped meanwhile");
        ended(&mut outbox, &fleet, "mail", "m", Sent::NotNow, "2026-01-01T00:00:31Z");
        assert_eq!(outbox.wake(at("2026-01-01T00:00:31Z")), Some(at("2026-01-01T00:01:31Z")));
        for _ in 0..40 {
            ended(&mut outbox, &fleet, "mail", "m", Sent::NotNow, "2026-01-01T01:00:00Z");
        }
        assert_eq!(outbox.wake(at("2026-01-01T01:00:00Z")), Some(at("2026-01-01T01:10:00Z")));
        ended(&mut outbox, &fleet, "mail", "m", Sent::Arrived, "2026-01-01T01:10:00Z");
        assert_eq!(outbox.wake(at("2026-01-01T01:10:00Z")), None);
    }
}
