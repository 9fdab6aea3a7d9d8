//! The forms in which a snapshot is written.

use serde::{Deserialize, Serialize};

use crate::domain::settings::words;

/// The forms of a snapshot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Form {
    /// Everything, with roll-ups and what each row rests on.
    #[default]
    Json,
    /// A row a line, for spreadsheets: what would be taken for a formula is led by `'`.
    Csv,
    /// A row a line, for programs.
    Ndjson,
    /// Columns with their types, for engines.
    Parquet,
    /// CSV with a quantity a line and few columns, for importers of service management.
    ResourceValues,
}
words!(Form {
    Json = "json",
    Csv = "csv",
    Ndjson = "ndjson",
    Parquet = "parquet",
    ResourceValues = "resource-values",
});

/// What to do where [`Form::Parquet`] is asked of a program that was built without it.
pub const NO_PARQUET: &str = "this build writes no Parquet: build it with `cargo build --release --locked --features parquet`, \
                              or take ndjson, which every engine reads as well";

impl Form {
    /// Can this build write it? Parquet brings a dozen packages, so it is a feature.
    pub fn is_built(self) -> bool {
        match self {
            Form::Json | Form::Csv | Form::Ndjson | Form::ResourceValues => true,
            Form::Parquet => cfg!(feature = "parquet"),
        }
    }

    /// How its files end.
    pub fn extension(self) -> &'static str {
        match self {
            Form::Json => "json",
            Form::Csv => "csv",
            Form::Ndjson => "ndjson",
            Form::Parquet => "parquet",
            Form::ResourceValues => "resource-values.csv",
        }
    }
}
