//! The settings that hold for the whole collector, each with its default.
//!
//! The defaults are here and nowhere else: the shipped file and the documentation are compared with them.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::web;
use crate::domain::digest::Sha256;
use crate::domain::event::ImportForm;
use crate::domain::policy::{ClassPolicy, Policy};
use crate::domain::settings::{ByteSize, Os, words};
use crate::domain::snapshot::Form;
use crate::schedule::Schedule;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// `[collector]`: this collector and its files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Collector {
    /// Names this collector in bundles and snapshots.
    pub name: String,
    pub state_dir: PathBuf,
    pub inventory: PathBuf,
    /// The control socket of the running daemon.
    pub socket: PathBuf,
    /// So many refusals of one credential, by different devices, and it is held until a person releases it.
    pub credential_hold_after: u32,
}

impl Default for Collector {
    fn default() -> Self {
        Collector {
            name: "slp-collector".to_owned(),
            state_dir: "/var/lib/slp-collector".into(),
            inventory: "devices.csv".into(),
            socket: "/run/slp-collector/control.sock".into(),
            credential_hold_after: 3,
        }
    }
}

/// `[poll]`: when devices are asked, and how much at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Poll {
    /// In UTC.
    pub schedule: Schedule,
    /// Each device has its own, stable turn within this time after the schedule's instant.
    pub spread: Duration,
    /// Devices polled at once.
    pub concurrency: usize,
    pub connect_timeout: Duration,
    /// The longest silence within an answer.
    pub read_timeout: Duration,
    /// The longest poll of one device, from connect to the last answer.
    pub device_timeout: Duration,
    /// The largest answer that is taken.
    pub body_limit: ByteSize,
    /// The bytes that all polls together may hold in memory.
    pub in_flight_limit: ByteSize,
    /// IOS XE closes a connection after 25 requests.
    pub requests_per_connection: u32,
    /// Devices of one site polled at once, unless it has a number of its own.
    pub site_concurrency: usize,
    /// Dialogues begun in a second, over all sites.
    pub connects_per_second: u32,
    /// A device that was not reached is left alone for this, doubled by each failure in a row.
    pub back_off: Duration,
    /// So many devices of one site not reached in a row, and its circuit opens.
    pub circuit_after: u32,
    /// For so long.
    pub circuit_pause: Duration,
}

impl Default for Poll {
    fn default() -> Self {
        Poll {
            schedule: "0 3 * * *".parse().expect("the default schedule is one"),
            spread: 30 * MINUTE,
            concurrency: 64,
            connect_timeout: Duration::from_secs(5),
            read_timeout: MINUTE,
            device_timeout: 5 * MINUTE,
            body_limit: ByteSize::mib(64),
            in_flight_limit: ByteSize::mib(256),
            requests_per_connection: 25,
            // A quarter of the pool: one site, however slow its line, leaves places to the others.
            site_concurrency: 16,
            // 90,000 devices in half an hour. Each dialogue is up to ten logins for an AAA server.
            connects_per_second: 50,
            back_off: 15 * MINUTE,
            // More than the places of a site, so that one look at a small group of dead devices opens nothing.
            circuit_after: 20,
            circuit_pause: 5 * MINUTE,
        }
    }
}

/// `[deadline]`: when an obligation counts as near, and what holds where nothing is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deadline {
    pub due_soon: Duration,
    /// So long without an answer, and a device's contact is stale.
    pub stale_after: Duration,
    pub default_policy: DefaultPolicies,
}

impl Deadline {
    /// The defaults under a schedule: silence is stale when three polls in a row brought nothing.
    pub fn under(schedule: &Schedule) -> Self {
        Deadline { due_soon: 30 * DAY, stale_after: schedule.longest(3), default_policy: DefaultPolicies::default() }
    }
}

/// `[deadline.default_policy]`: the policy of each system where the device states none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DefaultPolicies {
    pub ios_xe: Policy,
    pub ios_xr: Policy,
    pub nx_os: Policy,
}

/// The [`Policy::source`] of a policy that the device did not state.
pub const CONFIGURED_DEFAULT: &str = "configured-default";

impl Default for DefaultPolicies {
    fn default() -> Self {
        let labelled = |policy| Policy { source: Some(CONFIGURED_DEFAULT.to_owned()), ..policy };
        let every_90_days = Some(ClassPolicy::of(90, 90, 90));
        DefaultPolicies {
            ios_xe: labelled(Policy::cisco_default()),
            ios_xr: labelled(Policy {
                perpetual: every_90_days,
                subscription: every_90_days,
                ..Policy::cisco_default()
            }),
            nx_os: labelled(Policy::cisco_default()),
        }
    }
}

impl DefaultPolicies {
    pub fn of(&self, os: Os) -> &Policy {
        match os {
            Os::IosXe => &self.ios_xe,
            Os::IosXr => &self.ios_xr,
            Os::NxOs => &self.nx_os,
        }
    }

    pub(super) fn of_mut(&mut self, os: Os) -> &mut Policy {
        match os {
            Os::IosXe => &mut self.ios_xe,
            Os::IosXr => &mut self.ios_xr,
            Os::NxOs => &mut self.nx_os,
        }
    }
}

/// `[exchange]`: bundles outward, answers homeward.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exchange {
    /// The time that courier, portal and way back take; a site may have its own.
    pub lead: Duration,
    /// Where bundles are written.
    pub folder: PathBuf,
    /// Where files are put that are to be taken in; `None`: no folder is watched.
    pub import: Option<PathBuf>,
    /// The folder of the signing key and its certificate.
    pub signer: PathBuf,
    /// Reports are closed for an exchange when leave-by is so near.
    pub close_within: Duration,
}

impl Exchange {
    /// The defaults under a state folder.
    pub fn within(state_dir: &Path) -> Self {
        Exchange {
            lead: 10 * DAY,
            folder: state_dir.join("exchange"),
            import: Some(state_dir.join("import")),
            signer: state_dir.join("signer"),
            close_within: 14 * DAY,
        }
    }
}

/// `[delivery]`: ACKs to their devices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    pub retry_after: Duration,
    /// Tries before a person is asked to carry the file.
    pub attempts: u32,
    /// The forms in which an ACK is offered to a device, in this order, until one is taken.
    pub import_forms: Vec<ImportForm>,
}

impl Default for Delivery {
    fn default() -> Self {
        let import_forms = vec![ImportForm::Raw, ImportForm::Base64, ImportForm::Json("import".to_owned())];
        Delivery { retry_after: HOUR, attempts: 5, import_forms }
    }
}

/// `[snapshot]`: consumption that is written by itself.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    /// In UTC; `None`: only when a person asks.
    pub schedule: Option<Schedule>,
    /// Where engines read them.
    pub folder: PathBuf,
    pub formats: Vec<Form>,
    pub window: Duration,
    /// So long before a run is the instant of its snapshot, so that what measures it had time to come.
    pub lag: Duration,
    /// So many earlier ones are made again with each run: what changed them meanwhile makes a correction.
    pub revise: u32,
    /// Who gets them by POST too.
    pub post: Option<Post>,
}

/// `[snapshot.post]`: a receiver of snapshots.
#[derive(Clone, Debug, PartialEq)]
pub struct Post {
    pub server: web::Http,
    /// The whole forms that it gets, each with a key of its own.
    pub formats: Vec<Form>,
    /// The longest that one POST may take, with its answer.
    pub timeout: Duration,
}

impl Post {
    /// Everything that decides whether the receiver takes us, as one digest: what was refused for good is tried again
    /// when it is another. The secrets themselves are not in it.
    pub fn digest(&self) -> Sha256 {
        let web::Http { url, authority, login, identity } = &self.server;
        Sha256::of(format!("{}\n{authority:?}\n{login:?}\n{identity:?}", url.expose()).as_bytes())
    }
}

impl Snapshot {
    /// The defaults under a state folder.
    pub fn within(state_dir: &Path) -> Self {
        Snapshot {
            schedule: None,
            folder: state_dir.join("published"),
            formats: vec![Form::Json, Form::Ndjson],
            window: 90 * DAY,
            lag: Duration::ZERO,
            revise: 3,
            post: None,
        }
    }
}

/// `[http]`: what can be watched from outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Http {
    pub enabled: bool,
    /// Port 0: a free one, which the log tells.
    pub listen: SocketAddr,
    pub per_device: PerDevice,
}

impl Default for Http {
    fn default() -> Self {
        let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 9824));
        Http { enabled: true, listen, per_device: PerDevice::default() }
    }
}

/// Has each device its own series among the metrics, or each site alone?
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PerDevice {
    /// Up to so many devices that Prometheus does not mind their seven series each.
    #[default]
    Auto,
    Always,
    Never,
}
words!(PerDevice { Auto = "auto", Always = "always", Never = "never" });

impl PerDevice {
    const MOST: usize = 10_000;

    pub fn holds_for(self, devices: usize) -> bool {
        match self {
            PerDevice::Auto => devices <= PerDevice::MOST,
            PerDevice::Always => true,
            PerDevice::Never => false,
        }
    }
}

/// `[log]`: what the daemon says on standard error.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Log {
    pub level: LogLevel,
    pub format: LogFormat,
}

/// How much is said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    Error,
    Warn,
    #[default]
    Info,
    Debug,
    Trace,
}
words!(LogLevel { Error = "error", Warn = "warn", Info = "info", Debug = "debug", Trace = "trace" });

/// For people or for machines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    #[default]
    Text,
    Json,
}
words!(LogFormat { Text = "text", Json = "json" });
