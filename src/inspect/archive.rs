//! Archives under inspection: the portal's, and bundles of our own in one tar.

use serde_json::{Value, json};

use super::{Inspection, finished, kind};
use crate::domain::problem::{Problem, Problems};
use crate::domain::slp_file;
use crate::exchange::archive::{self, Limits, Member};
use crate::exchange::bundle::Opened;

const USAGE: &str = "usage-bundle";
const ACK: &str = "ack-bundle";
const UNKNOWN: &str = "unknown";

/// Lists every member and what it is; an archive that is refused has none.
pub fn inspect(name: &str, bytes: &[u8], limits: &Limits) -> Inspection {
    let mut problems = Problems::default();
    let members = match archive::open(name, bytes, limits) {
        Ok(members) => members,
        Err(error) => {
            problems.fault(error.to_string());
            return finished(name, kind_by_name(name), &problems, json!({ "members": [] }), Vec::new());
        }
    };
    let ours = own_bundle(name, bytes, limits, &members, &mut problems);
    let mut list = List { rows: Vec::new(), lines: Vec::new(), problems, ours: ours.is_some() };
    let found = list.add(&members, "");
    let kind = match found {
        Found { usage: true, .. } => USAGE,
        Found { ack: true, .. } => ACK,
        Found { .. } => kind_by_name(name),
    };
    if found.usage && found.ack {
        list.problems.remark("usage reports and answers in one archive");
    }
    if kind == UNKNOWN {
        list.problems.fault("an archive without any licensing file");
    }
    let mut json = json!({ "members": list.rows });
    if let Some(own) = ours {
        json["bundle"] = own;
    }
    finished(name, kind, &list.problems, json, list.lines)
}

#[derive(Clone, Copy, Default)]
struct Found {
    usage: bool,
    ack: bool,
}

struct List {
    rows: Vec<Value>,
    lines: Vec<String>,
    problems: Problems,
    /// Is it a bundle of our own, with files that only we know?
    ours: bool,
}

impl List {
    fn add(&mut self, members: &[Member], prefix: &str) -> Found {
        let mut all = Found::default();
        for member in members {
            let name = format!("{prefix}{}", member.name);
            let row = self.rows.len();
            self.rows.push(Value::Null);
            self.lines.push(String::new());
            let (kind, found) = match &member.inside {
                Some(inside) => {
                    let found = self.add(inside, &format!("{name}/"));
                    let kind = match found {
                        Found { usage: true, .. } => USAGE,
                        Found { ack: true, .. } => ACK,
                        Found { .. } => kind_by_name(&member.name),
                    };
                    (kind, found)
                }
                None => self.leaf(&name, member),
            };
            all.usage |= found.usage;
            all.ack |= found.ack;
            let (size, sha256) = (member.size, member.sha256);
            self.lines[row] = format!("{name}  {size} bytes  {kind}");
            self.rows[row] = json!({ "name": name, "size": size, "sha256": sha256, "kind": kind });
        }
        all
    }

    fn leaf(&mut self, name: &str, member: &Member) -> (&'static str, Found) {
        let base = member.name.rsplit('/').next().unwrap_or_default();
        let known = match base {
            _ if base.ends_with("manifest.mf") => Some("manifest"),
            "manifest.json" if self.ours => Some("manifest"),
            "manifest.sig" if self.ours => Some("signature"),
            "signer.pem" if self.ours => Some("certificate"),
            "READ-ME.txt" if self.ours => Some("text"),
            _ => None,
        };
        if let Some(kind) = known {
            return (kind, Found::default());
        }
        let file = slp_file::read(&member.bytes);
        self.problems.adopt(name, file.problems().clone());
        let kind = kind(&file);
        (kind, Found { usage: kind == "rum-report-file", ack: kind == "ack-file" })
    }
}

/// A bundle of our own is checked, whoever signed it.
fn own_bundle(name: &str, bytes: &[u8], limits: &Limits, members: &[Member], problems: &mut Problems) -> Option<Value> {
    if !members.iter().any(|member| member.name.ends_with("manifest.sig")) {
        return None;
    }
    let opened = Opened::from_archive(name, bytes, limits).ok()?;
    if !opened.looks_like_a_bundle() {
        return None;
    }
    match opened.verify(None) {
        Ok(verified) => Some(json!({
            "bundle_id": verified.manifest.bundle_id,
            "created": verified.manifest.created,
            "signer": verified.signer.fingerprint,
            "verified": true,
        })),
        Err(error) => {
            problems.push(Problem::fault(error.to_string()));
            Some(json!({ "bundle_id": null, "created": null, "signer": null, "verified": false }))
        }
    }
}

/// What the names of the portal's archives say, where the contents say nothing.
fn kind_by_name(name: &str) -> &'static str {
    let base = name.rsplit(['/', '\\']).next().unwrap_or_default();
    if base.starts_with("ACK_UD_") {
        ACK
    } else if base.starts_with("UD_SA_") || base.starts_with("UD_VA_") {
        USAGE
    } else {
        UNKNOWN
    }
}
