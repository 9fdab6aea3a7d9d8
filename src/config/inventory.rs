//! `devices.csv`: the devices there are, each a row.
//!
//! The first row names the columns, in any order; lines that start with `#` are comments.
//! An empty field means what the device's site says, else what `[defaults]` says.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use jiff::tz::TimeZone;

use super::Config;
use super::device::{Address, Device};
use super::mistake::{Mistakes, did_you_mean, one_of};
use super::place::{self, Place, Ports};
use super::raw::printable;
use super::rows::{Columns, Rows, text_of};
use crate::domain::digest::Sha256;
use crate::domain::instance::{Account, DeviceName, Site};
use crate::domain::settings::{Access, Trust, Word, words};
use crate::domain::shared::Alike;
use crate::domain::window::Windows;

type Row<'r> = super::rows::Row<'r, Column>;

/// A column of the inventory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Column {
    Name,
    Address,
    Port,
    SshPort,
    NetconfPort,
    Os,
    Access,
    Site,
    Credential,
    Mode,
    Reporter,
    Trust,
    Pin,
    HostKey,
    Legacy,
    Commands,
    SmartAccount,
    VirtualAccount,
    Timezone,
    Windows,
    Environment,
    Tags,
}
words!(Column {
    Name = "name",
    Address = "address",
    Port = "port",
    SshPort = "ssh_port",
    NetconfPort = "netconf_port",
    Os = "os",
    Access = "access",
    Site = "site",
    Credential = "credential",
    Mode = "mode",
    Reporter = "reporter",
    Trust = "trust",
    Pin = "pin",
    HostKey = "host_key",
    Legacy = "legacy",
    Commands = "commands",
    SmartAccount = "smart_account",
    VirtualAccount = "virtual_account",
    Timezone = "timezone",
    Windows = "windows",
    Environment = "environment",
    Tags = "tags",
});

impl Columns for Column {
    const NEEDED: &'static [Column] = &[Column::Name, Column::Address];
    const EXAMPLE: &'static str = "name,address,site";
}

/// The devices, in the order of the file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Inventory {
    devices: Vec<Device>,
    by_name: HashMap<DeviceName, usize>,
}

impl Inventory {
    pub fn device(&self, name: &DeviceName) -> Option<&Device> {
        self.by_name.get(name).map(|at| &self.devices[*at])
    }

    pub fn iter(&self) -> std::slice::Iter<'_, Device> {
        self.devices.iter()
    }

    pub fn len(&self) -> usize {
        self.devices.len()
    }

    pub fn is_empty(&self) -> bool {
        self.devices.is_empty()
    }

    fn push(&mut self, device: Device) {
        self.by_name.entry(device.name.clone()).or_insert(self.devices.len());
        self.devices.push(device);
    }
}

impl<'i> IntoIterator for &'i Inventory {
    type Item = &'i Device;
    type IntoIter = std::slice::Iter<'i, Device>;

    fn into_iter(self) -> Self::IntoIter {
        self.devices.iter()
    }
}

impl FromIterator<Device> for Inventory {
    /// Of two devices of one name, [`Inventory::device`] finds the first.
    fn from_iter<I: IntoIterator<Item = Device>>(devices: I) -> Self {
        let mut inventory = Inventory::default();
        devices.into_iter().for_each(|device| inventory.push(device));
        inventory
    }
}

/// Reads the inventory that `config` names, against its sites and credentials.
pub(super) fn read(config: &Config, mistakes: &mut Mistakes) -> Inventory {
    let file = &config.collector.inventory;
    if file.as_os_str().is_empty() {
        return Inventory::default(); // its name is a mistake already
    }
    let instead = format!("a first line such as {}, then a line for each device", Column::EXAMPLE);
    let Some(text) = text_of(file, &instead, mistakes) else { return Inventory::default() };
    let mut reader = Reader {
        config,
        file,
        mistakes,
        inventory: Inventory::default(),
        addresses: HashMap::new(),
        texts: Alike::default(),
        timezones: HashMap::new(),
        windows: HashMap::new(),
        lacks: [Vec::new(), Vec::new()],
    };
    let Some(mut rows) = Rows::<Column>::open(&text, file, reader.mistakes) else { return Inventory::default() };
    while let Some(row) = rows.next(reader.mistakes) {
        if let Some(device) = reader.device(&row) {
            reader.inventory.push(device);
        }
    }
    reader.finish()
}

/// What a device has no use without and what often lacks for many at once.
#[derive(Clone, Copy)]
enum Lack {
    Credential,
    CaFile,
}

/// Rows into devices, and what must be unlike between them.
struct Reader<'r> {
    config: &'r Config,
    file: &'r Path,
    mistakes: &'r mut Mistakes,
    inventory: Inventory,
    addresses: HashMap<(Address, u16, u16), usize>,
    texts: Alike<str>,
    /// Zones that were looked up already: a fleet has few.
    timezones: HashMap<String, TimeZone>,
    /// The same of windows: by site, their own text and their own zone, a line each.
    windows: HashMap<String, Windows>,
    /// Line and name of each device that lacks something.
    lacks: [Vec<(usize, String)>; 2],
}

impl Reader<'_> {
    /// The device of a row; `None` when it has no usable name.
    fn device(&mut self, row: &Row<'_>) -> Option<Device> {
        let name = self.name(row);
        let site = self.site(row);
        let place = site.as_ref().map_or(&self.config.defaults, |site| self.config.place(site));

        let access = self.word(row, Column::Access, place.access);
        let address = self.address(row, access);
        let ports = Ports {
            https: self.port(row, Column::Port, place.ports.https),
            ssh: self.port(row, Column::SshPort, place.ports.ssh),
            netconf: self.port(row, Column::NetconfPort, place.ports.netconf),
        };
        if let Some(address) = &address {
            self.unlike(row.line, address, ports);
        }
        let trust = self.word(row, Column::Trust, place.trust);
        let timezone = self.timezone(row, place);
        let mut device = Device {
            name: DeviceName::from(""),
            address,
            ports,
            os: self.value(row, Column::Os, place.os, place::os),
            access,
            credential: self.credential(row, place, access),
            mode: self.word(row, Column::Mode, place.mode),
            reporter: self.word(row, Column::Reporter, place.reporter),
            trust,
            pin: self.pin(row, trust).map(Box::new),
            host_key: self.host_key(row).map(Box::new),
            legacy: self.value(row, Column::Legacy, place.legacy, yes_or_no),
            commands: self.commands(row, place),
            ca_file: place.ca_file.clone(),
            account: Account {
                smart_account: row
                    .text(Column::SmartAccount)
                    .map(|name| self.texts.one(&name))
                    .or(place.account.smart_account.clone()),
                virtual_account: row
                    .text(Column::VirtualAccount)
                    .map(|name| self.texts.one(&name))
                    .or(place.account.virtual_account.clone()),
            },
            exchange_lead: place.exchange_lead,
            windows: self.windows(row, place, timezone.as_ref()),
            timezone,
            environment: row.text(Column::Environment).map(|word| self.texts.one(&word)),
            tags: tags(row.field(Column::Tags).unwrap_or_default()),
            site: site.unwrap_or_default(),
            line: row.line,
        };
        if device.trust == Trust::Ca && device.ca_file.is_none() {
            let name = row.text(Column::Name).unwrap_or_default();
            self.lacks[Lack::CaFile as usize].push((row.line, name));
        }
        // Last, so that a device without a name is told of its other mistakes, too.
        device.name = name?;
        Some(device)
    }

    fn name(&mut self, row: &Row<'_>) -> Option<DeviceName> {
        let Some(name) = row.field(Column::Name) else {
            self.mistake(row.line, "has no name; write a name for the device".to_owned());
            return None;
        };
        let known = |char: char| char.is_ascii_alphanumeric() || "-_.".contains(char);
        if !name.chars().all(known) || name.starts_with(['-', '.']) || name.len() > 128 {
            let instead = "write up to 128 letters, digits, '-', '_' and '.', a letter or digit first";
            self.mistake(row.line, format!("name is {:?}; {instead}", printable(name)));
            return None;
        }
        let name = DeviceName::from(name);
        if let Some(first) = self.inventory.device(&name) {
            let message = format!("name {name} is the name of the device at line {}, too; write another", first.line);
            self.mistake(row.line, message);
            return None;
        }
        Some(name)
    }

    fn site(&mut self, row: &Row<'_>) -> Option<Site> {
        let site = Site(self.texts.one(&row.text(Column::Site)?));
        if self.config.sites.contains_key(&site) {
            return Some(site);
        }
        let mean = did_you_mean(&site.0, self.config.sites.keys().map(|known| &*known.0));
        let message =
            format!("site is {:?}, which is not configured; write the name of a [sites.NAME] table{mean}", site.0);
        self.mistake(row.line, message);
        None
    }

    fn address(&mut self, row: &Row<'_>, access: Access) -> Option<Address> {
        let Some(text) = row.field(Column::Address) else {
            if access != Access::ByHand {
                let message = "has no address; write its IP address or host name, or access by-hand".to_owned();
                self.mistake(row.line, message);
            }
            return None;
        };
        let address = Address::parse(text);
        if address.is_none() {
            let instead = "write an IP address or a host name, and the port in its own column";
            self.mistake(row.line, format!("address is {:?}; {instead}", printable(text)));
        }
        address
    }

    fn port(&mut self, row: &Row<'_>, column: Column, otherwise: u16) -> u16 {
        self.value(row, column, otherwise, |text| {
            let number = text.parse().ok().filter(|port| *port > 0);
            number.ok_or_else(|| "write a number from 1 to 65535".to_owned())
        })
    }

    fn unlike(&mut self, line: usize, address: &Address, ports: Ports) {
        let first = *self.addresses.entry((address.clone(), ports.https, ports.ssh)).or_insert(line);
        if first != line {
            let port = ports.https;
            let message =
                format!("address {address} with port {port} is at line {first}, too; write one row for one device");
            self.mistake(line, message);
        }
    }

    fn commands(&mut self, row: &Row<'_>, place: &Place) -> Option<String> {
        let config = self.config;
        self.value(row, Column::Commands, place.commands.clone(), |name| {
            place::known_commands(name, &config.commands).map(|()| Some(name.to_owned()))
        })
    }

    fn host_key(&mut self, row: &Row<'_>) -> Option<Sha256> {
        self.value(row, Column::HostKey, None, |text| {
            let instead = "write the SHA-256 of its SSH host key, as SHA256:… or as 64 hex digits";
            let read = match text.strip_prefix("SHA256:") {
                Some(base64) => data_encoding::BASE64_NOPAD
                    .decode(base64.trim_end_matches('=').as_bytes())
                    .ok()
                    .and_then(|bytes| bytes.try_into().ok())
                    .map(Sha256),
                None => text.chars().filter(|char| *char != ':').collect::<String>().parse().ok(),
            };
            read.map(Some).ok_or_else(|| instead.to_owned())
        })
    }

    fn credential(&mut self, row: &Row<'_>, place: &Place, access: Access) -> Option<Arc<str>> {
        let config = self.config;
        let found = self.value(row, Column::Credential, place.credential.clone(), |name| {
            place::known_credential(name, &config.credentials).map(|()| Some(name.to_owned()))
        });
        if found.is_none() && access != Access::ByHand && row.field(Column::Credential).is_none() {
            let name = row.field(Column::Name).unwrap_or_default();
            self.lacks[Lack::Credential as usize].push((row.line, name.to_owned()));
        }
        found.map(|name| self.texts.one(&name))
    }

    fn pin(&mut self, row: &Row<'_>, trust: Trust) -> Option<Sha256> {
        let pin = self.value(row, Column::Pin, None, |text| {
            let hex: String = text.chars().filter(|char| *char != ':').collect();
            let instead = "write the SHA-256 of its certificate, 64 hex digits, with colons or without";
            hex.parse().map(Some).map_err(|_| instead.to_owned())
        });
        match (trust, row.field(Column::Pin)) {
            (Trust::Pinned, None) if row.field(Column::HostKey).is_none() => {
                let message = "trust is pinned, but there is no pin; write the SHA-256 of its certificate as pin, or \
                               that of its SSH host key as host_key";
                self.mistake(row.line, message.to_owned());
            }
            (Trust::Learn | Trust::Ca, Some(_)) => {
                let message = format!("has a pin, but trust is {trust}; write trust pinned, or leave the pin out");
                self.mistake(row.line, message);
            }
            (Trust::Pinned, Some(_) | None) | (Trust::Learn | Trust::Ca, None) => {}
        }
        pin
    }

    fn timezone(&mut self, row: &Row<'_>, place: &Place) -> Option<TimeZone> {
        let known = row.field(Column::Timezone).and_then(|name| self.timezones.get(name));
        if let Some(zone) = known {
            return Some(zone.clone());
        }
        let found = self.value(row, Column::Timezone, None, |name| place::timezone(name).map(Some));
        if let (Some(name), Some(zone)) = (row.text(Column::Timezone), &found) {
            self.timezones.insert(name, zone.clone());
        }
        found.or_else(|| place.timezone.clone())
    }

    fn windows(&mut self, row: &Row<'_>, place: &Place, timezone: Option<&TimeZone>) -> Windows {
        let field = |column| row.field(column).unwrap_or_default();
        if place.windows.is_empty() && field(Column::Windows).is_empty() {
            return Windows::default();
        }
        let key = [Column::Site, Column::Windows, Column::Timezone].map(field).join("\n");
        if let Some(windows) = self.windows.get(&key) {
            return windows.clone();
        }
        let read = |text: &str| text.split(';').map(place::window).collect::<Result<Vec<_>, _>>().map(Some);
        let own = self.value(row, Column::Windows, None, read);
        let windows = place::windows_in(own.as_ref().unwrap_or(&place.windows), timezone);
        if own.is_some() == row.field(Column::Windows).is_some() {
            self.windows.insert(key, windows.clone());
        }
        windows
    }

    fn word<T: Word>(&mut self, row: &Row<'_>, column: Column, otherwise: T) -> T {
        self.value(row, column, otherwise, |text| {
            T::of_word(text).map_err(|unknown| format!("write {}", one_of(unknown.expected)))
        })
    }

    /// The field read, or `otherwise` where it is empty or a mistake.
    fn value<T>(
        &mut self,
        row: &Row<'_>,
        column: Column,
        otherwise: T,
        read: impl FnOnce(&str) -> Result<T, String>,
    ) -> T {
        let Some(text) = row.field(column) else { return otherwise };
        match read(text) {
            Ok(value) => value,
            Err(instead) => {
                self.mistake(row.line, format!("{} is {:?}; {instead}", column.word(), printable(text)));
                otherwise
            }
        }
    }

    fn mistake(&mut self, line: usize, message: String) {
        self.mistakes.add(self.file, line, message);
    }

    /// What lacks for many is told once: it is one line of configuration that mends it.
    fn finish(mut self) -> Inventory {
        self.inventory.devices.shrink_to_fit();
        for (lack, devices) in [Lack::Credential, Lack::CaFile].into_iter().zip(self.lacks) {
            let Some((line, first)) = devices.first() else { continue };
            let others = match devices.len() - 1 {
                0 => format!("device {first} has"),
                1 => format!("device {first} and one more have"),
                more => format!("device {first} and {more} more have"),
            };
            let message = match lack {
                Lack::Credential => format!(
                    "{others} no credential; write one here, as credential of [sites.NAME] or of [defaults], \
                     or access by-hand"
                ),
                Lack::CaFile => {
                    format!(
                        "{others} trust ca, but no ca_file to verify with; write ca_file in [sites.NAME] or [defaults]"
                    )
                }
            };
            self.mistakes.add(self.file, *line, message);
        }
        self.inventory
    }
}

fn yes_or_no(text: &str) -> Result<bool, String> {
    match text {
        "true" | "yes" => Ok(true),
        "false" | "no" => Ok(false),
        _ => Err("write true or false".to_owned()),
    }
}

fn tags(text: &str) -> Vec<String> {
    let mut tags: Vec<String> = Vec::new();
    for tag in text.split([' ', ';', '\t']).filter(|tag| !tag.is_empty()) {
        if !tags.iter().any(|known| known == tag) {
            tags.push(tag.to_owned());
        }
    }
    tags
}
