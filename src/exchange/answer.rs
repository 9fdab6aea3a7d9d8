//! Whatever the portal gave back: one file, or an archive of them.

use crate::domain::ack::{self, AnswerFile};

use super::archive::{self, ArchiveError, Limits, Member, flatten};

/// One file of an answer.
#[derive(Clone, Debug, PartialEq)]
pub struct AnswerItem {
    /// Its own name, without archives and folders before it. Still foreign: to match and show, not to open.
    pub name: String,
    /// The names of archives and folders that led to it, joined by `/`, itself last.
    pub path: String,
    /// Byte for byte what the device is to get.
    pub bytes: Vec<u8>,
    /// What it is, or a sentence why it is nothing for a device.
    pub read: Result<AnswerFile, String>,
}

/// Opens an answer: an `ACK_UD_SA_….tar.gz`, an `ACK_UD_VA_….tar.gz`, or one ACK, policy or code file.
///
/// An archive is refused as a whole when any part of it is; a file in it that is no answer is
/// an item with its reason.
pub fn open(name: &str, bytes: &[u8], limits: &Limits) -> Result<Vec<AnswerItem>, ArchiveError> {
    if !archive::is_archive(bytes) {
        return Ok(vec![item(name.to_owned(), bytes)]);
    }
    let members = archive::open(name, bytes, limits)?;
    let mut items: Vec<AnswerItem> = flatten(&members)
        .into_iter()
        .filter(|(_, member)| member.inside.is_none() && !is_manifest(member))
        .map(|(inside, member)| item(format!("{name}/{inside}"), &member.bytes))
        .collect();
    items.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(items)
}

fn item(path: String, bytes: &[u8]) -> AnswerItem {
    let name = path.rsplit(['/', '\\']).next().unwrap_or(&path).to_owned();
    AnswerItem { name, path, bytes: bytes.to_vec(), read: ack::read(bytes).map_err(|error| error.reason) }
}

/// The list of contents that archives of the portal begin with.
pub fn is_manifest(member: &Member) -> bool {
    member.name.rsplit('/').next().is_some_and(|name| name.ends_with("manifest.mf"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::archive::{gzip, tar};

    const ACK: &[u8] = b"<smartLicense><smartLicenseRumAck><data>[]</data></smartLicenseRumAck></smartLicense>";

    #[test]
    fn nested_answers_come_out_one_by_one() {
        let va = gzip(
            &tar(&[
                ("ACK_dev_9INVENTED01_t.txt".to_owned(), ACK.to_vec()),
                ("ACK_dev_9INVENTED02_t.txt".to_owned(), b"<smartLicense>".to_vec()),
            ])
            .unwrap(),
        )
        .unwrap();
        let sa = [("ACK_manifest.mf".to_owned(), b"x".to_vec()), ("ACK_UD_VA_t.tar.gz".to_owned(), va.clone())];
        let sa = gzip(&tar(&sa).unwrap()).unwrap();
        let items = open("ACK_UD_SA_t.tar.gz", &sa, &Limits::default()).unwrap();
        assert_eq!(items.len(), 2);
        assert_eq!(items[0].name, "ACK_dev_9INVENTED01_t.txt");
        assert_eq!(items[0].path, "ACK_UD_SA_t.tar.gz/ACK_UD_VA_t.tar.gz/ACK_dev_9INVENTED01_t.txt");
        assert_eq!(items[0].bytes, ACK);
        assert!(items[0].read.is_ok());
        assert!(items[1].read.as_ref().unwrap_err().contains("cut off"));
        assert_eq!(open("ACK_UD_VA_t.tar.gz", &va, &Limits::default()).unwrap().len(), 2);
    }

    #[test]
    fn a_single_file_is_one_item() {
        let items = open("folder/ACK_x.txt", ACK, &Limits::default()).unwrap();
        assert_eq!((items.len(), items[0].name.as_str()), (1, "ACK_x.txt"));
        assert!(items[0].read.is_ok());
        assert!(open("x", b"hello", &Limits::default()).unwrap()[0].read.is_err());
    }
}
