//! The flat tar.gz archives of an exchange.

use std::collections::BTreeSet;
use std::io::Read;

use flate2::Compression;
use flate2::read::GzDecoder;

use super::Refusal;

/// More than any test makes; a bound against archives that unfold for ever.
const LARGEST: u64 = 1 << 30;

/// The members of an archive in their order. Only plain files with plain names, each once.
pub fn read(path: &str, bytes: &[u8]) -> Result<Vec<(String, Vec<u8>)>, Refusal> {
    let refuse = |reason: String| Refusal::new(path, reason);
    let mut archive = tar::Archive::new(GzDecoder::new(bytes).take(LARGEST));
    let mut names = BTreeSet::new();
    let mut members = Vec::new();
    for entry in archive.entries().map_err(|error| refuse(format!("no tar.gz: {error}")))? {
        let mut entry = entry.map_err(|error| refuse(format!("no tar.gz: {error}")))?;
        let name = String::from_utf8(entry.path_bytes().into_owned())
            .map_err(|_| refuse("a member's name is not UTF-8".to_string()))?;
        if !entry.header().entry_type().is_file() {
            return Err(refuse(format!("{name:?} is no plain file")));
        }
        if name.is_empty() || name.starts_with('.') || name.contains(['/', '\\', '\0']) {
            return Err(refuse(format!("{name:?} is no plain name")));
        }
        if !names.insert(name.clone()) {
            return Err(refuse(format!("{name} is there twice")));
        }
        let mut content = Vec::new();
        entry.read_to_end(&mut content).map_err(|error| refuse(format!("{name} is cut short: {error}")))?;
        members.push((name, content));
    }
    Ok(members)
}

/// The same members make the same bytes: no times, no owners.
pub fn write(members: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut builder = tar::Builder::new(flate2::GzBuilder::new().mtime(0).write(Vec::new(), Compression::default()));
    for (name, bytes) in members {
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        header.set_mtime(0);
        builder.append_data(&mut header, name, bytes.as_slice()).expect("a vector takes every byte");
    }
    builder.into_inner().and_then(|gzip| gzip.finish()).expect("a vector takes every byte")
}
