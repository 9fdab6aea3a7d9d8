//! The files that are ours on a device: their names, and where they stand.
//!
//! Nothing here takes a name from outside: what is not `slpc-<id>.xml` cannot be named, so it cannot
//! be written over or deleted.

use std::fmt;

use ring::rand::{SecureRandom, SystemRandom};

use super::Error;

/// The name of a file of ours: `slpc-<id>.xml`, the id of lower-case letters, digits and hyphens.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct OwnFile(String);

/// A name that is not one of ours.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name:?} is not the name of a file of ours")]
pub struct NotOurs {
    name: String,
}

impl OwnFile {
    /// A name that no file has yet.
    pub fn fresh() -> Result<OwnFile, Error> {
        let mut id = [0; 6];
        let filled = SystemRandom::new().fill(&mut id);
        filled.map_err(|_| Error::Ours { step: "name a file", cause: "no random numbers".to_owned() })?;
        Ok(OwnFile(format!("slpc-{}.xml", data_encoding::HEXLOWER.encode(&id))))
    }

    /// The name itself.
    pub fn name(&self) -> &str {
        &self.0
    }

    /// The file in a folder of the device.
    pub fn within(&self, folder: &Folder) -> String {
        format!("{}{}", folder.0, self.0)
    }
}

impl TryFrom<&str> for OwnFile {
    type Error = NotOurs;

    /// For names that a device lists: leftovers of ours.
    fn try_from(name: &str) -> Result<OwnFile, NotOurs> {
        const LONGEST: usize = 40;
        let id = name.strip_prefix("slpc-").and_then(|rest| rest.strip_suffix(".xml"));
        let fits = |id: &&str| {
            (1..=LONGEST).contains(&id.len())
                && id.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        };
        match id.filter(fits) {
            Some(_) => Ok(OwnFile(name.to_owned())),
            None => Err(NotOurs { name: name.chars().take(80).collect() }),
        }
    }
}

impl fmt::Display for OwnFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A file system or folder of a device, as it stands before a file's name: `bootflash:`, `/harddisk:/`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folder(String);

impl TryFrom<&str> for Folder {
    type Error = NotOurs;

    fn try_from(folder: &str) -> Result<Folder, NotOurs> {
        const LONGEST: usize = 80;
        let fits = |c: char| c.is_ascii_alphanumeric() || "-_.:/".contains(c);
        let whole = folder.ends_with([':', '/']) && folder.len() <= LONGEST;
        if whole && folder.chars().all(fits) && !folder.contains("..") && !folder.starts_with('-') {
            Ok(Folder(folder.to_owned()))
        } else {
            Err(NotOurs { name: folder.chars().take(80).collect() })
        }
    }
}

impl fmt::Display for Folder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A file of ours that is on record to have been written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    pub folder: Folder,
    pub file: OwnFile,
    /// Its deletion was sent and not refused: it is there only if we were cut off just then.
    pub deleted: bool,
}

impl Written {
    /// The file that the record of a write names: the last word of it that is a path of ours.
    pub fn named(record: &str) -> Option<(Folder, OwnFile)> {
        record.split_whitespace().rev().find_map(|word| {
            let (folder, name) = word.split_at(word.rfind([':', '/'])? + 1);
            Some((Folder::try_from(folder).ok()?, OwnFile::try_from(name).ok()?))
        })
    }

    pub fn path(&self) -> String {
        self.file.within(&self.folder)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_names_are_names() {
        let fresh = OwnFile::fresh().unwrap();
        assert_eq!(OwnFile::try_from(fresh.name()), Ok(fresh.clone()));
        assert_ne!(fresh, OwnFile::fresh().unwrap());
        assert_eq!(fresh.within(&Folder::try_from("bootflash:").unwrap()), format!("bootflash:{fresh}"));
        for name in [
            "",
            "packages.conf",
            "slpc-.xml",
            "slpc-A.xml",
            "slpc-a.xml ",
            "slpc-a.bin",
            "slpc-../a.xml",
            "slpc-a b.xml",
            "xslpc-a.xml",
            "slpc-*.xml",
        ] {
            assert!(OwnFile::try_from(name).is_err(), "{name}");
        }
        assert!(OwnFile::try_from(format!("slpc-{}.xml", "a".repeat(41)).as_str()).is_err());
    }

    #[test]
    fn a_record_names_the_file_that_was_written() {
        let named = |record: &str| Written::named(record).map(|(folder, file)| file.within(&folder));
        for (record, path) in [
            ("usage to bootflash:slpc-0a.xml (save-all)", Some("bootflash:slpc-0a.xml")),
            ("one report to /harddisk:/slpc-0a.xml (id 1700000001)", Some("/harddisk:/slpc-0a.xml")),
            ("ACK_bootflash:slpc-theirs.xml bootflash:slpc-0a.xml", Some("bootflash:slpc-0a.xml")),
            ("slpc-0a.xml", None),
            ("usage to bootflash:packages.conf", None),
            ("", None),
        ] {
            assert_eq!(named(record).as_deref(), path, "{record}");
        }
    }

    #[test]
    fn folders_are_plain() {
        for folder in ["bootflash:", "/harddisk:/", "flash-1:", "harddisk:", "bootflash:/licences/"] {
            assert!(Folder::try_from(folder).is_ok(), "{folder}");
        }
        for folder in ["", "bootflash", "bootflash:a b/", "x;reload:", "bootflash:../", "x\n:", "-rf/"] {
            assert!(Folder::try_from(folder).is_err(), "{folder}");
        }
    }
}
