//! Configuration and inventory: the operator's files into [`Config`], or every mistake in them.
//!
//! An unknown key is a mistake, and so is a value out of bounds; all are told at once, each with
//! its file and line and what to write instead. Paths are relative to the configuration file.
//! Only a file that is not TOML at all stops the reading early: its tables cannot be told apart.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::domain::instance::Site;
use crate::domain::violation;
use crate::secret::Credential;

mod alerts;
mod commands;
mod credential;
mod device;
pub mod duration;
pub mod inventory;
mod licences;
mod mistake;
mod place;
mod raw;
mod read;
mod rows;
mod settings;
pub mod sinks;
mod snapshot;
mod terms;
pub mod upstreams;
mod url;
mod violations;
pub mod web;

pub use alerts::Alerts;
pub use commands::Commands;
pub use device::{Address, Device};
pub use inventory::Inventory;
pub use licences::Licences;
pub use mistake::{Mistake, Mistakes};
pub use place::Place;
pub use settings::{
    CONFIGURED_DEFAULT, Collector, Deadline, DefaultPolicies, Delivery, Exchange, Http, Log, LogFormat, LogLevel,
    PerDevice, Poll, Post, Snapshot,
};
pub use sinks::Sink;
pub use terms::Terms;
pub use upstreams::Upstream;
pub use url::Url;

/// Where the configuration is when nobody says otherwise.
pub const DEFAULT_PATH: &str = "/etc/slp-collector/slp-collector.toml";

/// Everything the operator said, complete and checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// The file it was read from.
    pub file: PathBuf,
    pub collector: Collector,
    pub poll: Poll,
    pub deadline: Deadline,
    pub exchange: Exchange,
    pub delivery: Delivery,
    /// What of `[snapshot]` is about licences.
    pub terms: Terms,
    pub snapshot: Snapshot,
    /// Which kinds are looked for, and how severe they are.
    pub violations: violation::Rules,
    pub alerts: Alerts,
    pub http: Http,
    pub log: Log,
    pub credentials: BTreeMap<String, Credential>,
    /// Command lines of the operator's own.
    pub commands: Commands,
    /// What holds for devices without a site.
    pub defaults: Place,
    /// What holds for the devices of each site, `[defaults]` included.
    pub sites: BTreeMap<Site, Place>,
    pub inventory: Inventory,
    /// What the files of `[snapshot]` say.
    pub licences: Licences,
    /// How people are told, by the operator's names.
    pub sinks: BTreeMap<String, Sink>,
    /// Servers that reports go to by API, by the operator's names.
    pub upstreams: BTreeMap<String, Upstream>,
}

impl Config {
    /// Reads the configuration and the inventory it names.
    pub fn load(file: &Path) -> Result<Config, Mistakes> {
        let (mut config, mut mistakes) = Config::begun(file)?;
        config.files(&mut mistakes);
        mistakes.or(config)
    }

    /// Reads what the file names beside itself.
    fn files(&mut self, mistakes: &mut Mistakes) {
        self.inventory = inventory::read(self, mistakes);
        self.licences = licences::read(&self.terms, mistakes);
    }

    /// All but the inventory and the tables of licences, with the mistakes so far.
    fn begun(file: &Path) -> Result<(Config, Mistakes), Mistakes> {
        let mut mistakes = Mistakes::default();
        let text = match std::fs::read_to_string(file) {
            Ok(text) => text,
            Err(cause) => {
                mistakes.add(file, 1, format!("cannot be read: {cause}; write --config FILE for another"));
                return Err(mistakes);
            }
        };
        let document = raw::Document::new(file, &text);
        let Some(table) = document.parse() else { return Err(document.into_mistakes().sorted()) };
        let config = read::config(&document, &table, file);
        Ok((config, document.into_mistakes()))
    }

    /// The settings of a site; those of `[defaults]` for a device without one.
    pub fn place(&self, site: &Site) -> &Place {
        self.sites.get(site).unwrap_or(&self.defaults)
    }

    /// What an operator should know although it is no mistake: password files that everybody can read, a register that
    /// others can.
    pub fn warnings(&self) -> Vec<String> {
        let of_sinks = self.sinks.values().flat_map(|sink| sink.way.credentials());
        let of_post = self.snapshot.post.iter().flat_map(|post| post.server.credentials());
        let all = self.credentials.values().chain(of_sinks).chain(of_post);
        let mut warnings: Vec<String> = all.flat_map(Credential::exposures).collect();
        let listen = self.http.listen;
        if self.http.enabled && !listen.ip().is_loopback() {
            warnings.push(format!(
                "http.listen is {listen}: whoever reaches that address reads the register, without a password and \
                 without encryption"
            ));
        }
        warnings
    }
}

/// The configuration without its inventory, which may be long: enough to ask the daemon, who has read it.
#[derive(Clone, Debug)]
pub struct Outline(Config);

impl Outline {
    pub fn load(file: &Path) -> Result<Outline, Mistakes> {
        let (config, mistakes) = Config::begun(file)?;
        mistakes.or(config).map(Outline)
    }

    /// Where the daemon listens.
    pub fn socket(&self) -> &Path {
        &self.0.collector.socket
    }

    /// With the inventory.
    pub fn complete(self) -> Result<Config, Mistakes> {
        let (mut config, mut mistakes) = (self.0, Mistakes::default());
        config.files(&mut mistakes);
        mistakes.or(config)
    }
}

#[cfg(test)]
mod tests;
