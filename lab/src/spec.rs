//! What a simulated device is: identity, licences, and the knobs that decide what it does where public sources are
//! silent or disagree.

mod access;
mod netconf;
mod nxapi;

use std::time::Duration;

use crate::account::Account;
use crate::licence::Licence;
use crate::policy::Policy;
use crate::system::System;
use crate::udi::{Member, Role, Udi};

pub use access::{Algorithms, Faces, HostKey, LineEnds, SaveForm, Ssh, Terminal};
pub use netconf::Netconf;
pub use nxapi::NxApi;

/// Everything fixed about a device. Start from [`Spec::new`] or one of [`crate::specs`] and change what matters.
#[derive(Debug, Clone)]
pub struct Spec {
    /// The host name, and the name the fleet calls it by. Unique in a fleet.
    pub name: String,
    /// Where it stands; only printed, so that an inventory can be made.
    pub site: String,
    pub os: System,
    pub faces: Faces,
    /// All chassis, the active one first. Never empty.
    pub members: Vec<Member>,
    /// The id an account gave it, which reports then carry: such a device has a trust code. `None` until then.
    pub uuid: Option<String>,
    /// `17.09.02`, as reports print it; `24.1.2`, `10.4(5)`.
    pub software: String,
    /// The product's SWID tag: the asset's name and the signature's key.
    pub product: String,
    pub licences: Vec<Licence>,
    pub policy: Policy,
    pub account: Option<Account>,
    pub transport: Transport,
    /// Seconds it had been using its licences when it was switched on in the lab.
    pub age: i64,
    /// Its clock minus true time, at the start.
    pub clock_offset: i64,
    /// Bytes free on flash at the start.
    pub flash: u64,
    pub user: String,
    pub password: String,
    /// Decides ids, and nothing else.
    pub seed: u64,
    pub knobs: Knobs,
    pub limits: Limits,
    pub tls: Tls,
    pub netconf: Netconf,
    pub nxapi: NxApi,
    pub ssh: Ssh,
    pub terminal: Terminal,
}

/// How the device itself would report, were it left to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    Off,
    Cslu,
    Smart,
    Callhome,
}

/// Which of two schemas a payload has: 17.6 and older write the first, 17.9 and later the second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Payload {
    V1,
    V2,
}

/// The body that `POST /import` really takes. Cisco's page says base64 and Cisco's sample posts the raw file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImportForm {
    Raw,
    Base64,
    /// A JSON object with base64 under this key.
    Json(String),
}

/// What becomes of a key in `rum-reports-closed-keys` once its report is acknowledged. The model's text says the list
/// holds closed and unacknowledged reports; its enumeration has an acknowledged state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AcknowledgedKeys {
    Listed,
    Vanish,
}

/// The elements of `usage_list`. Only that key is public; each shape is a guess.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListShape {
    /// `{"report_id":N,"timestamp":T}`
    IdAndTimestamp,
    /// `{"report_id":"N","timestamp":"T"}`
    Strings,
    /// `N`
    Ids,
    /// `{"report_id":N}`
    IdOnly,
}

/// How much of the licensing model a release serves over RESTCONF.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StateModel {
    /// 17.5 and later.
    Full,
    /// 17.4: policy and trust codes, no report keys and no last acknowledgement.
    NoRumAck,
    /// Older, or RESTCONF is off: everything is 404.
    None,
}

/// Behaviour nobody outside Cisco has settled. Each is a knob so that tests can try every reading.
#[derive(Debug, Clone)]
pub struct Knobs {
    pub payload: Payload,
    pub import_form: ImportForm,
    /// Import answers success and does nothing.
    pub import_lies: bool,
    pub acknowledged_keys: AcknowledgedKeys,
    /// An acknowledged report can still be fetched. The only capture of one says its storage is deleted.
    pub acknowledged_bodies: bool,
    pub list_shape: ListShape,
    /// `usage` is one object, not an array of one. Cisco's model and Cisco's sample differ.
    pub usage_as_object_when_single: bool,
    pub state_model: StateModel,
    /// `?fields=` is answered with 400.
    pub rejects_fields: bool,
    /// Whoever fetches reports has requested them: closed ones become unacknowledged. Inferred from the model's text.
    pub fetch_marks: bool,
    /// East of Greenwich; used in date-and-times.
    pub timezone_minutes: i32,
    /// Each close also makes a telemetry report.
    pub telemetry: bool,
    /// Bodies kept before the oldest are purged, acknowledged or not.
    pub storage: usize,
    /// A report that has been open so many seconds closes itself. No public text says that reports do.
    pub closes_itself_after: Option<i64>,
    /// What IOS XR says of its right to upgrade.
    pub upgrade_right: &'static str,
}

impl Default for Knobs {
    fn default() -> Knobs {
        Knobs {
            payload: Payload::V2,
            import_form: ImportForm::Raw,
            import_lies: false,
            acknowledged_keys: AcknowledgedKeys::Listed,
            acknowledged_bodies: false,
            list_shape: ListShape::IdAndTimestamp,
            usage_as_object_when_single: false,
            state_model: StateModel::Full,
            rejects_fields: false,
            fetch_marks: true,
            timezone_minutes: 0,
            telemetry: false,
            storage: 366,
            closes_itself_after: None,
            upgrade_right: "In Compliance",
        }
    }
}

/// The limits of the device's web server.
#[derive(Debug, Clone)]
pub struct Limits {
    pub requests_per_connection: u32,
    /// A connection with no byte moving for so long is closed.
    pub idle: Duration,
    /// A connection older than this is closed after the answer under way.
    pub life: Duration,
    pub connections: usize,
    /// Bytes of a request's body.
    pub body: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            requests_per_connection: 25,
            idle: Duration::from_secs(180),
            life: Duration::from_secs(180),
            connections: 300,
            body: 4 << 20,
        }
    }
}

/// The device's certificate and the versions of TLS it speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tls {
    pub versions: TlsVersions,
    /// The certificate ended on 2020-01-01, as those of many old images did.
    pub expired: bool,
    /// The certificate names the host name and the address. A self-signed one of a device usually names nothing.
    pub san: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsVersions {
    Both,
    Only12,
    Only13,
}

impl Default for Tls {
    fn default() -> Tls {
        Tls { versions: TlsVersions::Both, expired: false, san: false }
    }
}

impl Spec {
    /// A single IOS XE chassis that uses no licence yet and is asked over HTTPS.
    pub fn new(name: impl Into<String>, pid: &str, sn: &str, product: &str) -> Spec {
        Spec {
            name: name.into(),
            site: String::new(),
            os: System::IosXe,
            faces: Faces::rest(),
            members: vec![Member { role: Role::Active, udi: Udi::new(pid, sn) }],
            uuid: None,
            software: "17.09.04".to_string(),
            product: product.to_string(),
            licences: Vec::new(),
            policy: Policy::cisco_default(),
            account: None,
            transport: Transport::Off,
            age: 0,
            clock_offset: 0,
            flash: 1 << 30,
            user: "slp".to_string(),
            password: "only-in-the-lab".to_string(),
            seed: 1,
            knobs: Knobs::default(),
            limits: Limits::default(),
            tls: Tls::default(),
            netconf: Netconf::default(),
            nxapi: NxApi::default(),
            ssh: Ssh::default(),
            terminal: Terminal::default(),
        }
    }

    /// The chassis that speaks at the start.
    pub fn udi(&self) -> &Udi {
        &self.members[0].udi
    }

    /// `17.09.04` is `17.9` to the configuration model.
    pub fn release(&self) -> String {
        let mut numbers = self.software.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
        format!("{}.{}", numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
    }
}
