//! The dialogue of a session with one device, noted and scrubbed: how an operator reports a device bug. Reads only.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Error, House};
use crate::config::Device;
use crate::device::tape::{Exchange, Tape};
use crate::device::{self, Driver, Identity, Proven, Session, Terms};
use crate::domain::event::Learned;
use crate::domain::scrub::{Private, Scrub};
use crate::domain::settings::Access;
use crate::domain::state::DeviceState;

/// The form of a recording.
const VERSION: u32 = 1;

/// A recording, scrubbed: its head and then the exchanges are a line of JSON each. **stored**
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Recording {
    pub head: Head,
    pub exchanges: Vec<Exchange>,
}

/// The first line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    pub recording: u32,
    /// The product id; `null` where nothing told it.
    pub model: Option<String>,
    pub os: Option<String>,
    pub software: Option<String>,
    /// By which the session went; `null` where none let us in.
    pub access: Option<Access>,
    pub collector: String,
    pub recorded: Timestamp,
    /// How the session ended, where it failed.
    pub failure: Option<String>,
}

impl Recording {
    /// The text of the file.
    pub fn text(&self) -> String {
        let line = |value: serde_json::Result<String>| value.unwrap_or_default() + "\n";
        let exchanges = self.exchanges.iter().map(|exchange| line(serde_json::to_string(exchange)));
        std::iter::once(line(serde_json::to_string(&self.head))).chain(exchanges).collect()
    }

    /// Reads such a text.
    pub fn read(text: &str) -> Result<Recording, serde_json::Error> {
        let mut lines = text.lines();
        let head = serde_json::from_str(lines.next().unwrap_or_default())?;
        let exchanges = lines.filter(|line| !line.is_empty()).map(serde_json::from_str);
        Ok(Recording { head, exchanges: exchanges.collect::<Result<_, _>>()? })
    }

    /// `slpc-record-<pid>-<os>-<software>.jsonl`, of characters that every file system takes.
    pub fn file_name(&self) -> String {
        let part = |part: &Option<String>| {
            let fits = |c: char| if c.is_ascii_alphanumeric() || ".-".contains(c) { c } else { '_' };
            part.as_deref().unwrap_or("unknown").chars().take(40).map(fits).collect::<String>()
        };
        let Head { model, os, software, .. } = &self.head;
        format!("slpc-record-{}-{}-{}.jsonl", part(model), part(os), part(software))
    }
}

/// Records one session: who it is, its state, its list of reports.
pub async fn record(house: &House, device: &Device) -> Result<Recording, Error> {
    if !device.within_reach() {
        return Err(Error::Input(format!("'{}' has no way in: a person carries everything for it", device.name)));
    }
    let _turn = house.turn(&device.name).await;
    let _first = house.first_login(device).await;
    if let Some(reason) = house.hold(device) {
        return Err(Error::Input(reason));
    }
    let mut terms = house.terms(device).await.map_err(|error| Error::Input(error.to_string()))?;
    let tape = Tape::recording();
    terms.tape = tape.clone();
    // What a session learnt before would leave out the ways that failed then.
    terms.learned = Learned::default();
    let mut scrub = scrub(&terms, device);
    let (mut proven, mut access, mut told) = (Proven::default(), None, None);
    let ended = match Driver::open(terms).await {
        Err(error) => Err(error),
        Ok(mut session) => {
            let asked = tokio::time::timeout(house.config.poll.device_timeout, ask(&mut session)).await;
            proven = session.proven();
            access = session.learned().access.or(Some(device.access));
            session.close().await;
            match asked {
                Ok(asked) => asked.map(|seen| told = Some(seen)),
                Err(_) => Err(device::Error::Unreachable {
                    step: "record",
                    address: device.authority().unwrap_or_default(),
                    cause: "it took longer than device_timeout".to_owned(),
                }),
            }
        }
    };
    let now = house.clock.now();
    let facts = house.contact_facts(device, proven, ended.as_ref().err());
    if !facts.is_empty() {
        house.ledger.append_async(now, facts, Vec::new()).await?;
    }
    if ended.is_ok() {
        house.logged_in(device);
        house.ledger.note_contacts_async(vec![(device.name.clone(), now)]).await?;
    }
    let identity = told.as_ref().and_then(|(identity, _)| identity.clone());
    if let Some((identity, state)) = &told {
        of_device(&mut scrub, identity.as_ref(), state);
    }
    let mut exchanges = tape.noted();
    for exchange in &exchanges {
        scrub.learn(&exchange.sent);
        scrub.learn(&exchange.got);
    }
    for exchange in &mut exchanges {
        exchange.sent = scrub.text(&exchange.sent);
        exchange.got = scrub.text(&exchange.got);
    }
    let head = Head {
        recording: VERSION,
        model: identity.as_ref().map(|identity| identity.udi.pid.to_string()),
        os: identity.as_ref().map(|identity| identity.os.to_owned()),
        software: identity.and_then(|identity| identity.software),
        access,
        collector: env!("CARGO_PKG_VERSION").to_owned(),
        recorded: now,
        failure: ended.err().map(|error| scrub.text(&error.to_string())),
    };
    Ok(Recording { head, exchanges })
}

async fn ask(session: &mut Driver) -> Result<(Option<Identity>, DeviceState), device::Error> {
    let told = session.state().await?;
    session.list().await?;
    Ok(told)
}

/// What we know beforehand: secrets, login names, names and addresses.
fn scrub(terms: &Terms, device: &Device) -> Scrub {
    let ssh = terms.ssh.iter().chain(&terms.netconf).map(|target| &target.login);
    let of_ssh = ssh.clone().flat_map(|login| login.password.iter().chain(&login.private_key)).cloned();
    let of_https = terms.https.iter().map(|target| target.login.password.clone());
    let mut scrub = Scrub::new(of_ssh.chain(of_https).chain(terms.enable.clone()));
    for name in ssh.map(|login| &login.username).chain(terms.https.iter().map(|target| &target.login.username)) {
        scrub.word(Private::User, name);
    }
    scrub.word(Private::Host, &device.name.0);
    let authorities = [device.authority().unwrap_or_default(), terms.address.clone()];
    for host in authorities.iter().filter_map(|authority| authority.rsplit_once(':')) {
        scrub.word(Private::Host, host.0.trim_matches(['[', ']']));
    }
    scrub
}

/// What the device said of itself.
fn of_device(scrub: &mut Scrub, identity: Option<&Identity>, state: &DeviceState) {
    let udis = identity.map(|identity| &identity.udi).into_iter().chain(&state.udi);
    let members = identity.into_iter().flat_map(|identity| &identity.members).chain(&state.members);
    for udi in udis.chain(members.map(|member| &member.udi)) {
        scrub.word(Private::Serial, &udi.sn);
    }
    for uuid in identity.and_then(|identity| identity.uuid.as_ref()).into_iter().chain(&state.uuid) {
        scrub.word(Private::Serial, uuid);
    }
    if let Some(name) = identity.and_then(|identity| identity.hostname.as_ref()) {
        scrub.word(Private::Host, name);
    }
    for account in state.smart_account.iter().chain(&state.virtual_account) {
        scrub.word(Private::Account, account);
    }
}
