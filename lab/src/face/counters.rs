//! What a device's face counts, so that a test can ask how gently it was treated.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use serde::Serialize;

use crate::lock;

/// The counts at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Counters {
    /// By method and path, such as `GET /smartlic-service/list`, queries left out; and `SSH` with the command line,
    /// `SSH scp -f PATH`, `SSH subsystem sftp`.
    pub requests: BTreeMap<String, u64>,
    pub logins_refused: u64,
    /// Passwords given over SSH, by either method, right or wrong: what locks an account.
    pub passwords_tried: u64,
    /// Enable passwords given on a terminal, right or wrong.
    pub enables_tried: u64,
    /// Public keys over SSH whose owner proved to have them, right or wrong.
    pub keys_tried: u64,
    /// Connections accepted, whatever became of them.
    pub connections: u64,
    /// Accepted connections whose handshake did not succeed.
    pub handshakes_failed: u64,
    /// Plaintext bytes of HTTP, and bytes of SSH as they are on the wire.
    pub bytes_in: u64,
    pub bytes_out: u64,
    /// The most requests under way at once.
    pub max_in_flight: usize,
    /// The most connections open at once, HTTPS and NETCONF.
    pub max_open: usize,
    /// The most terminal lines taken at once.
    pub max_vtys: usize,
    /// Those open now, HTTPS and NETCONF.
    pub open: usize,
    /// Terminal lines taken now.
    pub vtys: usize,
}

impl Counters {
    /// Requests of this path, by any method.
    pub fn of(&self, path: &str) -> u64 {
        let same = |key: &str| key.split_once(' ').is_some_and(|(_, of)| of == path);
        self.requests.iter().filter(|(key, _)| same(key)).map(|(_, count)| count).sum()
    }

    pub fn total(&self) -> u64 {
        self.requests.values().sum()
    }
}

/// Where the counting is done.
#[derive(Debug, Default)]
pub struct Meter {
    requests: Mutex<BTreeMap<String, u64>>,
    logins_refused: AtomicU64,
    passwords_tried: AtomicU64,
    enables_tried: AtomicU64,
    keys_tried: AtomicU64,
    connections: AtomicU64,
    handshakes_failed: AtomicU64,
    bytes_in: AtomicU64,
    bytes_out: AtomicU64,
    pub in_flight: Level,
    pub open: Level,
    pub vtys: Level,
}

impl Meter {
    pub fn request(&self, method: &str, path: &str) {
        *lock(&self.requests).entry(format!("{method} {path}")).or_default() += 1;
    }

    pub fn login_refused(&self) {
        self.logins_refused.fetch_add(1, Ordering::Relaxed);
    }

    pub fn password_tried(&self) {
        self.passwords_tried.fetch_add(1, Ordering::Relaxed);
    }

    pub fn enable_tried(&self) {
        self.enables_tried.fetch_add(1, Ordering::Relaxed);
    }

    pub fn key_tried(&self) {
        self.keys_tried.fetch_add(1, Ordering::Relaxed);
    }

    pub fn connection(&self) {
        self.connections.fetch_add(1, Ordering::Relaxed);
    }

    pub fn handshake_failed(&self) {
        self.handshakes_failed.fetch_add(1, Ordering::Relaxed);
    }

    pub fn read(&self, bytes: usize) {
        self.bytes_in.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub fn wrote(&self, bytes: usize) {
        self.bytes_out.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub fn counters(&self) -> Counters {
        Counters {
            requests: lock(&self.requests).clone(),
            logins_refused: self.logins_refused.load(Ordering::Relaxed),
            passwords_tried: self.passwords_tried.load(Ordering::Relaxed),
            enables_tried: self.enables_tried.load(Ordering::Relaxed),
            keys_tried: self.keys_tried.load(Ordering::Relaxed),
            connections: self.connections.load(Ordering::Relaxed),
            handshakes_failed: self.handshakes_failed.load(Ordering::Relaxed),
            bytes_in: self.bytes_in.load(Ordering::Relaxed),
            bytes_out: self.bytes_out.load(Ordering::Relaxed),
            max_in_flight: self.in_flight.highest(),
            max_open: self.open.highest(),
            max_vtys: self.vtys.highest(),
            open: self.open.now(),
            vtys: self.vtys.now(),
        }
    }
}

/// How many there are now, and the most there were.
#[derive(Debug, Default)]
pub struct Level {
    now: AtomicUsize,
    highest: AtomicUsize,
}

impl Level {
    /// One more, until the guard is dropped.
    pub fn enter(&self) -> Inside<'_> {
        let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
        self.highest.fetch_max(now, Ordering::SeqCst);
        Inside { level: self, now }
    }

    pub fn now(&self) -> usize {
        self.now.load(Ordering::SeqCst)
    }

    pub fn highest(&self) -> usize {
        self.highest.load(Ordering::SeqCst)
    }
}

pub struct Inside<'a> {
    level: &'a Level,
    /// How many there were with this one.
    pub now: usize,
}

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        self.level.now.fetch_sub(1, Ordering::SeqCst);
    }
}
