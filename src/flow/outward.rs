//! Outward: what is owed is put together, sealed and written as a bundle.

use std::path::PathBuf;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Error, House};
use crate::domain::bundle::Selection;

/// The bundle that was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Made {
    pub bundle_id: String,
    /// The folder or tar.
    pub path: PathBuf,
    pub instances: usize,
    pub reports: usize,
    pub previous_bundle_id: Option<String>,
}

pub async fn create(
    _house: &House,
    _selection: &Selection,
    _tar: bool,
    _out: Option<PathBuf>,
    _at: Option<Timestamp>,
) -> Result<Made, Error> {
    Err(Error::Exchange(String::new()))
}
