//! The files that are ours on a device: their names, and the only way to delete one.
//!
//! Nothing here takes a name from outside: what is not `slpc-<id>.xml` cannot be named, so it cannot
//! be written over or deleted.

use std::fmt;

use ring::rand::{SecureRandom, SystemRandom};
use tokio::io::{AsyncRead, AsyncWrite};

use super::Error;
use super::shell::Shell;

const DELETE: &str = "delete our own file";

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

/// Deletes a file of ours by the command line, without a question.
pub async fn delete<S: AsyncRead + AsyncWrite + Unpin>(
    shell: &mut Shell<S>,
    folder: &Folder,
    file: &OwnFile,
) -> Result<(), Error> {
    let path = file.within(folder);
    let mut refused = Error::Ours { step: DELETE, cause: "no command is known".to_owned() };
    for (before, behind) in shell.manner().delete {
        match shell.run(format!("{before}{path}{behind}").as_str()).await {
            Ok(_) => return Ok(()),
            Err(error @ Error::CommandRefused { .. }) => refused = error,
            Err(error) => return Err(error),
        }
    }
    Err(refused)
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
    fn folders_are_plain() {
        for folder in ["bootflash:", "/harddisk:/", "flash-1:", "harddisk:", "bootflash:/licences/"] {
            assert!(Folder::try_from(folder).is_ok(), "{folder}");
        }
        for folder in ["", "bootflash", "bootflash:a b/", "x;reload:", "bootflash:../", "x\n:", "-rf/"] {
            assert!(Folder::try_from(folder).is_err(), "{folder}");
        }
    }
}
