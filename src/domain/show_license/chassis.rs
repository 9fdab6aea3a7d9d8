//! `show version` and `show inventory` of the three systems: which software on which chassis.

use super::lines::{Line, starts_with};
use super::status::{strip, text};
use crate::domain::instance::Udi;

/// What the two commands said.
#[derive(Debug, Default)]
pub(super) struct Chassis {
    pub os: Option<&'static str>,
    pub hostname: Option<String>,
    pub software: Option<String>,
    pub version_seen: bool,
    pub inventory_seen: bool,
    /// Of `show version`: the model and the serial, each where it is certain.
    model: Option<String>,
    serial: Option<String>,
    processor: Option<String>,
    board: Option<String>,
    /// Of `show inventory`: the part whose line `PID:` comes next.
    part: Option<String>,
    chassis: Option<(Rank, Udi)>,
    /// The first product id, whatever part it is of: it tells the system too.
    first_pid: Option<String>,
}

/// How certainly a part of the inventory is the chassis; the least is the surest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Chassis,
    Rack,
    Stack,
    Switch,
}

impl Chassis {
    pub(super) fn take(&mut self, line: &Line<'_>) -> bool {
        self.inventory(line) || self.version(line)
    }

    fn version(&mut self, line: &Line<'_>) -> bool {
        let line = &*line.text;
        if let Some(version) = strip(line, "cisco ios xe software, version ") {
            self.found("ios-xe");
            // Engineering images are named there; their number stands on the next line.
            self.software = first_word(version).filter(|word| word.starts_with(|c: char| c.is_ascii_digit()));
        } else if let Some(version) = strip(line, "cisco ios xr software, version ") {
            self.found("ios-xr");
            self.software = first_word(version);
        } else if starts_with(line, "cisco nexus operating system") {
            self.found("nx-os");
        } else if let Some(version) = strip(line, "nxos: version ").or_else(|| nx_os_system(line)) {
            self.found("nx-os");
            self.software = first_word(version);
        } else if starts_with(line, "cisco ios software") {
            self.version_seen = true;
            let version = line.split_once("Version ").map(|(_, version)| version);
            if self.software.is_none() {
                self.software = version.and_then(first_word);
            }
        } else if starts_with(line, "cisco ios-xe software, copyright") {
            self.found("ios-xe");
        } else if !self.version_seen {
            return false;
        } else if let Some(name) = strip(line, "device name:") {
            self.hostname = text(name);
        } else if let Some((name, _)) = line.split_once(" uptime is ") {
            if !name.contains(' ') && !name.eq_ignore_ascii_case("system") && !name.eq_ignore_ascii_case("kernel") {
                self.hostname = text(name);
            }
        } else if let Some(board) = strip(line, "processor board id ") {
            self.board.get_or_insert(board.to_owned());
        } else if let Some(("Model Number", model)) = split(line) {
            self.model.get_or_insert(model.to_owned());
        } else if let Some(("System Serial Number", serial)) = split(line) {
            self.serial.get_or_insert(serial.to_owned());
        } else if let Some(rest) = line.strip_prefix("cisco ").filter(|rest| rest.contains(" processor")) {
            self.processor = first_word(rest);
        } else {
            return false;
        }
        true
    }

    fn found(&mut self, os: &'static str) {
        self.version_seen = true;
        self.os.get_or_insert(os);
    }

    fn inventory(&mut self, line: &Line<'_>) -> bool {
        if let Some(rest) = strip(&line.text, "name:").filter(|rest| rest.contains("DESCR:")) {
            let name = rest.split(',').next().unwrap_or_default().trim().trim_matches('"');
            self.part = Some(name.trim().to_owned());
            self.inventory_seen = true;
            return true;
        }
        let Some(part) = self.part.take() else { return false };
        let Some(rest) = strip(&line.text, "pid:") else { return false };
        let mut pid = rest.split(',').next().unwrap_or_default().trim();
        if pid.eq_ignore_ascii_case("n/a") {
            pid = "";
        }
        let serial = rest.split_once("SN:").map_or("", |(_, serial)| serial.trim());
        if !pid.is_empty() {
            self.first_pid.get_or_insert(pid.to_owned());
            if let Some(rank) = rank(&part)
                && text::<String>(serial).is_some()
                && self.chassis.as_ref().is_none_or(|(known, _)| rank < *known)
            {
                self.chassis = Some((rank, Udi::new(pid, serial)));
            }
        }
        true
    }

    /// Does a part of the inventory still miss its second line?
    pub(super) fn open_part(&self) -> bool {
        self.part.is_some()
    }

    /// The chassis, by the inventory before the version.
    ///
    /// NX-OS prints its model in words and the supervisor's serial, IOS XR no serial: these tell no UDI by
    /// `show version`.
    pub(super) fn udi(&self) -> Option<Udi> {
        if let Some((_, udi)) = &self.chassis {
            return Some(udi.clone());
        }
        if self.os != Some("ios-xe") {
            return None;
        }
        let pid = self.model.as_ref().or(self.processor.as_ref())?;
        let sn = self.serial.as_ref().or(self.board.as_ref())?;
        Some(Udi::new(pid, sn))
    }

    /// Is the chassis told by its product id? A processor's name (`C9800-CL`) may lack a part of it.
    pub(super) fn is_certain(&self) -> bool {
        self.chassis.is_some() || self.model.is_some()
    }

    /// The system, told by a product id where nothing else tells it.
    pub(super) fn os(&self) -> Option<&'static str> {
        self.os.or_else(|| self.first_pid.as_deref().and_then(os_of_pid))
    }
}

/// The system that a family of products runs. Inferred from product names; families that run several are left out.
pub(super) fn os_of_pid(pid: &str) -> Option<&'static str> {
    const FAMILIES: [(&str, &[&str]); 3] = [
        ("nx-os", &["N9K-", "N7K-", "N77-", "N6K-", "N5K-", "N3K-", "N2K-", "N3550", "DS-C"]),
        (
            "ios-xr",
            &["NCS-", "NCS5", "N540", "ASR-9", "A9K-", "82", "87", "88", "8101", "8102", "8111", "XRD", "IOSXRV"],
        ),
        ("ios-xe", &["C9", "C8", "C1", "ISR", "ASR10", "CSR1", "CAT9", "IE-", "IR1", "IR8", "WS-C3850", "WS-C3650"]),
    ];
    let upper = pid.to_ascii_uppercase();
    let fits = |prefixes: &[&str]| prefixes.iter().any(|prefix| upper.starts_with(prefix));
    let mut systems = FAMILIES.iter().filter(|(_, prefixes)| fits(prefixes)).map(|(os, _)| *os);
    let os = systems.next()?;
    systems.next().is_none().then_some(os)
}

fn rank(part: &str) -> Option<Rank> {
    let name = part.to_ascii_lowercase();
    if name == "chassis" || name.starts_with("chassis ") {
        Some(Rank::Chassis)
    } else if name == "rack 0" {
        Some(Rank::Rack)
    } else if name.ends_with(" stack") {
        Some(Rank::Stack)
    } else if matches!(name.as_str(), "switch 1" | "switch1" | "1") {
        Some(Rank::Switch)
    } else {
        None
    }
}

/// `system:    version 7.1(4)N1(1)`, with any white space.
fn nx_os_system(line: &str) -> Option<&str> {
    let (label, value) = line.split_once(':')?;
    label.eq_ignore_ascii_case("system").then(|| strip(value.trim(), "version "))?
}

/// `Label   : value`.
fn split(line: &str) -> Option<(&str, &str)> {
    let (label, value) = line.split_once(':')?;
    let value = value.trim();
    (!value.is_empty()).then_some((label.trim(), value))
}

fn first_word(text: &str) -> Option<String> {
    text.split([' ', ',']).find(|word| !word.is_empty()).map(str::to_owned)
}
