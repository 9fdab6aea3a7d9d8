//! One process at a time.

use std::fs::{File, TryLockError};
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::error::Error;

/// The held `LOCK` of a ledger folder; released when dropped, and by the kernel if the process dies.
///
/// **stored**: the file holds the owner's process id in decimal, for people; what counts is the lock.
#[derive(Debug)]
pub(super) struct Lock {
    file: File,
}

impl Lock {
    pub(super) const NAME: &str = "LOCK";

    pub(super) fn take(dir: &Path) -> Result<Lock, Error> {
        let path = dir.join(Lock::NAME);
        let file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(Error::io("open", &path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut pid = String::new();
                // A pid that cannot be read is only a poorer message.
                let _ = (&file).take(20).read_to_string(&mut pid);
                return Err(Error::Held { dir: dir.to_owned(), pid: pid.trim().parse().ok() });
            }
            Err(TryLockError::Error(e)) => return Err(Error::io("lock", &path)(e)),
        }
        let pid = format!("{}\n", std::process::id());
        file.set_len(0).and_then(|()| file.write_all_at(pid.as_bytes(), 0)).map_err(Error::io("write", &path))?;
        Ok(Lock { file })
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // The pid is only meant while the lock is held; the kernel releases the lock in any case.
        let _ = self.file.set_len(0);
        let _ = self.file.unlock();
    }
}
