//! `[sinks.NAME]`: a way by which people are told.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;
use std::time::Duration;

use toml::de::DeValue;

use super::credential;
use super::device::Address;
use super::mistake::did_you_mean;
use super::place::Place;
use super::raw::{self, Section};
use super::web::{Http, authority, http, login, needed, unused};
use crate::domain::instance::Site;
use crate::domain::message::Topic;
use crate::domain::settings::{Word, words};
use crate::domain::violation::Severity;
use crate::secret::Credential;
use crate::tls::Authority;

/// A way by which people are told, and what goes by it.
#[derive(Clone, Debug, PartialEq)]
pub struct Sink {
    /// The least severity that it takes.
    pub severity: Severity,
    /// The sites that it is told of; empty: all.
    pub sites: BTreeSet<Site>,
    /// What it is told about; empty: everything.
    pub topics: BTreeSet<Topic>,
    /// The longest that one message may take.
    pub timeout: Duration,
    pub way: Way,
}

/// How a message goes.
#[derive(Clone, Debug, PartialEq)]
pub enum Way {
    Webhook(Http),
    Alertmanager(Http),
    Mail(Mail),
    Syslog(Syslog),
    /// A program and its arguments; no shell reads them.
    Command(Vec<String>),
}

/// What a sink is called by its `type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Webhook,
    Alertmanager,
    Mail,
    Syslog,
    Command,
}
words!(Kind {
    Webhook = "webhook",
    Alertmanager = "alertmanager",
    Mail = "mail",
    Syslog = "syslog",
    Command = "command",
});

impl Way {
    /// As `type` has it.
    pub fn word(&self) -> &'static str {
        let kind = match self {
            Way::Webhook(_) => Kind::Webhook,
            Way::Alertmanager(_) => Kind::Alertmanager,
            Way::Mail(_) => Kind::Mail,
            Way::Syslog(_) => Kind::Syslog,
            Way::Command(_) => Kind::Command,
        };
        kind.word()
    }

    /// Where its secrets are, if it has any.
    pub fn credentials(&self) -> Vec<&Credential> {
        match self {
            Way::Webhook(http) | Way::Alertmanager(http) => http.credentials().collect(),
            Way::Mail(mail) => mail.login.iter().collect(),
            Way::Syslog(_) | Way::Command(_) => Vec::new(),
        }
    }
}

/// Where mail is handed over, and between whom it goes.
#[derive(Clone, Debug, PartialEq)]
pub struct Mail {
    pub server: Server,
    pub tls: MailTls,
    pub authority: Authority,
    pub login: Option<Credential>,
    pub from: String,
    pub to: Vec<String>,
}

/// When mail's connection is encrypted; it always is before anything is said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MailTls {
    /// After a first word in the clear (port 587).
    #[default]
    StartTls,
    /// From the first byte (port 465).
    Tls,
}
words!(MailTls { StartTls = "starttls", Tls = "tls" });

/// Where log lines go, and how.
#[derive(Clone, Debug, PartialEq)]
pub struct Syslog {
    pub server: Server,
    pub transport: Transport,
    /// For [`Transport::Tls`].
    pub authority: Authority,
    pub facility: Facility,
}

/// What carries syslog.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Transport {
    /// A datagram a line (RFC 5426, port 514); what is lost is lost.
    #[default]
    Udp,
    /// Lines with their length before them (RFC 6587, port 601).
    Tcp,
    /// The same in TLS (RFC 5425, port 6514).
    Tls,
}
words!(Transport { Udp = "udp", Tcp = "tcp", Tls = "tls" });

/// The facilities of RFC 5424 that are not the kernel's or the syslog's own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Facility {
    User = 1,
    #[default]
    Daemon = 3,
    Local0 = 16,
    Local1,
    Local2,
    Local3,
    Local4,
    Local5,
    Local6,
    Local7,
}
words!(Facility {
    User = "user",
    Daemon = "daemon",
    Local0 = "local0",
    Local1 = "local1",
    Local2 = "local2",
    Local3 = "local3",
    Local4 = "local4",
    Local5 = "local5",
    Local6 = "local6",
    Local7 = "local7",
});

/// A host and a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    pub address: Address,
    pub port: u16,
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.address {
            Address::Ip(std::net::IpAddr::V6(address)) => write!(f, "[{address}]:{}", self.port),
            address @ (Address::Ip(_) | Address::Name(_)) => write!(f, "{address}:{}", self.port),
        }
    }
}

/// Reads all sinks of the file.
pub(super) fn read(root: &mut Section<'_, '_>, folder: &Path, sites: &BTreeMap<Site, Place>) -> BTreeMap<String, Sink> {
    let mut sinks = BTreeMap::new();
    for (name, at, mut section) in root.named("sinks") {
        section.check_name(&name, at);
        let written = section.place("type").is_some();
        let kind = section.optional("type", raw::word::<Kind>);
        let mut severity = Severity::Info;
        section.read("severity", &mut severity, raw::word);
        let told_of = section.optional("sites", |value| known_sites(value, sites)).unwrap_or_default();
        let topics = section.optional("topics", topics).unwrap_or_default();
        let mut timeout = Duration::from_secs(30);
        section.read("timeout", &mut timeout, raw::duration_in("100ms", "10m"));
        let Some(kind) = kind else {
            if !written {
                let words = super::mistake::one_of(Kind::WORDS);
                section.mistake_at(at, format!("{} has no type; write type = {words}", section.name()));
            }
            // What else it may have depends on the type.
            continue;
        };
        let way = way(kind, &mut section, at, folder);
        section.finish(match kind {
            Kind::Webhook | Kind::Alertmanager => &["password", "token", "client_key"],
            Kind::Mail => &["password"],
            Kind::Syslog | Kind::Command => &[],
        });
        if let Some(way) = way {
            sinks.insert(name, Sink { severity, sites: told_of, topics, timeout, way });
        }
    }
    sinks
}

/// `None` where a mistake was told that leaves nothing to send to.
fn way(kind: Kind, section: &mut Section<'_, '_>, at: usize, folder: &Path) -> Option<Way> {
    match kind {
        Kind::Webhook => http(section, at, folder).map(Way::Webhook),
        Kind::Alertmanager => http(section, at, folder).map(Way::Alertmanager),
        Kind::Mail => {
            let mut tls = MailTls::default();
            section.read("tls", &mut tls, raw::word);
            let server = server(section, at, if tls == MailTls::Tls { 465 } else { 587 });
            let authority = authority(section, folder);
            let login = login(section, at, folder);
            let example = "write a mail address such as \"slp@example.com\"";
            let from = needed(section, "from", at, example, |value| mailbox(value).map_err(|()| example.to_owned()));
            let example = "write a list of mail addresses such as [\"noc@example.com\"]";
            let to = needed(section, "to", at, example, |value| mailboxes(value).map_err(|()| example.to_owned()));
            Some(Way::Mail(Mail { server: server?, tls, authority, login, from: from?, to: to? }))
        }
        Kind::Syslog => {
            let mut transport = Transport::default();
            section.read("transport", &mut transport, raw::word);
            let port = match transport {
                Transport::Udp => 514,
                Transport::Tcp => 601,
                Transport::Tls => 6514,
            };
            let server = server(section, at, port);
            let authority = authority(section, folder);
            if transport != Transport::Tls {
                unused(section, "transport is not tls; write transport = \"tls\", or leave it out");
            }
            let mut facility = Facility::default();
            section.read("facility", &mut facility, raw::word);
            Some(Way::Syslog(Syslog { server: server?, transport, authority, facility }))
        }
        Kind::Command => {
            let example = "write a program and its arguments as a list";
            needed(section, "command", at, example, |value| credential::command(value, folder)).map(Way::Command)
        }
    }
}

fn server(section: &mut Section<'_, '_>, at: usize, default: u16) -> Option<Server> {
    let example = "write a host name or an address, without a port";
    let address = needed(section, "server", at, example, |value| {
        value.as_str().and_then(Address::parse).ok_or_else(|| example.to_owned())
    });
    let mut port = default;
    section.read("port", &mut port, raw::port);
    Some(Server { address: address?, port })
}

fn topics(value: &DeValue<'_>) -> Result<BTreeSet<Topic>, String> {
    let instead = || format!("write a list of {}", super::mistake::one_of(Topic::WORDS));
    let list = raw::list(value).map_err(|_| instead())?;
    list.iter().map(|word| Topic::of_word(word).map_err(|_| instead())).collect()
}

fn known_sites(value: &DeValue<'_>, sites: &BTreeMap<Site, Place>) -> Result<BTreeSet<Site>, String> {
    let list = raw::list(value)?;
    let known = |name: String| {
        let mean = did_you_mean(&name, sites.keys().map(|site| &*site.0));
        let site = Site::from(name);
        if sites.contains_key(&site) { Ok(site) } else { Err(format!("write names of [sites.NAME] tables{mean}")) }
    };
    list.into_iter().map(known).collect()
}

/// `local@domain`, plain ASCII; whatever else a mail address may be, nobody's monitoring has it.
fn mailbox(value: &DeValue<'_>) -> Result<String, ()> {
    let text = value.as_str().ok_or(())?;
    let (local, domain) = text.rsplit_once('@').ok_or(())?;
    let word = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~.".contains(&byte);
    let dots = local.starts_with('.') || local.ends_with('.') || local.contains("..");
    let good = !local.is_empty() && local.len() <= 64 && !dots && local.bytes().all(word);
    match Address::parse(domain) {
        Some(Address::Name(_)) if good => Ok(text.to_owned()),
        Some(_) | None => Err(()),
    }
}

fn mailboxes(value: &DeValue<'_>) -> Result<Vec<String>, ()> {
    let list = value.as_array().filter(|list| !list.is_empty() && list.len() <= 100).ok_or(())?;
    list.iter().map(|item| mailbox(item.get_ref())).collect()
}
