//! The way of a report, from the device to Cisco and back. Read top to bottom:
//!
//! * [`poll`] — inward: identify, read state, list, fetch, keep.
//! * [`outward`] — what is owed goes into a bundle, sealed and written.
//! * [`homeward`] — an answer is read, matched, kept, delivered and read back.
//! * [`submit`] — the same by an upstream's API: reports up, acknowledgements down.
//! * [`check`] — what an upstream knows is compared with what is known here.
//! * [`consumption`] — what was measured becomes a snapshot, sealed and written.
//! * [`published`] — snapshots that are made by themselves.
//! * [`handover`] — snapshots for the receiver, until it has them.
//! * [`tell`] — everything is judged, and people are told.
//!
//! Each step calls one room: the device, the domain, the ledger, the exchange. These never see
//! each other; what they exchange passes through here.

pub mod brought;
pub mod by_hand;
pub mod check;
pub mod consumption;
pub mod deliver;
mod entry;
pub mod handover;
pub mod homeward;
pub mod inbox;
mod keep;
pub mod outward;
mod pace;
pub mod person;
pub mod poll;
pub mod probe;
pub mod published;
pub mod record;
pub mod rehearse;
pub mod submit;
pub mod tell;
mod writing;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::config::upstreams::Api;
use crate::config::{Config, Device, Upstream};
use crate::device::budget::Budget;
use crate::device::{self, Driver, Proven};
use crate::domain::alert::{self, Daily, Ladder};
use crate::domain::deadline::Rules;
use crate::domain::event::{ContactLost, ContactRestored, CredentialRefused, Decider, Fact, TrustPinned, TrustRefused};
use crate::domain::fleet::Instance;
use crate::domain::instance::{DeviceName, Site};
use crate::domain::pacing::CircuitRule;
use crate::domain::plan::{self, Settings, Watched};
use crate::domain::report::ReportId;
use crate::domain::settings::Trust as TrustSetting;
use crate::domain::submission::Gate;
use crate::ledger::Ledger;
use crate::metrics::Metrics;
use crate::notify::Sinks;
use crate::schedule;

pub use pace::by_turns;

/// Where the present comes from; a test hands in its own.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> Timestamp + Send + Sync>);

impl Clock {
    /// The system's clock.
    pub fn system() -> Self {
        Clock(Arc::new(Timestamp::now))
    }

    pub fn of(now: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        Clock(Arc::new(now))
    }

    pub fn now(&self) -> Timestamp {
        (self.0)()
    }
}

/// Everything a step needs: configuration, memory, clock and shared limits.
pub struct House {
    pub config: Arc<Config>,
    /// The inventory as decisions see it, in the order of names.
    pub watched: Arc<[Watched]>,
    pub settings: Arc<Settings>,
    pub ledger: Ledger,
    pub clock: Clock,
    pub sinks: Arc<Sinks>,
    /// Counted from the start of the program; they outlive a change of configuration.
    pub metrics: Arc<Metrics>,
    budget: Budget,
    between: Arc<Between>,
}

/// What dialogues know of each other; it outlives a change of configuration.
#[derive(Default)]
struct Between {
    /// Ids that a device lists and does not hand out, so that they are not asked for daily.
    withheld: Mutex<BTreeMap<DeviceName, BTreeSet<ReportId>>>,
    /// One bundle at a time.
    composing: Mutex<()>,
    /// One snapshot at a time: each holds the timelines of the whole fleet.
    surveying: Mutex<()>,
    /// One pass over what the receiver is owed at a time.
    handing_over: tokio::sync::Mutex<()>,
    /// One dialogue a device at a time, whoever asked for it.
    turns: Mutex<BTreeMap<DeviceName, Arc<tokio::sync::Mutex<()>>>>,
    /// Credentials that no device has taken yet: few try at once, so that a wrong password locks nobody out.
    unproven: Mutex<BTreeMap<Arc<str>, Arc<Semaphore>>>,
    /// Those that were taken.
    proven: Mutex<BTreeSet<Arc<str>>>,
    /// How fast, and what did not answer lately.
    pace: pace::Pace,
    /// The pass of each upstream, kept while requests are made: one at a time.
    passes: Mutex<BTreeMap<String, submit::Pass>>,
    /// When each upstream was last asked what it knows, and whether it told.
    checked: Mutex<BTreeMap<String, (Timestamp, bool)>>,
    /// Somebody changed what a plan rests on.
    stirred: tokio::sync::Notify,
}

impl House {
    pub fn new(config: Config, ledger: Ledger, clock: Clock) -> Self {
        let (watched, settings) = (watched(&config), Arc::new(settings(&config)));
        let budget = Budget::new(config.poll.in_flight_limit.0);
        let (sinks, config) = (Arc::new(Sinks::new(&config)), Arc::new(config));
        let (metrics, between) = Default::default();
        House { config, watched, settings, ledger, clock, sinks, metrics, budget, between }
    }

    /// The same house under another configuration. Dialogues under way end under the old one.
    pub fn reconfigured(&self, config: Config) -> Self {
        let (metrics, between) = (self.metrics.clone(), self.between.clone());
        House { metrics, between, ..House::new(config, self.ledger.clone(), self.clock.clone()) }
    }

    /// The same house for what a person asks: the facts that come of it stand under their name.
    pub fn asked_by(&self, person: &str) -> Self {
        House {
            config: self.config.clone(),
            watched: self.watched.clone(),
            settings: self.settings.clone(),
            ledger: self.ledger.asked_by(person),
            clock: self.clock.clone(),
            sinks: self.sinks.clone(),
            metrics: self.metrics.clone(),
            budget: self.budget.clone(),
            between: self.between.clone(),
        }
    }

    /// Says that something changed beside the plan's own doing, so that it is made anew.
    pub fn stir(&self) {
        self.between.stirred.notify_one();
    }

    /// Waits for [`stir`](Self::stir); one that came before is not missed.
    pub async fn stirred(&self) {
        self.between.stirred.notified().await;
    }

    /// The inventory's entry of that name.
    pub fn device(&self, name: &DeviceName) -> Option<&Device> {
        self.config.inventory.device(name)
    }

    /// Is it the instance of that device, by whichever name of it? A chassis that left its stack stands beside it in the
    /// inventory, and is another one.
    fn is_still(&self, instance: &Instance, device: &Device) -> bool {
        instance.device.as_ref().is_none_or(|name| *name == device.name || self.device(name).is_none())
    }

    pub fn watched(&self, name: &DeviceName) -> Option<&Watched> {
        plan::watched_as(&self.watched, name)
    }

    /// Why nothing may be sent to the device now.
    fn hold(&self, device: &Device) -> Option<String> {
        plan::hold(&self.ledger.fleet(), self.watched(&device.name)?, &self.settings)
    }

    /// Waits for a place among the few that may try a credential which nobody has taken yet.
    async fn first_login(&self, device: &Device) -> Option<OwnedSemaphorePermit> {
        let name = device.credential.as_ref()?;
        if self.between.proven.lock().expect("no panic while it is held").contains(name) {
            return None;
        }
        let places = || Arc::new(Semaphore::new(self.settings.credential_hold_after));
        let places = {
            let mut unproven = self.between.unproven.lock().expect("no panic while it is held");
            unproven.entry(name.clone()).or_insert_with(places).clone()
        };
        places.acquire_owned().await.ok()
    }

    /// The device took the login: everybody may use the credential.
    fn logged_in(&self, device: &Device) {
        let Some(name) = &device.credential else { return };
        if self.between.proven.lock().expect("no panic while it is held").insert(name.clone())
            && let Some(places) = self.between.unproven.lock().expect("no panic while it is held").remove(name)
        {
            // Nobody waits any longer.
            places.close();
        }
    }

    /// It did not: from now on few try again.
    fn login_refused(&self, device: &Device) {
        if let Some(name) = &device.credential {
            self.between.proven.lock().expect("no panic while it is held").remove(name);
        }
    }

    /// Waits until nobody else talks to the device.
    async fn turn(&self, name: &DeviceName) -> tokio::sync::OwnedMutexGuard<()> {
        let turn =
            self.between.turns.lock().expect("no panic while it is held").entry(name.clone()).or_default().clone();
        turn.lock_owned().await
    }

    /// Where bundles are written.
    pub fn exchange_dir(&self) -> PathBuf {
        self.config.exchange.folder.clone()
    }

    /// Where snapshots are kept unless somebody says otherwise.
    pub fn snapshot_dir(&self) -> PathBuf {
        self.config.collector.state_dir.join("snapshots")
    }

    /// Opens a session by the access that is set or found.
    async fn session(&self, device: &Device) -> Result<Driver, device::Error> {
        let terms = self.terms(device).await?;
        let limit = self.config.poll.device_timeout;
        tokio::time::timeout(limit, Driver::open(terms)).await.unwrap_or_else(|_| {
            let address = device.host();
            let cause = format!("no way in was found within {limit:?}");
            Err(device::Error::Unreachable { step: "find a way in", address, cause })
        })
    }

    /// The facts that follow from how talking to a device ended.
    fn contact_facts(&self, device: &Device, proven: Proven, failure: Option<&device::Error>) -> Vec<Fact> {
        let fleet = self.ledger.fleet();
        let known = fleet.devices.get(&device.name);
        let name = || device.name.clone();
        let mut facts = Vec::new();
        let learned = known.and_then(|known| known.pin);
        let by = Decider::FirstContact;
        if let (None, Some(fingerprint), TrustSetting::Learn) = (learned, proven.certificate, device.trust) {
            facts.push(Fact::TrustPinned(TrustPinned { device: name(), fingerprint, key_type: None, by }));
        }
        let learned = known.and_then(|known| known.host_key.as_ref());
        if let (None, Some(key), TrustSetting::Learn) = (learned, proven.host_key, device.trust) {
            let (fingerprint, key_type) = (key.fingerprint, Some(key.key_type));
            facts.push(Fact::TrustPinned(TrustPinned { device: name(), fingerprint, key_type, by }));
        }
        let trouble = known.and_then(|known| known.trouble.as_ref());
        let Some(error) = failure else {
            if trouble.is_some() {
                facts.push(Fact::ContactRestored(ContactRestored { device: name() }));
            }
            return facts;
        };
        let (blame, cause) = (error.blame(), error.to_string());
        if trouble.is_none_or(|trouble| trouble.blame != blame || trouble.cause != cause) {
            facts.push(Fact::ContactLost(ContactLost { device: name(), blame, cause }));
        }
        if let device::Error::LoginRefused { .. } = error {
            self.login_refused(device);
            if let Some(credential) = device.credential.as_deref().map(str::to_owned) {
                facts.push(Fact::CredentialRefused(CredentialRefused { credential, device: name() }));
            }
        }
        if let Some(changed) = error.changed_key() {
            let noted = match &changed.key_type {
                None => known.and_then(|known| known.refused_pin.as_deref().copied()),
                Some(_) => known.and_then(|known| known.refused_host_key.as_ref()).map(|key| key.fingerprint),
            };
            if noted != Some(changed.shown) {
                let (pinned, presented, key_type) = (changed.pinned, changed.shown, changed.key_type);
                facts.push(Fact::TrustRefused(TrustRefused { device: name(), pinned, presented, key_type }));
            }
        }
        facts
    }
}

/// The inventory as decisions see it, in the order of names.
pub fn watched(config: &Config) -> Arc<[Watched]> {
    let mut watched: Vec<Watched> = config
        .inventory
        .iter()
        .map(|device| Watched {
            name: device.name.clone(),
            site: device.site.clone(),
            mode: device.mode,
            reporter: device.reporter,
            within_reach: device.within_reach(),
            credential: device.credential.clone(),
            exchange_lead: signed(device.exchange_lead),
            account: device.account.clone(),
            offset: signed(schedule::offset(&device.name.0, config.poll.spread)),
            jitter: schedule::offset(&device.name.0, Duration::from_secs(1)).as_secs_f64(),
            windows: device.windows.clone(),
            tags: device.tags.clone(),
            environment: device.environment.clone(),
        })
        .collect();
    watched.sort_by(|a, b| a.name.cmp(&b.name));
    watched.into()
}

/// The numbers that decisions rest on, as configured.
pub fn settings(config: &Config) -> Settings {
    let defaults = &config.deadline.default_policy;
    Settings {
        rules: Rules {
            due_soon: signed(config.deadline.due_soon),
            ios_xe: defaults.ios_xe.clone(),
            ios_xr: defaults.ios_xr.clone(),
            nx_os: defaults.nx_os.clone(),
        },
        stale_after: signed(config.deadline.stale_after),
        close_within: signed(config.exchange.close_within),
        retry_after: signed(config.delivery.retry_after),
        attempts: config.delivery.attempts,
        credential_hold_after: config.collector.credential_hold_after as usize,
        back_off: signed(config.poll.back_off),
        circuit: CircuitRule { after: config.poll.circuit_after, pause: signed(config.poll.circuit_pause) },
        gates: config.upstreams.iter().map(|(name, upstream)| gate(name, upstream)).collect(),
        alerts: alert_rules(config),
        violations: config.violations.clone(),
    }
}

fn gate(name: &str, upstream: &Upstream) -> Gate {
    let proxy = upstream.proxy.as_ref().and_then(|proxy| proxy.login.as_ref());
    let user = match &upstream.api {
        Api::Cssm(_) => None,
        Api::OnPrem(on_prem) => on_prem.user.as_ref(),
    };
    let credentials = [Some(&upstream.credential), proxy, user].into_iter().flatten();
    let credentials = credentials.map(|one| one.name.clone()).collect();
    let (routes, submit) = match &upstream.api {
        Api::Cssm(cssm) => (cssm.accounts.clone(), cssm.submit),
        Api::OnPrem(_) => (Vec::new(), false),
    };
    Gate { upstream: name.to_owned(), routes, submit, credentials }
}

fn alert_rules(config: &Config) -> alert::Rules {
    let alerts = &config.alerts;
    let everywhere = (Site::default(), config.defaults.maintenance());
    let sites = config.sites.iter().map(|(site, place)| (site.clone(), place.maintenance()));
    alert::Rules {
        ladder: Ladder { rungs: alerts.ladder.clone(), daily: Daily { at: alerts.at, zone: alerts.timezone.clone() } },
        group_wait: signed(alerts.group_wait),
        group_interval: signed(alerts.group_interval),
        maintenance: sites.chain([everywhere]).collect(),
    }
}

fn signed(duration: Duration) -> SignedDuration {
    SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX)
}

/// Opens the memory that the configuration names.
pub fn open_ledger(config: &Config) -> Result<Ledger, crate::ledger::Error> {
    Ledger::open(&ledger_dir(config), crate::ledger::Options::default())
}

/// Where the memory is.
pub fn ledger_dir(config: &Config) -> PathBuf {
    config.collector.state_dir.join("ledger")
}

/// Why a step could not be taken at all.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Ledger(#[from] crate::ledger::Error),
    #[error("{0}")]
    Exchange(String),
    /// The asker's mistake.
    #[error("{0}")]
    Input(String),
    /// Ours.
    #[error("{0}")]
    Internal(String),
}
