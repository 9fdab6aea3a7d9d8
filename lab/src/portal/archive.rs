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

/// The same members as a zip, stored as they are: what a desktop makes of a selection of files.
pub fn zip(members: &[(String, Vec<u8>)]) -> Vec<u8> {
    // 1980-01-01, the first day that the format knows.
    const DAY: [u8; 4] = [0, 0, 0x21, 0];
    let (mut files, mut directory) = (Vec::new(), Vec::new());
    for (name, bytes) in members {
        let mut crc = flate2::Crc::new();
        crc.update(bytes);
        let length = |bytes: &[u8]| u32::try_from(bytes.len()).expect("no answer has 4 GiB").to_le_bytes();
        let short = |name: &str| u16::try_from(name.len()).expect("no name is so long").to_le_bytes();
        // Version, flags, method, time and date; then the sizes.
        let common =
            [&[20, 0, 0, 0, 0, 0][..], &DAY, &crc.sum().to_le_bytes(), &length(bytes), &length(bytes)].concat();
        let offset = length(&files);
        files.extend([b"PK\x03\x04", &common[..], &short(name), &[0; 2], name.as_bytes(), bytes].concat());
        let head = [b"PK\x01\x02", &[20, 0][..], &common, &short(name), &[0; 12], &offset, name.as_bytes()].concat();
        directory.extend(head);
    }
    let count = u16::try_from(members.len()).expect("no portal answers so many").to_le_bytes();
    let size = |bytes: &[u8]| u32::try_from(bytes.len()).expect("no answer has 4 GiB").to_le_bytes();
    let end = [b"PK\x05\x06", &[0; 4][..], &count, &count, &size(&directory), &size(&files), &[0; 2]].concat();
    [files, directory, end].concat()
}
