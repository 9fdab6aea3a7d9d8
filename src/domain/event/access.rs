//! The facts of what worked on a device. **stored**, as all facts are.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::domain::instance::DeviceName;
use crate::domain::settings::{Access, FileWay, Task};

/// A way of handing an ACK over; which one `/smartlic-service/import` of a release takes is not published.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ImportForm {
    /// The file's own bytes.
    Raw,
    /// The file in base64, as the whole body.
    Base64,
    /// `{"<key>":"<base64>"}`.
    Json(String),
    /// As a file on the device, which it is told to install.
    File,
}

impl std::fmt::Display for ImportForm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            ImportForm::Raw => f.write_str("raw"),
            ImportForm::Base64 => f.write_str("base64"),
            ImportForm::Json(key) => write!(f, "json:{key}"),
            ImportForm::File => f.write_str("file"),
        }
    }
}

/// What worked on a device, remembered until its software changes. **stored**
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Learned {
    pub access: Option<Access>,
    /// The access that tells state, where the other cannot.
    pub teller: Option<Access>,
    pub import_form: Option<ImportForm>,
    /// How files come off the device.
    pub get: Option<FileWay>,
    /// How they get onto it.
    pub put: Option<FileWay>,
    /// The command lines that were taken where there is a choice, with their blanks.
    pub commands: BTreeMap<Task, String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AccessLearned {
    pub device: DeviceName,
    /// On which it worked.
    pub software: Option<String>,
    /// The whole of it: nothing of what was known before stays.
    pub learned: Learned,
}
