//! How fast dialogues begin: by site, over all, and not into a way that is broken. Each passes here before it connects.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use super::House;
use crate::config::Device;
use crate::device::{self, Proven};
use crate::domain::event::Blame;
use crate::domain::instance::Site;
use crate::domain::pacing::{Open, Pacing, Setback};
use crate::domain::submission::Lately;

/// What dialogues share of it.
#[derive(Default)]
pub(super) struct Pace {
    pacing: Mutex<Pacing>,
    /// The places of each site and how many they are in all; others after a change of configuration.
    places: Mutex<BTreeMap<Site, (usize, Arc<Semaphore>)>>,
    rate: Rate,
}

/// Leave to begin a dialogue, and a place at its site while it is held.
pub(super) struct Passage {
    _place: Option<OwnedSemaphorePermit>,
}

impl House {
    /// Waits until a dialogue with the device may begin. An open circuit refuses it, unless a person asks for just this
    /// device: whoever mends a line wants to know now.
    ///
    /// Devices without a site have no line in common: they have neither limit nor circuit of their own.
    pub(super) async fn passage(&self, device: &Device, insist: bool) -> Result<Passage, Open> {
        let pace = &self.between.pace;
        let place = match device.site.0.is_empty() {
            true => None,
            // They are never closed.
            false => {
                pace.places(&device.site, self.config.place(&device.site).site_concurrency).acquire_owned().await.ok()
            }
        };
        if !device.site.0.is_empty() && !insist {
            let mut pacing = pace.pacing.lock().expect("no panic while it is held");
            if let Some(circuit) = pacing.circuits.get_mut(&device.site) {
                circuit.admit(self.clock.now(), self.settings.circuit)?;
            }
        }
        pace.rate.turn(self.config.poll.connects_per_second).await;
        Ok(Passage { _place: place })
    }

    /// Takes note of how the dialogue ended. What showed a key was reached, whatever came later; what failed by our own
    /// doing tells nothing.
    pub(super) fn passed(&self, device: &Device, proven: &Proven, failure: Option<&device::Error>) {
        let reached = match failure.map(device::Error::blame) {
            Some(Blame::Unreachable) => *proven != Proven::default(),
            Some(Blame::Ours) => return,
            Some(Blame::Refused | Blame::Untrusted | Blame::Misbehaved | Blame::Unsupported) | None => true,
        };
        let (now, rule) = (self.clock.now(), self.settings.circuit);
        let mut pacing = self.between.pace.pacing.lock().expect("no panic while it is held");
        let site = &device.site;
        if reached {
            pacing.setbacks.remove(&device.name);
            if pacing.circuits.remove(site).is_some_and(|mut circuit| circuit.reached()) {
                tracing::info!(%site, device = %device.name, "reached again: the circuit is closed");
                self.stir();
            }
            return;
        }
        let before = pacing.setbacks.get(&device.name).copied();
        pacing.setbacks.insert(device.name.clone(), Setback::again(before, now));
        if site.0.is_empty() {
            return;
        }
        if let Some(open) = pacing.circuits.entry(site.clone()).or_default().unreachable(now, rule) {
            let (unreachable, until) = (open.unreachable, open.until);
            tracing::warn!(%site, unreachable, %until,
                "circuit open: so many devices in a row were not reached; one is tried again then, the others wait");
        }
    }

    /// Takes note of how it went at an upstream.
    pub(super) fn lately<T>(&self, note: impl FnOnce(&mut Lately) -> T) -> T {
        note(&mut self.between.pace.pacing.lock().expect("no panic while it is held").upstreams)
    }

    /// What did not answer lately, as a plan sees it.
    pub fn pacing(&self) -> Pacing {
        self.between.pace.pacing.lock().expect("no panic while it is held").clone()
    }
}

/// Why the device was not tried, in one sentence.
pub(super) fn refusal(device: &Device, open: Open) -> String {
    let (site, Open { unreachable, until }) = (&device.site, open);
    format!("site {site}: circuit open after {unreachable} unreachable devices, next try at {until}")
}

impl Pace {
    fn places(&self, site: &Site, most: usize) -> Arc<Semaphore> {
        let mut places = self.places.lock().expect("no panic while it is held");
        let fresh = || (most, Arc::new(Semaphore::new(most)));
        let (limit, known) = places.entry(site.clone()).or_insert_with(fresh);
        if *limit != most {
            (*limit, *known) = fresh();
        }
        known.clone()
    }
}

/// Beginnings, evenly one after the other.
#[derive(Default)]
struct Rate {
    next: Mutex<Option<Instant>>,
}

impl Rate {
    /// Waits for the next turn of so many a second.
    async fn turn(&self, per_second: u32) {
        let turn = {
            let mut next = self.next.lock().expect("no panic while it is held");
            let turn = next.map_or_else(Instant::now, |next| next.max(Instant::now()));
            *next = Some(turn + Duration::from_secs(1) / per_second.max(1));
            turn
        };
        tokio::time::sleep_until(turn).await;
    }
}

/// One of each site after the other, so that a site with few places does not keep the whole pool waiting; those of one
/// site stay in their order.
pub fn by_turns<T>(items: impl IntoIterator<Item = T>, site: impl Fn(&T) -> Option<Site>) -> Vec<T> {
    let mut before: BTreeMap<Option<Site>, usize> = BTreeMap::new();
    let place = |item: T| {
        let count = before.entry(site(&item)).or_default();
        *count += 1;
        (*count, item)
    };
    let mut placed: Vec<(usize, T)> = items.into_iter().map(place).collect();
    placed.sort_by_key(|(count, _)| *count);
    placed.into_iter().map(|(_, item)| item).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn beginnings_are_spread_and_none_is_saved_up() {
        let (rate, start) = (Rate::default(), Instant::now());
        let mut at = Vec::new();
        for _ in 0..4 {
            rate.turn(20).await;
            at.push(start.elapsed().as_millis());
        }
        assert_eq!(at, [0, 50, 100, 150]);
        tokio::time::advance(Duration::from_secs(60)).await;
        let idle = Instant::now();
        rate.turn(20).await;
        rate.turn(20).await;
        assert_eq!(idle.elapsed(), Duration::from_millis(50), "a pause saves no turns up");
    }

    #[tokio::test(start_paused = true)]
    async fn those_who_come_at_once_wait_for_each_other() {
        let (rate, start) = (Arc::new(Rate::default()), Instant::now());
        let mut waiting = tokio::task::JoinSet::new();
        for _ in 0..100 {
            let rate = rate.clone();
            waiting.spawn(async move { rate.turn(10).await });
        }
        waiting.join_all().await;
        assert_eq!(start.elapsed(), Duration::from_millis(9_900));
    }

    #[tokio::test(start_paused = true)]
    async fn a_site_has_so_many_places_and_another_has_its_own() {
        let pace = Pace::default();
        let (one, other) = (Site::from("one"), Site::from("other"));
        let held = pace.places(&one, 1).acquire_owned().await.unwrap();
        assert!(pace.places(&one, 1).try_acquire_owned().is_err());
        assert!(pace.places(&other, 1).try_acquire_owned().is_ok());
        // After a change of configuration the new number counts.
        assert_eq!(pace.places(&one, 3).available_permits(), 3);
        drop(held);
    }

    #[test]
    fn sites_take_turns_and_keep_their_order() {
        let site = |text: &&str| Some(Site::from(text[..1].to_owned()));
        assert_eq!(by_turns(["a1", "a2", "a3", "b1", "b2", "c1"], site), ["a1", "b1", "c1", "a2", "b2", "a3"]);
    }
}
