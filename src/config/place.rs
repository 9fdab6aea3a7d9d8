//! What holds for the devices of one place: `[defaults]`, and `[sites.NAME]` over it.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::tz::TimeZone;
use toml::de::DeValue;

use super::commands::Commands;
use super::mistake::{did_you_mean, one_of};
use super::raw::{self, Section};
use crate::domain::instance::Account;
use crate::domain::settings::{Access, Mode, Os, Reporter, Trust, Word};
use crate::domain::snapshot::Tier;
use crate::domain::window::{Window, Windows};
use crate::secret::Credential;

/// The settings that a device takes from its site, and a site from `[defaults]`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Place {
    pub mode: Mode,
    pub reporter: Reporter,
    pub trust: Trust,
    /// `None`: found out at the first contact.
    pub os: Option<Os>,
    pub access: Access,
    /// The certificates under which `trust = "ca"` verifies.
    pub ca_file: Option<PathBuf>,
    /// From `[exchange] lead`, unless the site has its own.
    pub exchange_lead: Duration,
    /// Devices polled at once; from `[poll]`, unless the site has its own.
    pub site_concurrency: usize,
    /// The name of a credential.
    pub credential: Option<String>,
    pub account: Account,
    /// In which the devices print times that name no zone.
    pub timezone: Option<TimeZone>,
    pub ports: Ports,
    /// Also SSH algorithms that nobody should use any more.
    pub legacy: bool,
    /// The name of a set of command lines.
    pub commands: Option<String>,
    /// When the plan may write to the devices; those that name no zone are meant in the device's. None: at any time.
    pub windows: Vec<Window>,
    /// When nobody is told of anything there.
    pub maintenance: Vec<Window>,
    /// The highest tier of licences that may be used there; a snapshot lists what is above it.
    pub allowed_tier: Option<Tier>,
}

/// Where a device answers, by protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ports {
    pub https: u16,
    pub ssh: u16,
    pub netconf: u16,
}

impl Default for Ports {
    fn default() -> Self {
        Ports { https: 443, ssh: 22, netconf: 830 }
    }
}

impl Place {
    /// Reads what a table says over what held before.
    pub(super) fn read(
        &mut self,
        section: &mut Section<'_, '_>,
        folder: &Path,
        credentials: &BTreeMap<String, Credential>,
        commands: &Commands,
    ) {
        section.read("mode", &mut self.mode, raw::word);
        section.read("reporter", &mut self.reporter, raw::word);
        section.read("trust", &mut self.trust, raw::word);
        section.read("os", &mut self.os, |value| os(value.as_str().unwrap_or_default()));
        section.read("access", &mut self.access, raw::word);
        // A name that leads nowhere is kept, so that the devices that have it are not told that they have none.
        if let Some(path) = section.optional("ca_file", raw::path_in(folder)) {
            section.check("ca_file", existing(&path));
            self.ca_file = Some(path);
        }
        if let Some(name) = section.optional("credential", raw::text) {
            section.check("credential", known_credential(&name, credentials));
            self.credential = Some(name);
        }
        section.read("smart_account", &mut self.account.smart_account, |value| {
            raw::text(value).map(|name| Some(name.into()))
        });
        section.read("virtual_account", &mut self.account.virtual_account, |value| {
            raw::text(value).map(|name| Some(name.into()))
        });
        section.read("port", &mut self.ports.https, raw::port);
        section.read("ssh_port", &mut self.ports.ssh, raw::port);
        section.read("netconf_port", &mut self.ports.netconf, raw::port);
        section.read("legacy", &mut self.legacy, raw::yes_or_no);
        if let Some(name) = section.optional("commands", raw::text) {
            section.check("commands", known_commands(&name, commands));
            self.commands = Some(name);
        }
        section.read("windows", &mut self.windows, windows);
        section.read("maintenance", &mut self.maintenance, windows);
        section.read("allowed_tier", &mut self.allowed_tier, |value| raw::word(value).map(Some));
        section.read("timezone", &mut self.timezone, |value| timezone(value.as_str().unwrap_or_default()).map(Some));
    }
}

/// `auto` or a system; else what to write.
pub(super) fn os(text: &str) -> Result<Option<Os>, String> {
    if text == "auto" {
        return Ok(None);
    }
    Os::of_word(text).map(Some).map_err(|_| {
        let words: Vec<&str> = std::iter::once("auto").chain(Os::WORDS.iter().copied()).collect();
        format!("write {}", one_of(&words))
    })
}

/// A zone of the system's time zone database; else what to write.
pub(super) fn timezone(name: &str) -> Result<TimeZone, String> {
    let instead = || r#"write a name that this system's time zone database has, such as "Europe/Berlin" or "UTC""#;
    if name.is_empty() {
        return Err(instead().to_owned());
    }
    TimeZone::get(name).map_err(|_| instead().to_owned())
}

/// A list of maintenance windows; else what to write.
fn windows(value: &DeValue<'_>) -> Result<Vec<Window>, String> {
    let instead = || r#"write a list such as ["Sat 01:00-05:00 UTC", "daily 22:00-04:00"]"#.to_owned();
    let list = raw::list(value).map_err(|_| instead())?;
    list.iter().map(|text| window(text)).collect()
}

/// A maintenance window whose zone there is; else what to write.
pub(super) fn window(text: &str) -> Result<Window, String> {
    let window: Window = text.parse().map_err(str::to_owned)?;
    match window.zone().map(timezone) {
        Some(Err(instead)) => Err(format!("for its zone {instead}")),
        Some(Ok(_)) | None => Ok(window),
    }
}

impl Place {
    /// When nobody is told of anything there.
    pub fn maintenance(&self) -> Windows {
        windows_in(&self.maintenance, self.timezone.as_ref())
    }
}

/// The windows of a device, each in the zone that it names, else in the device's, else in UTC.
pub(super) fn windows_in(windows: &[Window], own: Option<&TimeZone>) -> Windows {
    let zone = |window: &Window| match window.zone() {
        // It was looked up when it was read.
        Some(name) => TimeZone::get(name).unwrap_or(TimeZone::UTC),
        None => own.cloned().unwrap_or(TimeZone::UTC),
    };
    Windows::new(windows.iter().map(|window| (window.clone(), zone(window))))
}

/// Is there a credential of that name? Else what to write.
pub(super) fn known_credential(name: &str, credentials: &BTreeMap<String, Credential>) -> Result<(), String> {
    if credentials.contains_key(name) {
        return Ok(());
    }
    let mean = did_you_mean(name, credentials.keys().map(String::as_str));
    Err(format!("write the name of a [credentials.NAME] table{mean}"))
}

/// Is there a set of command lines of that name? Else what to write.
pub(super) fn known_commands(name: &str, commands: &Commands) -> Result<(), String> {
    if commands.has(name) {
        return Ok(());
    }
    let mean = did_you_mean(name, commands.names());
    Err(format!("write the name of a [commands.NAME] table that is not a system's{mean}"))
}

/// Is there a file? One that we may not look at is taken to be there. Else what to write.
pub(super) fn existing(path: &Path) -> Result<(), String> {
    match std::fs::metadata(path) {
        Err(cause) if matches!(cause.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            Err("there is no such file; write the path of one, relative to this file or absolute".to_owned())
        }
        Ok(data) if data.is_dir() => Err("that is a folder; write the path of a file".to_owned()),
        Ok(_) | Err(_) => Ok(()),
    }
}
