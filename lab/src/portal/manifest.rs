//! `manifest.mf`: who the bundle is from, and a section for each archive in it.
//!
//! The only public sample leaves the accounts empty and names an archive wrongly. So keys and the number of sections
//! are checked, each `Name` must begin `/UD_VA_`, and nothing more is asked of it.

use super::Refusal;
use crate::account::Account;

#[derive(Debug, PartialEq, Eq)]
pub struct Manifest {
    smart: String,
    smart_id: String,
    pub sections: Vec<Section>,
}

#[derive(Debug, PartialEq, Eq)]
pub struct Section {
    virtual_name: String,
    virtual_id: String,
}

impl Manifest {
    /// The account of a section, where the manifest names one.
    pub fn account(&self, section: &Section) -> Option<Account> {
        let named = !self.smart.is_empty() && !section.virtual_name.is_empty();
        named.then(|| Account {
            smart: self.smart.clone(),
            smart_id: self.smart_id.clone(),
            domain: String::new(),
            virtual_name: section.virtual_name.clone(),
            virtual_id: section.virtual_id.clone(),
        })
    }
}

pub fn read(path: &str, bytes: &[u8]) -> Result<Manifest, Refusal> {
    let refuse = |reason: String| Refusal::new(path, reason);
    let text = std::str::from_utf8(bytes).map_err(|_| refuse("not UTF-8".to_string()))?;
    // A line that begins with a space goes on where the one before it ended.
    let text = text.replace("\r\n", "\n").replace("\n ", "");
    let mut blocks = text.split("\n\n").map(str::trim).filter(|block| !block.is_empty());
    let main = pairs(blocks.next().unwrap_or_default()).map_err(refuse)?;
    if main.first() != Some(&("Manifest-Version", "1.0")) {
        return Err(refuse("must begin with Manifest-Version: 1.0".to_string()));
    }
    let value = |pairs: &[(&str, &str)], key: &str| {
        let found = pairs.iter().find(|(name, _)| *name == key).map(|(_, value)| value.to_string());
        found.ok_or_else(|| refuse(format!("{key} is missing")))
    };
    value(&main, "Created-By")?;
    let mut sections = Vec::new();
    for block in blocks {
        let section = pairs(block).map_err(refuse)?;
        if !value(&section, "Name")?.starts_with("/UD_VA_") {
            return Err(refuse("Name does not begin with /UD_VA_".to_string()));
        }
        sections.push(Section {
            virtual_name: value(&section, "Specification-VA")?,
            virtual_id: value(&section, "Specification-VA-ID")?,
        });
    }
    Ok(Manifest { smart: value(&main, "Smart-Account")?, smart_id: value(&main, "Smart-Account-ID")?, sections })
}

fn pairs(block: &str) -> Result<Vec<(&str, &str)>, String> {
    let pair = |line: &'_ str| line.find(':').ok_or_else(|| format!("{line:?} is no `key: value`"));
    block.lines().map(|line| pair(line).map(|at| (&line[..at], line[at + 1..].trim()))).collect()
}
