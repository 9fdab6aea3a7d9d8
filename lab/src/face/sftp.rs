//! The SFTP subsystem: files of the device's flash, read and written whole.

use std::collections::HashMap;
use std::sync::Arc;

use russh_sftp::protocol::{Attrs, Data, File, FileAttributes, Handle, Name, OpenFlags, Status, StatusCode};
use russh_sftp::server::StatusReply;

use crate::face::station::Station;
use crate::face::subsystem::Line;
use crate::operation::{Operation, Reply};

/// No file of licensing is near it.
const LARGEST: usize = 64 << 20;
const MOST_OPEN: usize = 64;

pub async fn speak(line: Line) {
    let Line { station, stream, .. } = line;
    russh_sftp::server::run(stream, Flash { station, open: HashMap::new(), next: 0 }).await;
}

struct Flash {
    station: Arc<Station>,
    open: HashMap<String, Open>,
    next: u64,
}

/// What a handle stands for.
enum Open {
    Reading(Vec<u8>),
    Writing {
        name: String,
        bytes: Vec<u8>,
    },
    /// Names not yet told.
    Listing(Vec<File>),
}

impl Flash {
    fn keep(&mut self, id: u32, open: Open) -> Result<Handle, StatusReply> {
        if self.open.len() >= MOST_OPEN {
            return Err(StatusCode::Failure.with_message("too many open files"));
        }
        self.next += 1;
        let handle = self.next.to_string();
        self.open.insert(handle.clone(), open);
        Ok(Handle { id, handle })
    }

    fn bytes(&self, path: &str) -> Result<Vec<u8>, StatusReply> {
        let name = self.station.spec.os.file(path);
        match name.map(|name| self.station.apply(Operation::ReadFile(name))) {
            Some(Reply::File(bytes)) => Ok(bytes),
            _ => Err(StatusCode::NoSuchFile.into()),
        }
    }

    fn attributes(&self, path: &str) -> Result<FileAttributes, StatusReply> {
        if self.station.spec.os.directory(path).is_some() {
            return Ok(FileAttributes { permissions: Some(0o040_755), ..FileAttributes::default() });
        }
        Ok(regular(self.bytes(path)?.len()))
    }
}

fn regular(size: usize) -> FileAttributes {
    FileAttributes { size: Some(size as u64), permissions: Some(0o100_644), ..FileAttributes::default() }
}

fn done(id: u32) -> Status {
    Status { id, status_code: StatusCode::Ok, error_message: String::new(), language_tag: String::new() }
}

impl russh_sftp::server::Handler for Flash {
    type Error = StatusReply;

    fn unimplemented(&self) -> StatusReply {
        StatusCode::OpUnsupported.into()
    }

    async fn open(
        &mut self,
        id: u32,
        filename: String,
        pflags: OpenFlags,
        _: FileAttributes,
    ) -> Result<Handle, StatusReply> {
        if !pflags.contains(OpenFlags::WRITE) {
            let bytes = self.bytes(&filename)?;
            return self.keep(id, Open::Reading(bytes));
        }
        let name = self.station.spec.os.file(&filename).ok_or(StatusReply::new(StatusCode::PermissionDenied))?;
        self.keep(id, Open::Writing { name, bytes: Vec::new() })
    }

    async fn read(&mut self, id: u32, handle: String, offset: u64, len: u32) -> Result<Data, StatusReply> {
        let Some(Open::Reading(bytes)) = self.open.get(&handle) else { return Err(StatusCode::Failure.into()) };
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
        let end = start.saturating_add(len as usize).min(bytes.len());
        if start == end {
            return Err(StatusCode::Eof.into());
        }
        Ok(Data { id, data: bytes[start..end].to_vec() })
    }

    async fn write(&mut self, id: u32, handle: String, offset: u64, data: Vec<u8>) -> Result<Status, StatusReply> {
        let Some(Open::Writing { bytes, .. }) = self.open.get_mut(&handle) else {
            return Err(StatusCode::Failure.into());
        };
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let end = start.saturating_add(data.len());
        if end > LARGEST {
            return Err(StatusCode::Failure.with_message("the file is too large"));
        }
        bytes.resize(bytes.len().max(end), 0);
        bytes[start..end].copy_from_slice(&data);
        Ok(done(id))
    }

    /// A file that was written is stored when it is closed.
    async fn close(&mut self, id: u32, handle: String) -> Result<Status, StatusReply> {
        match self.open.remove(&handle) {
            Some(Open::Writing { name, bytes }) => match self.station.apply(Operation::WriteFile { name, bytes }) {
                Reply::Done => Ok(done(id)),
                _ => Err(StatusCode::Failure.with_message("No space left on device")),
            },
            Some(Open::Reading(_) | Open::Listing(_)) => Ok(done(id)),
            None => Err(StatusCode::Failure.into()),
        }
    }

    async fn lstat(&mut self, id: u32, path: String) -> Result<Attrs, StatusReply> {
        self.attributes(&path).map(|attrs| Attrs { id, attrs })
    }

    async fn stat(&mut self, id: u32, path: String) -> Result<Attrs, StatusReply> {
        self.attributes(&path).map(|attrs| Attrs { id, attrs })
    }

    async fn fstat(&mut self, id: u32, handle: String) -> Result<Attrs, StatusReply> {
        match self.open.get(&handle) {
            Some(Open::Reading(bytes) | Open::Writing { bytes, .. }) => Ok(Attrs { id, attrs: regular(bytes.len()) }),
            Some(Open::Listing(_)) | None => Err(StatusCode::Failure.into()),
        }
    }

    /// Clients set times and modes of what they wrote; flash keeps none.
    async fn setstat(&mut self, id: u32, _: String, _: FileAttributes) -> Result<Status, StatusReply> {
        Ok(done(id))
    }

    async fn fsetstat(&mut self, id: u32, _: String, _: FileAttributes) -> Result<Status, StatusReply> {
        Ok(done(id))
    }

    async fn opendir(&mut self, id: u32, path: String) -> Result<Handle, StatusReply> {
        if self.station.spec.os.directory(&path).is_none() {
            return Err(StatusCode::NoSuchFile.into());
        }
        let Reply::State(state) = self.station.apply(Operation::State) else { return Err(StatusCode::Failure.into()) };
        let file = |name: &String| Some(File::new(name.clone(), regular(self.bytes(name).ok()?.len())));
        let files = state.files.iter().filter_map(file).collect();
        self.keep(id, Open::Listing(files))
    }

    async fn readdir(&mut self, id: u32, handle: String) -> Result<Name, StatusReply> {
        match self.open.get_mut(&handle) {
            Some(Open::Listing(files)) if !files.is_empty() => Ok(Name { id, files: std::mem::take(files) }),
            Some(Open::Listing(_)) => Err(StatusCode::Eof.into()),
            Some(Open::Reading(_) | Open::Writing { .. }) | None => Err(StatusCode::Failure.into()),
        }
    }

    async fn remove(&mut self, id: u32, filename: String) -> Result<Status, StatusReply> {
        let name = self.station.spec.os.file(&filename);
        match name.map(|name| self.station.apply(Operation::DeleteFile(name))) {
            Some(Reply::Done) => Ok(done(id)),
            _ => Err(StatusCode::NoSuchFile.into()),
        }
    }

    async fn realpath(&mut self, id: u32, path: String) -> Result<Name, StatusReply> {
        let path = if path == "." || path.is_empty() { "/".to_string() } else { path };
        Ok(Name { id, files: vec![File::dummy(path)] })
    }
}
