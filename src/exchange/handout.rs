//! What a person carries to devices without a way in: one file for each, and a sheet that says what to type.

use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use crate::domain::digest::Sha256;
use crate::domain::instance::{DeviceName, Site, Udi};

/// The sheet.
pub const COMMANDS: &str = "COMMANDS.txt";

/// Everything for one site.
#[derive(Clone, Debug, PartialEq)]
pub struct Handout {
    pub site: Site,
    pub made: Timestamp,
    pub parcels: Vec<Parcel>,
}

/// One file for one device.
#[derive(Clone, Debug, PartialEq)]
pub struct Parcel {
    /// Its name in the folder, and on the device.
    pub file: String,
    pub bytes: Vec<u8>,
    pub object: Sha256,
    pub device: Option<DeviceName>,
    pub udi: Udi,
    /// What it carries.
    pub parts: Vec<String>,
    pub commands: Vec<Command>,
}

/// What to type on one system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// `ios-xe`, `ios-xr`, `nx-os`.
    pub system: &'static str,
    /// Where the file is put.
    pub folder: String,
    pub line: String,
    /// How sure that line is.
    pub mark: &'static str,
}

/// The folder could not be written.
#[derive(Debug, thiserror::Error)]
#[error("{}: cannot {step}", path.display())]
pub struct HandoutError {
    step: &'static str,
    path: PathBuf,
    #[source]
    cause: io::Error,
}

/// A name that every file system takes and every command line: the device's, and the start of the file's hash.
pub fn file_name(device: &str, object: &Sha256) -> String {
    let safe = |c: char| if c.is_ascii_alphanumeric() || c == '-' || c == '_' { c } else { '_' };
    let device: String = device.chars().take(40).map(safe).collect();
    format!("{device}-{}.txt", object.short())
}

/// Writes the folder under `parent`, whole or not at all, and returns its path.
pub fn write(handout: &Handout, parent: &Path) -> Result<PathBuf, HandoutError> {
    let time = handout.made.strftime("%Y%m%dT%H%M%SZ");
    let site: String =
        handout.site.0.chars().map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' }).collect();
    let name = format!("answers-{}-{time}", if site.is_empty() { "no-site" } else { &site });
    at("create", parent, fs::create_dir_all(parent))?;
    let aside = parent.join(format!(".{name}.partial"));
    if aside.exists() {
        // Ours by its name: left over from a run that died while writing it.
        at("remove", &aside, fs::remove_dir_all(&aside))?;
    }
    at("create", &aside, fs::create_dir(&aside))?;
    let sheet = (COMMANDS.to_owned(), sheet(handout).into_bytes());
    let files = handout.parcels.iter().map(|parcel| (&parcel.file, &parcel.bytes)).chain([(&sheet.0, &sheet.1)]);
    for (file, bytes) in files {
        let path = aside.join(file);
        let written = OpenOptions::new().write(true).create_new(true).open(&path);
        at("write", &path, written.and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all())))?;
    }
    at("write", &aside, sync(&aside))?;
    let place = free(parent, &name);
    at("create", &place, fs::rename(&aside, &place))?;
    at("write", parent, sync(parent))?;
    Ok(place)
}

/// The name, or the next one that nothing has yet: two folders may be made within a second.
fn free(parent: &Path, name: &str) -> PathBuf {
    let mut place = parent.join(name);
    let mut next = 2;
    while place.exists() {
        place = parent.join(format!("{name}-{next}"));
        next += 1;
    }
    place
}

fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

fn at<T>(step: &'static str, path: &Path, done: io::Result<T>) -> Result<T, HandoutError> {
    done.map_err(|cause| HandoutError { step, path: path.to_owned(), cause })
}

fn sheet(handout: &Handout) -> String {
    let site =
        if handout.site.0.is_empty() { "devices without a site".to_owned() } else { format!("site {}", handout.site) };
    let mut text = format!(
        "Answers of Cisco for {site}, written {}\n\n\
         Each file is for one device alone: another one refuses it. Before typing, compare the\n\
         serial number. The files are signed; do not edit them, nor change their line ends.\n\
         `show license udi`     tells which device you are on.\n\
         `show license status`  must show a later \"Last ACK received\" afterwards. That the import\n\
         \x20                     says it succeeded proves nothing.\n",
        handout.made.strftime("%Y-%m-%d %H:%M UTC")
    );
    for parcel in &handout.parcels {
        let device = parcel.device.as_ref().map_or("not in the inventory", |device| &*device.0);
        let Udi { pid, sn, .. } = &parcel.udi;
        // Foreign words: nothing in them may move a terminal's cursor.
        let plain = |text: &str| text.chars().map(|c| if c.is_control() { '?' } else { c }).collect::<String>();
        let _ = write!(
            text,
            "\n{}   PID {}   SN {}\n  file     {}   ({})\n",
            plain(device),
            plain(pid),
            plain(sn),
            parcel.file,
            plain(&parcel.parts.join(", "))
        );
        for command in &parcel.commands {
            let _ = write!(
                text,
                "  {:<7}  copy the file to {}, then type\n             {}\n           {}\n",
                command.system, command.folder, command.line, command.mark
            );
        }
        let whom = parcel.device.as_ref().map_or_else(String::new, |device| format!(" --device {}", plain(&device.0)));
        let _ = writeln!(
            text,
            "  at home  slp-collector ack confirm {}{whom} --at TIME --note \"WHO, AND WHAT IT SHOWED\"",
            parcel.object.short()
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_there_whole_with_a_sheet_that_names_device_file_and_line() {
        let parent = tempfile::tempdir().unwrap();
        let object = Sha256::of(b"ack");
        let file = file_name("edge/1", &object);
        assert_eq!(file, format!("edge_1-{}.txt", object.short()));
        let line = format!("license smart import bootflash:{file}");
        let command = Command { system: "ios-xe", folder: "bootflash:".to_owned(), line: line.clone(), mark: "sure" };
        let parcel = Parcel {
            file: file.clone(),
            bytes: b"ack".to_vec(),
            object,
            device: Some("edge-1".into()),
            udi: Udi::new("C9300", "FOC\u{1b}1"),
            parts: vec!["rum-ack".to_owned()],
            commands: vec![command],
        };
        let made = "2026-05-01T10:00:00Z".parse().unwrap();
        let handout = Handout { site: Site::from("dark 3"), made, parcels: vec![parcel] };
        fs::create_dir(parent.path().join(".answers-dark_3-20260501T100000Z.partial")).unwrap();
        let place = write(&handout, parent.path()).unwrap();
        assert!(place.ends_with("answers-dark_3-20260501T100000Z"));
        assert_eq!(fs::read(place.join(&file)).unwrap(), b"ack");
        let sheet = fs::read_to_string(place.join(COMMANDS)).unwrap();
        assert!(sheet.contains(&line) && sheet.contains("SN FOC?1") && sheet.contains(&object.short()), "{sheet}");
        let again = write(&handout, parent.path()).unwrap();
        assert!(again.ends_with("answers-dark_3-20260501T100000Z-2"));
        assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 2);
    }
}
