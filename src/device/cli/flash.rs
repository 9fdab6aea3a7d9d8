//! Files of ours on a device's flash, by its command line: saved, got, put, deleted, and cleared away where an earlier
//! session left them.

use super::{Cli, Console, FETCH};
use crate::device::budget::Share;
use crate::device::dialect::{Blank, filled};
use crate::device::files::{about_copy, no_way_off};
use crate::device::flash::{self, FileLimits, Md5};
use crate::device::own_file::{Folder, OwnFile};
use crate::device::shell::Command;
use crate::device::{Complaint, Error, Witness, inline, witnessed};
use crate::domain::event::Write;
use crate::domain::settings::{FileWay, Task};
use crate::domain::show_license::{self, ComplaintKind};

/// What a save needs at most, as far as is known: "a few MB".
const MOST_SAVED: u64 = 8 << 20;

/// A file that the device saved, with its share of the memory budget.
pub(super) struct Saved {
    pub bytes: Vec<u8>,
    pub share: Share,
    pub problems: Vec<String>,
}

impl Cli {
    /// The folder for our files: the first of the system's that the device knows, with space enough. What earlier
    /// sessions left in it goes.
    pub(super) async fn folder<W: Witness>(
        &mut self,
        step: &'static str,
        needed: u64,
        witness: &mut W,
    ) -> Result<Folder, Error> {
        let (folder, listing) = self.find_folder(step).await?;
        self.clear_away(&folder, &listing, witness).await?;
        flash::require_space(step, &listing, needed)?;
        Ok(folder)
    }

    /// The first of the system's folders that the device knows, and what it lists in it; reads only.
    pub(super) async fn find_folder(&mut self, step: &'static str) -> Result<(Folder, String), Error> {
        let mut refused = None;
        for name in self.dialect.folders() {
            let folder = Folder::try_from(*name).map_err(|error| Error::Ours { step, cause: error.to_string() })?;
            match self.climb(Task::Space, &[Blank::Folder(&folder)]).await {
                Ok(listing) if show_license::complaint(&listing).is_some_and(|c| c.kind == ComplaintKind::File) => {
                    let said = listing.trim().chars().take(200).collect();
                    refused = Some(Error::FileRefused { step, path: (*name).to_owned(), said });
                }
                Ok(listing) => return Ok((folder, listing)),
                Err(error @ Error::CommandRefused { .. }) => refused = Some(error),
                Err(error) => return Err(error),
            }
        }
        Err(refused.unwrap_or_else(|| Error::Ours { step, cause: "no folder is known".to_owned() }))
    }

    /// Deletes what is listed, has a name of ours and is on record as written by us: another collector's files have
    /// such names too.
    async fn clear_away<W: Witness>(&mut self, folder: &Folder, listing: &str, witness: &mut W) -> Result<(), Error> {
        let written = std::mem::take(&mut self.written);
        for file in flash::own_files(listing) {
            if !written.iter().any(|known| known.folder == *folder && known.file == file) {
                continue;
            }
            match self.delete(folder, &file, witness).await {
                // What cannot be deleted is on record, and hinders nothing.
                Ok(()) | Err(Error::CommandRefused { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Saves to a file of ours, gets it, deletes it. `Ok(None)`: the device has nothing to save.
    pub(super) async fn save_and_get<W: Witness>(
        &mut self,
        task: Task,
        blank: Option<Blank<'_>>,
        witness: &mut W,
    ) -> Result<Option<Saved>, Error> {
        let folder = self.folder(FETCH, MOST_SAVED, witness).await?;
        let file = OwnFile::fresh()?;
        let path = file.within(&folder);
        let blanks: Vec<Blank<'_>> = blank.into_iter().chain([Blank::File(&folder, &file)]).collect();
        let write = match blank {
            Some(Blank::Report(_)) => Write::SaveReport,
            Some(Blank::Days(_) | Blank::Folder(_) | Blank::File(..)) | None => Write::SaveUsage,
        };
        let detail = self.about(task, &blanks);
        let saved = witnessed(witness, write, &detail, async {
            let answer = self.climb(task, &blanks).await?;
            match show_license::complaint(&answer) {
                None => Ok(true),
                // Nothing to save is a state, not a failure.
                Some(complaint) if complaint.text.to_ascii_lowercase().contains("not found") => Ok(false),
                Some(complaint) => Err(Error::CommandRefused {
                    command: format!("save to {path}"),
                    said: complaint.text,
                    complaint: Complaint::Failed,
                }),
            }
        })
        .await;
        match saved {
            Ok(true) => {}
            Ok(false) => return Ok(None),
            Err(error) => {
                return Err(self.tidy(error, &folder, &file, witness).await);
            }
        }
        let got = self.get(&folder, &file).await;
        if let Err(refused @ Error::LoginRefused { .. }) = got {
            // Not even to tidy up: the next session does, once a person has mended it.
            return Err(refused);
        }
        let mut problems = Vec::new();
        // Also when it could not be got: what is ours does not stay.
        if let Err(error) = self.delete(&folder, &file, witness).await {
            match error {
                Error::CommandRefused { .. } | Error::NoLeave { .. } => {
                    problems.push(format!("{path} stays on the device: {error}"));
                }
                error => return Err(graver(got.err(), error)),
            }
        }
        let (bytes, mut share) = got?;
        share.keep(bytes.len() as u64);
        Ok(Some(Saved { bytes, share, problems }))
    }

    /// Gets a file of ours, by SCP, SFTP or off the terminal.
    async fn get(&mut self, folder: &Folder, file: &OwnFile) -> Result<(Vec<u8>, Share), Error> {
        let listing = self.climb(Task::Space, &[Blank::File(folder, file)]).await.unwrap_or_default();
        let size = flash::file_size(&listing, file.name());
        if let Some(size) = size.filter(|size| *size > self.limits.body) {
            let path = file.within(folder);
            return Err(Error::Ours {
                step: FETCH,
                cause: format!("{path} has {size} bytes, more than body_limit ({})", self.limits.body),
            });
        }
        let share = self.budget.share(size.unwrap_or(self.limits.body)).await;
        let limits = FileLimits { size: self.limits.body, ..FileLimits::default() };
        let mut tried = Vec::new();
        let inline_first = self.learned.get == Some(FileWay::Inline);
        if !inline_first
            && let Some(bytes) = self.files.get(folder, file, limits, &mut self.learned, &mut tried).await?
        {
            return Ok((bytes, share));
        }
        match self.inline(folder, file, limits).await {
            Ok(bytes) => {
                self.learned.get = Some(FileWay::Inline);
                Ok((bytes, share))
            }
            Err(error @ (Error::CommandRefused { .. } | Error::FileRefused { .. } | Error::Misbehaved { .. })) => {
                tried.push(format!("{}: {error}", FileWay::Inline));
                if inline_first
                    && let Some(bytes) = self.files.get(folder, file, limits, &mut self.learned, &mut tried).await?
                {
                    return Ok((bytes, share));
                }
                Err(no_way_off(&tried))
            }
            Err(error) => Err(error),
        }
    }

    /// The file as it is printed, taken only if it has the MD5 that the device prints of it.
    async fn inline(&mut self, folder: &Folder, file: &OwnFile, limits: FileLimits) -> Result<Vec<u8>, Error> {
        let blank = [Blank::File(folder, file)];
        let told = self.climb(Task::Digest, &blank).await?;
        let Some(digest) = Md5::told(&told) else {
            let said = told.chars().take(200).collect();
            return Err(Error::FileRefused { step: FETCH, path: file.within(folder), said });
        };
        let learned = self.learned.commands.get(&Task::Print).cloned();
        let ladder: Vec<String> =
            self.dialect.ladder(Task::Print, learned.as_deref()).into_iter().map(str::to_owned).collect();
        let mut printed = 0;
        for line in &ladder {
            let command = filled(line, &blank);
            let raw = match &mut self.console {
                Console::Shell(_) | Console::Lost => {
                    let command = Command::new(&command).within(limits.time).at_most(limits.size.saturating_mul(2));
                    self.shell().await?.run_raw(command).await?
                }
                Console::NxApi(_) | Console::Played => match self.say(&command, None).await {
                    Ok(text) => text.into_bytes(),
                    Err(Error::CommandRefused { .. }) => continue,
                    Err(error) => return Err(error),
                },
            };
            printed = raw.len();
            let proved = tokio::task::spawn_blocking(move || inline::prove(&raw, digest)).await.ok().flatten();
            if let Some(bytes) = proved {
                if ladder.len() > 1 {
                    self.learned.commands.insert(Task::Print, line.clone());
                }
                return Ok(bytes);
            }
        }
        Err(Error::Misbehaved {
            step: FETCH,
            expected: "the text whose MD5 the device printed",
            got: format!("{printed} bytes that no known change of line ends turns into it"),
        })
    }

    /// Puts a file of ours; of one that came in part nothing stays.
    pub(super) async fn put<W: Witness>(
        &mut self,
        folder: &Folder,
        file: &OwnFile,
        bytes: &[u8],
        witness: &mut W,
    ) -> Result<(), Error> {
        let limits = FileLimits { size: self.limits.body, ..FileLimits::default() };
        let putting = self.files.put(folder, file, bytes, limits, &mut self.learned);
        let put = witnessed(witness, Write::CopyFile, &about_copy(&file.within(folder), bytes), putting).await;
        match put {
            Ok(()) => Ok(()),
            Err(error) => Err(self.tidy(error, folder, file, witness).await),
        }
    }

    /// After a write that failed: a file may be there, whole or in part. What cannot be tidied up now is on record for
    /// the next session. Returns the failure to tell.
    async fn tidy<W: Witness>(&mut self, failure: Error, folder: &Folder, file: &OwnFile, witness: &mut W) -> Error {
        let may_be_there = match &failure {
            Error::CommandRefused { complaint, .. } => *complaint == Complaint::Failed,
            Error::LoginRefused { .. } | Error::Ours { .. } => false,
            _ => true,
        };
        if !may_be_there {
            return failure;
        }
        let tidied = match self.climb(Task::Space, &[Blank::File(folder, file)]).await {
            Ok(listing) if lists(&listing, file) => self.delete(folder, file, witness).await,
            Ok(_) => Ok(()),
            Err(error) => Err(error),
        };
        match tidied {
            Ok(()) => failure,
            Err(error) => graver(Some(failure), error),
        }
    }

    pub(super) async fn delete<W: Witness>(
        &mut self,
        folder: &Folder,
        file: &OwnFile,
        witness: &mut W,
    ) -> Result<(), Error> {
        let detail = self.about(Task::Delete, &[Blank::File(folder, file)]);
        witnessed(witness, Write::DeleteOwnFile, &detail, async {
            self.climb(Task::Delete, &[Blank::File(folder, file)]).await.map(drop)
        })
        .await
    }
}

/// Does the device list the file?
pub(super) fn lists(listing: &str, file: &OwnFile) -> bool {
    flash::own_files(listing).any(|listed| listed == *file)
}

/// Of two failures the one to tell: the first, unless the other is a secret that was refused and must be remembered.
pub(super) fn graver(first: Option<Error>, then: Error) -> Error {
    match (first, then) {
        (_, refused @ Error::LoginRefused { .. }) => refused,
        (Some(first), _) => first,
        (None, then) => then,
    }
}
