//! The last stretch home, as decided: when an answer is brought to its device, what keeps it, and who must carry it.

use jiff::{SignedDuration, Timestamp};

use super::event::Blame;
use super::fleet::{Answer, AnswerStatus, Fleet};
use super::pacing::{Circuit, Pacing};
use super::plan::{Settings, Watched, hold, watched_as};
use super::settings::Mode;

/// When the plan brings an answer to its device next, `now` at the earliest; `None`: never by itself.
pub fn next_try(
    fleet: &Fleet,
    watched: &[Watched],
    settings: &Settings,
    pacing: &Pacing,
    answer: &Answer,
    now: Timestamp,
) -> Option<Timestamp> {
    let device = deliverable(fleet, watched, answer)?;
    if exhausted(answer, settings) || hold(fleet, device, settings).is_some() {
        return None;
    }
    let at = match answer.last_attempt {
        None => now,
        Some(last) => last.checked_add(wait(settings.retry_after, answer.attempts)).unwrap_or(Timestamp::MAX),
    };
    // The waits after failures are the answer's own; a broken way to the site is everybody's.
    let way = pacing.circuits.get(&device.site).and_then(Circuit::next_try).unwrap_or(now);
    device.windows.next_opening(at.max(way).max(now))
}

/// Must a person bring it, because nothing here does so by itself?
pub fn by_hand(device: Option<&Watched>, answer: &Answer, settings: &Settings) -> bool {
    match answer.status {
        AnswerStatus::Quarantined { .. } | AnswerStatus::Confirmed(_) => false,
        AnswerStatus::AwaitingHandImport | AnswerStatus::Failed { .. } => true,
        AnswerStatus::AwaitingDelivery | AnswerStatus::Unconfirmed => {
            let way_in = device.is_some_and(|device| device.within_reach && device.mode == Mode::Deliver);
            !way_in || exhausted(answer, settings)
        }
    }
}

/// The device an answer goes to, when it waits and its device lets us in.
fn deliverable<'a>(fleet: &Fleet, watched: &'a [Watched], answer: &Answer) -> Option<&'a Watched> {
    match answer.status {
        AnswerStatus::AwaitingDelivery | AnswerStatus::Unconfirmed => {}
        AnswerStatus::Quarantined { .. }
        | AnswerStatus::AwaitingHandImport
        | AnswerStatus::Confirmed(_)
        | AnswerStatus::Failed { .. } => return None,
    }
    let name = fleet.resolve(answer.udi.as_ref()?)?.device.as_ref()?;
    let device = watched_as(watched, name)?;
    let trouble = fleet.devices.get(name).and_then(|known| known.trouble.as_ref());
    let closed = trouble.is_some_and(|trouble| matches!(trouble.blame, Blame::Refused | Blame::Untrusted));
    (device.within_reach && device.mode == Mode::Deliver && !closed).then_some(device)
}

/// What an undelivered answer waits for, in one sentence; `None` when it is settled or due.
pub fn waits_for(
    fleet: &Fleet,
    device: Option<&Watched>,
    answer: &Answer,
    settings: &Settings,
    now: Timestamp,
) -> Option<String> {
    match &answer.status {
        AnswerStatus::Quarantined { reason } => return Some(format!("a person: {reason}")),
        AnswerStatus::AwaitingHandImport => return Some("a person who imports it on the device by hand".to_owned()),
        AnswerStatus::Failed { cause } => return Some(format!("a person: {cause}")),
        AnswerStatus::Confirmed(_) => return None,
        AnswerStatus::AwaitingDelivery | AnswerStatus::Unconfirmed => {}
    }
    let Some(device) = device else { return Some("a device in the inventory that is this instance".to_owned()) };
    if !device.within_reach {
        return Some(format!("a person who imports it on '{}' by hand", device.name));
    }
    if device.mode != Mode::Deliver {
        return Some(format!("mode `deliver` on '{}' (it is `{}`)", device.name, device.mode));
    }
    if let Some(reason) = hold(fleet, device, settings) {
        return Some(reason);
    }
    if exhausted(answer, settings) {
        let cause = answer.last_cause.as_deref().unwrap_or("reading back shows no change");
        return Some(format!("a person, after {} attempts: {cause}", answer.attempts));
    }
    let trouble = fleet.devices.get(&device.name).and_then(|known| known.trouble.as_ref());
    trouble.map(|trouble| trouble.cause.clone()).or_else(|| outside_window(device, now))
}

/// Why the plan may not write to the device now, when that is for its windows.
pub fn outside_window(device: &Watched, now: Timestamp) -> Option<String> {
    match device.windows.next_opening(now) {
        Some(at) if at == now => None,
        Some(at) => Some(format!("its maintenance window ({}), which opens at {at}", device.windows)),
        None => Some(format!("its maintenance window ({}), which never opens", device.windows)),
    }
}

/// A device that takes an answer and shows no change is not asked for ever; one that cannot be
/// reached is, at growing intervals.
fn exhausted(answer: &Answer, settings: &Settings) -> bool {
    answer.status == AnswerStatus::Unconfirmed && answer.attempts >= settings.attempts
}

/// Doubled after each attempt, to a day at most.
pub(super) fn wait(first: SignedDuration, attempts: u32) -> SignedDuration {
    let factor = 1i32 << attempts.saturating_sub(1).min(6);
    first.checked_mul(factor).unwrap_or(SignedDuration::MAX).min(SignedDuration::from_hours(24).max(first))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::digest::Sha256;
    use crate::domain::event::{AnswerDelivered, AnswerReceived, Fact, Outcome};
    use crate::domain::fleet::AnswerKey;
    use crate::domain::instance::Udi;
    use crate::domain::plan::plan;
    use crate::domain::plan::tests::{event, identified, nightly, settings, watched};

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    /// A device that was reached, and an answer for it.
    fn answered() -> (Fleet, AnswerKey) {
        let mut fleet = Fleet::default();
        fleet.apply(&event("2026-01-01T00:00:00Z", identified("a")));
        let udi = Udi::new("C9300-24T", "FOC-a");
        let object = Sha256::of(b"ack");
        let received = AnswerReceived {
            object,
            name: "ACK_a.txt".to_owned(),
            udi: udi.clone(),
            parts: vec!["rum-ack".to_owned()],
            bundle_id: None,
            reports: Vec::new(),
            assigned: None,
            licences: Vec::new(),
        };
        fleet.apply(&event("2026-01-01T01:00:00Z", Fact::AnswerReceived(received)));
        (fleet, AnswerKey { udi: Some(udi), object })
    }

    #[test]
    fn an_answer_is_delivered_only_where_the_mode_allows_and_retried_with_growing_waits() {
        let (mut fleet, key) = answered();
        let now = at("2026-01-01T02:00:00Z");
        let collect = [watched("a", Mode::Collect, 0)];
        assert!(plan(&fleet, &collect, &settings(), &Pacing::default(), None, None, now).deliver.is_empty());
        let deliver = [watched("a", Mode::Deliver, 0)];
        assert_eq!(
            plan(&fleet, &deliver, &settings(), &Pacing::default(), None, None, now).deliver,
            std::slice::from_ref(&key)
        );
        for hour in [2, 3] {
            let outcome = Outcome::Failed { cause: "timeout".to_owned(), again: true };
            let delivered =
                AnswerDelivered { object: key.object, device: "a".into(), udi: None, outcome, found: false };
            fleet.apply(&event(&format!("2026-01-01T0{hour}:00:00Z"), Fact::AnswerDelivered(delivered)));
        }
        let waiting = plan(&fleet, &deliver, &settings(), &Pacing::default(), None, None, at("2026-01-01T04:00:00Z"));
        assert!(waiting.deliver.is_empty());
        assert_eq!(waiting.wake, Some(at("2026-01-01T05:00:00Z")));
    }

    #[test]
    fn an_answer_waits_for_the_window_and_says_so() {
        let (fleet, key) = answered();
        let devices = [Watched { windows: nightly(), ..watched("a", Mode::Deliver, 0) }];
        let ask = |now: &str| plan(&fleet, &devices, &settings(), &Pacing::default(), None, None, at(now));
        let day = ask("2026-01-01T12:00:00Z");
        assert!(day.deliver.is_empty());
        assert_eq!(day.wake, Some(at("2026-01-01T22:00:00Z")));
        assert_eq!(ask("2026-01-01T22:00:00Z").deliver, std::slice::from_ref(&key));
        let waits = |now: &str| waits_for(&fleet, devices.first(), &fleet.answers[&key], &settings(), at(now));
        let expected = "its maintenance window (daily 22:00-04:00 UTC), which opens at 2026-01-01T22:00:00Z";
        assert_eq!(waits("2026-01-01T12:00:00Z").as_deref(), Some(expected));
        assert_eq!(waits("2026-01-02T03:59:00Z"), None);
    }
}
