//! `UD_SA_….tar.gz` as it grows: one Smart Account, never more of it in memory than one file.

use std::fs::File;
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};

use super::write::TarGzWriter;

/// The archive of one Smart Account. Its Virtual Accounts are packed one behind the other into a file that nobody else
/// sees, because a tar wants to know sizes first.
pub struct AccountArchive {
    smart_account: String,
    creator: String,
    aside: File,
    done: Vec<VirtualAccount>,
    open: Option<(VirtualAccount, TarGzWriter<BufWriter<File>>)>,
}

/// One `UD_VA_….tar.gz`, and where in the file aside it is.
struct VirtualAccount {
    name: String,
    archive_name: String,
    start: u64,
    size: u64,
}

impl AccountArchive {
    /// `creator` stands as `uuid` behind `Created-By`. `aside` is empty and ours alone.
    pub fn new(smart_account: &str, creator: &str, aside: File) -> Self {
        let (smart_account, creator) = (smart_account.to_owned(), creator.to_owned());
        AccountArchive { smart_account, creator, aside, done: Vec::new(), open: None }
    }

    pub fn smart_account(&self) -> &str {
        &self.smart_account
    }

    /// The Virtual Account that files are added to.
    pub fn virtual_account(&self) -> Option<&str> {
        self.open.as_ref().map(|(account, _)| account.name.as_str())
    }

    /// Ends the Virtual Account before, and begins the next. The order of beginning is the order in the archive.
    pub fn begin(&mut self, virtual_account: &str, archive_name: &str) -> io::Result<()> {
        self.end()?;
        let start = self.aside.stream_position()?;
        let (name, archive_name) = (virtual_account.to_owned(), archive_name.to_owned());
        // Shares the position with the file it comes from.
        let writer = TarGzWriter::gz(BufWriter::new(self.aside.try_clone()?));
        self.open = Some((VirtualAccount { name, archive_name, start, size: 0 }, writer));
        Ok(())
    }

    /// One file (`dev_….txt`) of the Virtual Account that was begun.
    pub fn add(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let (_, writer) = self.open.as_mut().ok_or_else(|| io::Error::other("no Virtual Account was begun"))?;
        writer.add(name, bytes.len() as u64, &mut &*bytes)
    }

    /// Writes the archive: `manifest.mf` first, then the Virtual Accounts.
    pub fn write<W: Write>(mut self, to: W) -> io::Result<W> {
        self.end()?;
        let manifest = self.manifest();
        let mut writer = TarGzWriter::gz_stored(to);
        writer.add("manifest.mf", manifest.len() as u64, &mut manifest.as_bytes())?;
        for one in &self.done {
            self.aside.seek(SeekFrom::Start(one.start))?;
            writer.add(&one.archive_name, one.size, &mut (&self.aside).take(one.size))?;
        }
        writer.finish_gz()
    }

    fn end(&mut self) -> io::Result<()> {
        if let Some((mut account, writer)) = self.open.take() {
            writer.finish_gz()?.flush()?;
            account.size = self.aside.stream_position()? - account.start;
            self.done.push(account);
        }
        Ok(())
    }

    /// The ids of the accounts are not known outside of Cisco and stay empty, as in the sample.
    fn manifest(&self) -> String {
        let mut manifest = format!(
            "Manifest-Version: 1.0\nCreated-By: \"{{\\\"uuid\\\": \\\"{}\\\"}}\"\nSmart-Account: {}\nSmart-Account-ID:\n",
            line(&self.creator),
            line(&self.smart_account)
        );
        for one in &self.done {
            manifest.push_str(&format!(
                "\nName: /{}\nSpecification-VA: {}\nSpecification-VA-ID: \n",
                line(&one.archive_name),
                line(&one.name)
            ));
        }
        manifest
    }
}

/// An account's name must not begin a line of its own.
fn line(text: &str) -> String {
    text.chars().map(|character| if character.is_control() { ' ' } else { character }).collect()
}
