//! Licensing before Smart Licensing: PAK files, honour-based use on NX-OS, right-to-use on IOS and IOS XE.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::Serialize;

use super::lines::Line;
use super::status::{strip, text};
use crate::domain::state::License;

/// What kind of traditional licensing a text shows; one device may have several.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Traditional {
    /// A licence file, bought with a product authorization key.
    Pak,
    /// In use without a file, within or after its grace period.
    HonourBased,
    RightToUse,
}

impl Traditional {
    fn word(self) -> &'static str {
        match self {
            Traditional::Pak => "PAK",
            Traditional::HonourBased => "honour-based",
            Traditional::RightToUse => "right-to-use",
        }
    }
}

/// The tables and files of the three systems.
#[derive(Debug, Default)]
pub(super) struct Files {
    pub kinds: BTreeSet<Traditional>,
    pub licenses: Vec<License>,
    pub seen: bool,
    table: Table,
    /// `VDH=…`, the serial that licence files of NX-OS are bound to.
    pub host_id: Option<String>,
    pub nx_os: bool,
    /// A file was printed that does not end (`\` at the last line).
    pub open_file: Option<usize>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Table {
    #[default]
    None,
    NxOs,
    RightToUse,
}

impl Files {
    pub(super) fn close(&mut self) {
        self.table = Table::None;
    }

    pub(super) fn take(&mut self, line: &Line<'_>) -> bool {
        let words: Vec<&str> = line.text.split_whitespace().take(12).collect();
        if let [first, "Ins", "Lic", "Status", ..] = words[..]
            && first.eq_ignore_ascii_case("feature")
        {
            (self.table, self.seen, self.nx_os) = (Table::NxOs, true, true);
            return true;
        }
        if line.text.contains("License name") && line.text.contains("Period left")
            || line.text.contains("License Name") && line.text.contains("Period left")
        {
            (self.table, self.seen) = (Table::RightToUse, true);
            self.kinds.insert(Traditional::RightToUse);
            return true;
        }
        let taken = match self.table {
            Table::NxOs => self.nx_os_row(&words),
            Table::RightToUse => self.right_to_use_row(&words),
            Table::None => false,
        };
        taken || self.file(line, &words) || self.ios(line, &words)
    }

    /// `LAN_ENTERPRISE_SERVICES_PKG   Yes   -   In use Never       -`.
    fn nx_os_row(&mut self, words: &[&str]) -> bool {
        let [name, installed @ ("Yes" | "No"), count, status @ ..] = words else {
            return words == ["Count"] || words.iter().all(|word| word.bytes().all(|byte| byte == b'-'));
        };
        let used = matches!(status, ["In", "use", ..]);
        let kind = match (*installed, used) {
            ("Yes", _) => Some(Traditional::Pak),
            (_, true) => Some(Traditional::HonourBased),
            (_, false) => None,
        };
        self.kinds.extend(kind);
        let status = if used { Some("In use") } else { status.first().copied() };
        self.licenses.push(License {
            name: text(name),
            count: count.parse().ok(),
            status: status.map(Arc::from),
            license_type: kind.map(|kind| kind.word().into()),
            ..License::default()
        });
        true
    }

    /// `1      ipservices   permanent     N/A   Lifetime`.
    fn right_to_use_row(&mut self, words: &[&str]) -> bool {
        let [slot, name, kind, count, ..] = words else { return false };
        if slot.parse::<u16>().is_err() {
            return words.iter().all(|word| word.bytes().all(|byte| byte == b'-'));
        }
        self.licenses.push(License {
            name: text(name),
            count: count.parse().ok(),
            license_type: text(kind),
            ..License::default()
        });
        true
    }

    /// A licence file of NX-OS.
    fn file(&mut self, line: &Line<'_>, words: &[&str]) -> bool {
        if let Some(at) = line.text.find("VDH=") {
            let value = line.text.get(at + 4..).unwrap_or_default();
            let end = value.bytes().position(|byte| !byte.is_ascii_alphanumeric()).unwrap_or(value.len());
            self.host_id = value.get(..end).and_then(text).or(self.host_id.take());
            (self.seen, self.nx_os) = (true, true);
        }
        self.continues(line);
        match words {
            ["FEATURE" | "INCREMENT", name, "cisco", _version, until, count, ..] => {
                self.licenses.push(License {
                    name: text(name),
                    count: count.parse().ok(),
                    license_type: Some(Traditional::Pak.word().into()),
                    status: text(until),
                    ..License::default()
                });
            }
            ["SERVER", "this_host", ..] | ["VENDOR", "cisco", ..] => {}
            _ => return line.text.contains("VDH="),
        }
        (self.seen, self.nx_os) = (true, true);
        self.kinds.insert(Traditional::Pak);
        true
    }

    fn continues(&mut self, line: &Line<'_>) {
        if self.nx_os && line.text.ends_with('\\') {
            self.open_file = Some(line.number);
        } else {
            self.open_file = None;
        }
    }

    /// `Index 1 Feature: appxk9` and its lines.
    fn ios(&mut self, line: &Line<'_>, words: &[&str]) -> bool {
        if let ["Index", number, "Feature:", name, ..] = words
            && number.parse::<u32>().is_ok()
        {
            self.licenses.push(License { name: text(name), ..License::default() });
            self.seen = true;
            return true;
        }
        if !self.seen {
            return false;
        }
        let Some(license) = self.licenses.last_mut() else { return false };
        if let Some(kind) = strip(&line.text, "license type:") {
            license.license_type = text(kind);
            if kind.contains("RightToUse") {
                self.kinds.insert(Traditional::RightToUse);
            } else {
                self.kinds.insert(Traditional::Pak);
            }
        } else if let Some(state) = strip(&line.text, "license state:") {
            license.status = text(state);
        } else if let Some(count) = strip(&line.text, "license count:") {
            license.count = count.split('/').next().and_then(|count| count.trim().parse().ok());
        } else {
            return ["period left:", "period used:", "license priority:"]
                .iter()
                .any(|label| strip(&line.text, label).is_some());
        }
        true
    }
}
