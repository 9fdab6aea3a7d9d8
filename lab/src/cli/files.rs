//! Files on flash by command: list, read, hash, delete.

use std::fmt::Write as _;

use crate::cli::{Work, ios_xe, ios_xr, nx_os};
use crate::operation::{Operation, Reply};
use crate::spec::Spec;
use crate::state::State;
use crate::system::System;

/// What `dir` shows.
pub struct Listing<'a> {
    pub system: &'a str,
    pub files: Vec<(String, usize)>,
    pub total: u64,
    pub free: u64,
    pub now: i64,
}

pub fn dir(spec: &Spec, state: &State, path: &str, work: &mut Work<'_>) -> String {
    let system = spec.os.directory(path);
    let wanted = spec.os.file(path);
    let shown = |name: &String| match system {
        // The device's own name of a file tells its place: only on IOS XR does one begin with another file system.
        Some(system) => name.strip_prefix(system).map(str::to_string).or_else(|| {
            let elsewhere = spec.os == System::IosXr && (name.contains(':') || system != spec.os.file_systems()[0]);
            (!elsewhere).then(|| name.clone())
        }),
        None => (wanted.as_ref() == Some(name)).then(|| name.clone()),
    };
    let mut files = Vec::new();
    for name in &state.files {
        if let Some(shown) = shown(name)
            && let Reply::File(bytes) = work(Operation::ReadFile(name.clone()))
        {
            files.push((shown, bytes.len()));
        }
    }
    if system.is_none() && files.is_empty() {
        return missing(spec.os, "opening", path);
    }
    let system = system.unwrap_or(spec.os.file_systems()[0]);
    let listing = Listing { system, files, total: spec.flash, free: state.free, now: state.now };
    match spec.os {
        System::IosXe => ios_xe::directory(spec, &listing),
        System::IosXr => ios_xr::directory(spec, &listing),
        System::NxOs => nx_os::directory(spec, &listing),
    }
}

/// The bytes of a file, or what the system says instead.
fn bytes(spec: &Spec, path: &str, work: &mut Work<'_>) -> Result<Vec<u8>, String> {
    let name = spec.os.file(path).ok_or_else(|| missing(spec.os, "opening", path))?;
    match work(Operation::ReadFile(name)) {
        Reply::File(bytes) => Ok(bytes),
        _ => Err(missing(spec.os, "opening", path)),
    }
}

/// The file's text, an end of line put behind it as a prompt needs one.
pub fn read(spec: &Spec, path: &str, work: &mut Work<'_>) -> String {
    match bytes(spec, path, work) {
        Ok(bytes) => {
            let mut text = String::from_utf8_lossy(&bytes).into_owned();
            if !text.ends_with('\n') {
                text.push('\n');
            }
            text
        }
        Err(said) => said,
    }
}

pub fn hash(spec: &Spec, path: &str, work: &mut Work<'_>) -> String {
    let bytes = match bytes(spec, path, work) {
        Ok(bytes) => bytes,
        Err(said) => return said,
    };
    let hash = md5::compute(&bytes);
    match spec.os {
        System::IosXe => {
            let mut text = ".".repeat(bytes.len() / 8192 + 1);
            let _ = write!(text, "Done!\nverify /md5 ({path}) = {hash:x}\n\n");
            text
        }
        System::IosXr | System::NxOs => format!("{hash:x}\n"),
    }
}

pub fn delete(spec: &Spec, path: &str, work: &mut Work<'_>) -> String {
    let gone = spec.os.file(path).map(|name| work(Operation::DeleteFile(name)));
    match gone {
        Some(Reply::Done) => String::new(),
        _ => missing(spec.os, "deleting", path),
    }
}

/// The question before a file is deleted.
pub fn question(os: System, path: &str) -> String {
    match os {
        System::IosXe | System::IosXr => format!("Delete {path}? [confirm]"),
        System::NxOs => format!("Do you want to delete \"{path}\" ? (yes/no/abort)   [y] "),
    }
}

fn missing(os: System, doing: &str, path: &str) -> String {
    match os {
        System::IosXe => format!("%Error {doing} {path} (No such file or directory)\n"),
        System::IosXr => format!("% Error {doing} {path} : No such file or directory\n"),
        System::NxOs => "No such file or directory\n".to_string(),
    }
}
