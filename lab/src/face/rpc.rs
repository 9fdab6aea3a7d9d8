//! The RPCs of IOS XE that RESTCONF and NETCONF carry: saving usage, importing, copying and deleting files.
//!
//! Names, inputs and outputs follow the published models. Texts of `result` are the lab's own, after the words that
//! the command line prints.

use crate::face::station::Station;
use crate::operation::{Operation, Reply, Saved};
use crate::spec::StateModel;

pub const LICENSING: &str = "cisco-smart-license";
pub const FILES: &str = "Cisco-IOS-XE-rpc";

/// The longest `file-path` of the model.
const LONGEST_PATH: usize = 127;

/// What became of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// One leaf of the output.
    Output(&'static str, String),
    /// No such RPC in this release.
    Unknown,
    /// A leaf of the input that must be there is not.
    Missing(&'static str),
    /// A leaf of the input that the model does not allow.
    Invalid(&'static str),
}

/// Runs an RPC of a module; `leaf` tells the leaves of its input.
pub fn call(station: &Station, module: &str, name: &str, leaf: &dyn Fn(&str) -> Option<String>) -> Outcome {
    match (module, name) {
        (LICENSING, "rum-save-usage-all" | "rum-save-usage-unreported" | "rum-save-usage-days" | "import-file") => {
            if station.spec.knobs.state_model == StateModel::None {
                return Outcome::Unknown;
            }
            let Some(path) = leaf("file-path") else { return Outcome::Missing("file-path") };
            if path.is_empty() || path.chars().count() > LONGEST_PATH {
                return Outcome::Invalid("file-path");
            }
            let which = match (name, leaf("days").map(|days| days.parse())) {
                ("rum-save-usage-days", Some(Ok(days))) => Some(Saved::Days(days)),
                ("rum-save-usage-days", Some(Err(_))) => return Outcome::Invalid("days"),
                // The model leaves the days optional and says no default.
                ("rum-save-usage-days" | "rum-save-usage-all", _) => Some(Saved::All),
                ("rum-save-usage-unreported", _) => Some(Saved::Unreported),
                _ => None,
            };
            // There is no network behind the lab.
            let Some(name) = on_flash(station, &path) else { return returned("commsend") };
            let operation = match which {
                Some(which) => Operation::SaveUsage { which, name },
                None => Operation::ImportFile(name),
            };
            match station.apply(operation) {
                Reply::Refused(refusal) => returned(refusal.name),
                _ => returned("success"),
            }
        }
        (FILES, "copy") => {
            let Some(from) = leaf("source-drop-node-name") else { return Outcome::Missing("source-drop-node-name") };
            let Some(to) = leaf("destination-drop-node-name") else {
                return Outcome::Missing("destination-drop-node-name");
            };
            let (Some(source), Some(target)) = (on_flash(station, &from), on_flash(station, &to)) else {
                return result(format!("%Error opening {from} (Undefined error)"));
            };
            let bytes = match station.apply(Operation::ReadFile(source)) {
                Reply::File(bytes) => bytes,
                _ => return result(format!("%Error opening {from} (No such file or directory)")),
            };
            match station.apply(Operation::WriteFile { name: target, bytes }) {
                Reply::Refused(_) => result(format!("%Error writing {to} (No space left on device)")),
                _ => result("RPC request successful".to_string()),
            }
        }
        (FILES, "delete") => {
            let Some(path) = leaf("filename-drop-node-name") else {
                return Outcome::Missing("filename-drop-node-name");
            };
            match on_flash(station, &path).map(|name| station.apply(Operation::DeleteFile(name))) {
                Some(Reply::Done) => result("RPC request successful".to_string()),
                Some(_) => result(format!("%Error deleting {path} (No such file or directory)")),
                None => Outcome::Invalid("filename-drop-node-name"),
            }
        }
        _ => Outcome::Unknown,
    }
}

fn returned(code: &str) -> Outcome {
    Outcome::Output("return-code", code.to_string())
}

fn result(text: String) -> Outcome {
    Outcome::Output("result", text)
}

/// The file on flash that a path names; `None` when it names another place.
fn on_flash(station: &Station, path: &str) -> Option<String> {
    station.spec.os.file(path)
}
