//! Writing archives: the same files always give the same bytes.

use std::io::{self, Write};

use flate2::Compression;
use flate2::write::GzEncoder;

use super::NamedBytes;

/// The files of one Virtual Account, one a product instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VirtualAccountFiles {
    pub virtual_account: String,
    /// `UD_VA_….tar.gz`.
    pub archive_name: String,
    /// Name (`dev_….txt`) and bytes.
    pub files: Vec<NamedBytes>,
}

/// What one `UD_SA_….tar.gz` holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountArchive {
    pub smart_account: String,
    /// Stands as `uuid` behind `Created-By`.
    pub creator: String,
    pub virtual_accounts: Vec<VirtualAccountFiles>,
}

impl AccountArchive {
    /// The archive: `manifest.mf` first, then the Virtual Accounts in the order of their names.
    pub fn write(&self) -> io::Result<Vec<u8>> {
        let mut virtual_accounts: Vec<&VirtualAccountFiles> = self.virtual_accounts.iter().collect();
        virtual_accounts.sort_by(|a, b| a.archive_name.cmp(&b.archive_name));
        let mut members = vec![("manifest.mf".to_owned(), self.manifest(&virtual_accounts).into_bytes())];
        for one in virtual_accounts {
            let mut files = one.files.clone();
            files.sort_by(|a, b| a.0.cmp(&b.0));
            members.push((one.archive_name.clone(), gzip(&tar(&files)?)?));
        }
        gzip(&tar(&members)?)
    }

    /// The ids of the accounts are not known outside of Cisco and stay empty, as in the sample.
    fn manifest(&self, virtual_accounts: &[&VirtualAccountFiles]) -> String {
        let mut manifest = format!(
            "Manifest-Version: 1.0\nCreated-By: \"{{\\\"uuid\\\": \\\"{}\\\"}}\"\nSmart-Account: {}\nSmart-Account-ID:\n",
            line(&self.creator),
            line(&self.smart_account)
        );
        for one in virtual_accounts {
            manifest.push_str(&format!(
                "\nName: /{}\nSpecification-VA: {}\nSpecification-VA-ID: \n",
                line(&one.archive_name),
                line(&one.virtual_account)
            ));
        }
        manifest
    }
}

/// An account's name must not begin a line of its own.
fn line(text: &str) -> String {
    text.chars().map(|character| if character.is_control() { ' ' } else { character }).collect()
}

/// A tar of plain files in the order given, without owner and time.
///
/// Fails on a name that no tar can hold (absolute, or with `..`).
pub fn tar(files: &[NamedBytes]) -> io::Result<Vec<u8>> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, bytes) in files {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Regular);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_size(bytes.len() as u64);
        builder.append_data(&mut header, name, bytes.as_slice())?;
    }
    builder.into_inner()
}

/// A gzip stream without name and time.
pub fn gzip(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut stream = GzEncoder::new(Vec::with_capacity(bytes.len() / 8 + 64), Compression::default());
    stream.write_all(bytes)?;
    stream.finish()
}
