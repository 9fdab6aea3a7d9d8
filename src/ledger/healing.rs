//! What opening mended.

use std::fmt;
use std::path::PathBuf;

/// What was mended while opening; to be told to the operator once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Healing {
    /// The last batch was never confirmed; it was cut away.
    TornTail { segment: u64, after_seq: u64, events_bytes: u64, objects_bytes: u64 },
    /// The disk did not keep a batch that had been confirmed. What was left of it is in `kept`.
    ConfirmedBatchLost { batch: u64, kept: PathBuf },
    /// sled's snapshots were unreadable; its log was enough.
    SnapshotsMovedAway { dir: PathBuf },
    /// A seal had not come to its end and was taken back; the segment goes on growing.
    SealUndone { segment: u64 },
    /// A seal had come to its end but for removing the raw files.
    SealFinished { segment: u64 },
    /// The register was made anew from the journal; what was there before, if anything, was set aside.
    RegisterRebuilt { cause: String, set_aside: Option<PathBuf> },
}

impl fmt::Display for Healing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Healing::TornTail { segment, after_seq, events_bytes, objects_bytes } => write!(
                f,
                "segment {segment}: cut an unconfirmed batch after batch {after_seq} \
                 ({events_bytes} bytes of events, {objects_bytes} of objects)"
            ),
            Healing::ConfirmedBatchLost { batch, kept } => write!(
                f,
                "LOST: batches up to {batch} had been confirmed, and the disk did not keep the last of them; what is left \
                 is in {}; check the disk, and poll and import again",
                kept.display()
            ),
            Healing::SnapshotsMovedAway { dir } => {
                write!(f, "register {}: unreadable snapshots moved away; nothing is lost", dir.display())
            }
            Healing::SealUndone { segment } => write!(f, "segment {segment}: took an unfinished seal back"),
            Healing::SealFinished { segment } => write!(f, "segment {segment}: finished its seal"),
            Healing::RegisterRebuilt { cause, set_aside } => {
                write!(f, "the register was made anew from the journal ({cause})")?;
                match set_aside {
                    Some(dir) => write!(f, "; the old one is {}", dir.display()),
                    None => Ok(()),
                }
            }
        }
    }
}
