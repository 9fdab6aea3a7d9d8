//! The RPCs of IOS XE that move reports and acknowledgements, for whichever protocol carries them.
//!
//! `cisco-smart-license` has them from revision 2020-11-01 (17.4.1) on. No RPC closes reports or hands one out:
//! saving writes a file on the device, importing reads one. `Cisco-IOS-XE-rpc` deletes files. Each may take
//! a device tens of seconds in silence (inferred from the command line), which the limit of a read must allow.

use serde_json::{Map, Value, json};

use super::return_code::ReturnCode;
use super::{node, text};
use crate::device::{Complaint, Error, Usage};
use crate::domain::problem::{excerpt, printable};

pub const LICENSING: Module =
    Module { name: "cisco-smart-license", namespace: "http://cisco.com/ns/yang/cisco-smart-license" };
pub const FILES: Module = Module { name: "Cisco-IOS-XE-rpc", namespace: "http://cisco.com/ns/yang/Cisco-IOS-XE-rpc" };

/// The model bounds `file-path` so.
const LONGEST_PATH: usize = 127;

/// A YANG module: its name in JSON and its namespace in XML.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Module {
    pub name: &'static str,
    pub namespace: &'static str,
}

/// One call, checked against what the model allows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rpc {
    pub step: &'static str,
    pub module: Module,
    pub name: &'static str,
    input: Vec<(&'static str, Value)>,
}

impl Rpc {
    /// Writes signed reports to `path`, a file of the device or a URL that it can write to. Saving ends the
    /// running measurement first, as on the command line (inferred: saved reports carry that reason).
    pub fn save_usage(usage: Usage, path: &str) -> Result<Rpc, Error> {
        let step = "save usage";
        let path = file_path(step, path)?;
        let (name, days) = match usage {
            Usage::All => ("rum-save-usage-all", None),
            Usage::Unreported => ("rum-save-usage-unreported", None),
            Usage::Days(days) => ("rum-save-usage-days", Some(days)),
        };
        let mut input = vec![("file-path", json!(path))];
        input.extend(days.map(|days| ("days", json!(days))));
        Ok(Rpc { step, module: LICENSING, name, input })
    }

    /// Installs an ACK, a policy or a code from a file of the device or a URL. Success proves nothing: read back.
    pub fn import_file(path: &str) -> Result<Rpc, Error> {
        let step = "import";
        let input = vec![("file-path", json!(file_path(step, path)?))];
        Ok(Rpc { step, module: LICENSING, name: "import-file", input })
    }

    /// Deletes one file of the device for good.
    pub fn delete(path: &str) -> Result<Rpc, Error> {
        let step = "delete a file";
        let input = vec![("filename-drop-node-name", json!(plain(step, path)?))];
        Ok(Rpc { step, module: FILES, name: "delete", input })
    }

    /// Does the device need long for it? Its licensing agent does.
    pub fn is_slow(&self) -> bool {
        self.module == LICENSING
    }

    /// The body of a RESTCONF operation (RFC 8040 §3.6.1).
    pub fn json(&self) -> Value {
        let input: Map<String, Value> =
            self.input.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        json!({ format!("{}:input", self.module.name): input })
    }

    /// The element inside NETCONF's `<rpc>`.
    pub fn xml(&self) -> String {
        let mut xml = format!("<{} xmlns=\"{}\">", self.name, self.module.namespace);
        for (name, value) in &self.input {
            let value = value.as_str().map_or_else(|| value.to_string(), escaped);
            xml.push_str(&format!("<{name}>{value}</{name}>"));
        }
        xml.push_str(&format!("</{}>", self.name));
        xml
    }

    /// Judges the output: a `return-code` other than success, or a `result` that tells an error. An output
    /// with neither is taken for success, because the model leaves both optional and the read-back decides.
    pub fn judge(&self, output: &Value) -> Result<(), Error> {
        let step = self.step;
        let code = node(output, "return-code").and_then(|code| match code {
            Value::String(code) => Some(ReturnCode::read(code)),
            Value::Number(code) => Some(ReturnCode::read(&code.to_string())),
            _ => None,
        });
        if let Some(code) = code.filter(|code| !code.is_success()) {
            let complaint = if code.is_transient() { Complaint::Busy } else { Complaint::Failed };
            let said = if code.words().is_empty() { code.name.as_str() } else { code.words() };
            return Err(Error::declined(step, complaint, &code.to_string(), said));
        }
        let result: String = text(node(output, "result")).unwrap_or_default();
        let lower = result.to_ascii_lowercase();
        if lower.trim_start().starts_with('%') || lower.contains("error") || lower.contains("fail") {
            return Err(Error::declined(step, Complaint::Failed, "result", result.trim()));
        }
        Ok(())
    }
}

fn file_path<'a>(step: &'static str, path: &'a str) -> Result<&'a str, Error> {
    let path = plain(step, path)?;
    if path.chars().count() > LONGEST_PATH {
        let cause =
            format!("{} is longer than the {LONGEST_PATH} characters a device takes", printable(&excerpt(path)));
        return Err(Error::Ours { step, cause });
    }
    Ok(path)
}

fn plain<'a>(step: &'static str, path: &'a str) -> Result<&'a str, Error> {
    if path.is_empty() || path.chars().any(char::is_control) {
        return Err(Error::Ours { step, cause: format!("{:?} is no path of a device", excerpt(path)) });
    }
    // A device repeats a path in its complaints, and those go into logs.
    let authority = path.split_once("://").map(|(_, rest)| rest.split('/').next().unwrap_or(rest));
    if authority.is_some_and(|authority| authority.contains('@')) {
        return Err(Error::Ours { step, cause: "a URL with a login in it is not sent".to_owned() });
    }
    Ok(path)
}

/// Text as it must stand between two tags. The `>` too, so that no text holds an end-of-message mark.
pub fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_call_has_two_encodings() {
        let call = Rpc::save_usage(Usage::Days(30), "bootflash:a&b.xml").unwrap();
        assert_eq!(
            call.xml(),
            "<rum-save-usage-days xmlns=\"http://cisco.com/ns/yang/cisco-smart-license\">\
             <file-path>bootflash:a&amp;b.xml</file-path><days>30</days></rum-save-usage-days>"
        );
        let input = json!({"file-path": "bootflash:a&b.xml", "days": 30});
        assert_eq!(call.json(), json!({ "cisco-smart-license:input": input }));
        assert!(Rpc::delete("flash:]]>]]>").unwrap().xml().contains("flash:]]&gt;]]&gt;"));
    }

    #[test]
    fn a_path_that_no_device_takes_is_not_sent() {
        assert!(Rpc::import_file(&"x".repeat(127)).is_ok());
        for path in [String::new(), "x".repeat(128), "flash:a\nb".to_owned()] {
            assert!(matches!(Rpc::import_file(&path), Err(Error::Ours { .. })), "{path:?}");
        }
        let error = Rpc::import_file("scp://slp:hidden@collector/a").unwrap_err();
        assert!(!format!("{error:?}").contains("hidden"), "{error}");
        assert!(Rpc::delete(&format!("flash:{}", "x".repeat(200))).is_ok());
    }

    #[test]
    fn outputs_are_judged() {
        let import = Rpc::import_file("flash:ack").unwrap();
        for good in [json!({"return-code": "success"}), json!({"return-code": 0}), json!(""), json!({})] {
            import.judge(&good).unwrap();
        }
        let error = import.judge(&json!({"cisco-smart-license:return-code": "matchidentifier"})).unwrap_err();
        assert_eq!(
            error.to_string(),
            "import: the device declined (matchidentifier 28): the file is meant for another product instance"
        );
        assert!(!error.is_transient());
        assert!(import.judge(&json!({"return-code": "ipctimeout"})).unwrap_err().is_transient());
        let delete = Rpc::delete("flash:a").unwrap();
        delete.judge(&json!({"result": "RPC request successful"})).unwrap();
        assert!(delete.judge(&json!({"result": "%Error deleting flash:a (No such file or directory)"})).is_err());
    }
}
