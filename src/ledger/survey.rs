//! What lies in the folder: which segments, and what a half-done seal left behind.

use std::path::{Path, PathBuf};

use super::Healing;
use super::checkpoint::CHECKPOINT;
use super::disk;
use super::error::{Error, Place};
use super::heads;
use super::index::Index;
use super::sealed::{SEALED_EVENTS, SEALED_PACK, Seal, Sealed};
use super::segment::{self, EVENTS, PACK};
use crate::domain::digest::Sha256;

/// The segments as found. Making one changes nothing.
#[derive(Debug)]
pub(super) struct Survey {
    pub sealed: Vec<Sealed>,
    /// The number of the segment that grows; its folder may not be there yet.
    pub open: u64,
    /// Files that a seal before its last step left in the open segment.
    pub undo: Vec<PathBuf>,
    /// An empty folder that such a seal made for the next segment.
    pub spare: Option<u64>,
    /// Files that a seal after its last step did not come to remove.
    pub finish: Vec<PathBuf>,
}

impl Survey {
    pub(super) fn of(root: &Path) -> Result<Survey, Error> {
        let numbers = segment::numbers(root)?;
        let mut survey = Survey { sealed: Vec::new(), open: 1, undo: Vec::new(), spare: None, finish: Vec::new() };
        for (index, &number) in numbers.iter().enumerate() {
            let dir = segment::folder(root, number);
            match Sealed::open(root, number)? {
                Some(sealed) => {
                    survey.follows(&sealed)?;
                    survey.finish.extend(present(&dir, &[EVENTS, PACK])?);
                    survey.sealed.push(sealed);
                    survey.open = number + 1;
                }
                None => {
                    survey.open = number;
                    survey.undo = present(&dir, &[SEALED_EVENTS, SEALED_PACK, Index::NAME, CHECKPOINT])?;
                    match numbers[index + 1..] {
                        [] => {}
                        [next] if is_spare(&segment::folder(root, next))? => survey.spare = Some(next),
                        _ => {
                            let file = dir.join(Seal::NAME);
                            return Err(Error::damaged(
                                &file,
                                Place::Whole,
                                "it is missing, and later segments are there",
                            ));
                        }
                    }
                    break;
                }
            }
        }
        Ok(survey)
    }

    fn follows(&self, next: &Sealed) -> Result<(), Error> {
        let seal = &next.seal;
        let file = next.dir.join(Seal::NAME);
        let Some(before) = self.sealed.last() else {
            if seal.segment == 1 && (seal.first_seq != 1 || seal.prev != Sha256::ZERO) {
                return Err(Error::damaged(&file, Place::Whole, "the first segment does not begin the chain"));
            }
            return Ok(());
        };
        if seal.prev != before.seal.checkpoint || Some(seal.first_seq) != before.seal.last_seq.checked_add(1) {
            return Err(Error::damaged(&file, Place::Whole, "it does not follow the segment before"));
        }
        Ok(())
    }

    /// Takes back or finishes what a seal left half-done.
    pub(super) fn tidy(&mut self, root: &Path, healings: &mut Vec<Healing>) -> Result<(), Error> {
        if !self.undo.is_empty() || self.spare.is_some() {
            for file in self.undo.drain(..) {
                disk::remove(&file)?;
            }
            disk::sync_dir(&segment::folder(root, self.open))?;
            if let Some(spare) = self.spare.take() {
                let dir = segment::folder(root, spare);
                std::fs::remove_dir_all(&dir).map_err(Error::io("remove", &dir))?;
                disk::sync_dir(disk::parent(&dir))?;
            }
            healings.push(Healing::SealUndone { segment: self.open });
        }
        if !self.finish.is_empty() {
            for file in self.finish.drain(..) {
                disk::remove(&file)?;
                disk::sync_dir(disk::parent(&file))?;
            }
            healings.push(Healing::SealFinished { segment: self.open.saturating_sub(1) });
        }
        heads::mend(root, self.sealed.iter().map(|sealed| &sealed.seal))
    }
}

/// Those of `names`, and of anything written aside, that are in the folder.
fn present(dir: &Path, names: &[&str]) -> Result<Vec<PathBuf>, Error> {
    let mut found: Vec<PathBuf> = names.iter().map(|name| dir.join(name)).filter(|file| file.exists()).collect();
    for entry in std::fs::read_dir(dir).map_err(Error::io("list", dir))? {
        let path = entry.map_err(Error::io("list", dir))?.path();
        if path.extension().is_some_and(|extension| extension == "new") {
            found.push(path);
        }
    }
    Ok(found)
}

/// Holds nothing but empty files?
fn is_spare(dir: &Path) -> Result<bool, Error> {
    for entry in std::fs::read_dir(dir).map_err(Error::io("list", dir))? {
        let entry = entry.map_err(Error::io("list", dir))?;
        let metadata = entry.metadata().map_err(Error::io("look at", &entry.path()))?;
        if !metadata.is_file() || metadata.len() > 0 {
            return Ok(false);
        }
    }
    Ok(true)
}
