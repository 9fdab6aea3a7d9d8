//! `[snapshot]`: when, where and in which forms consumption is written.

use std::path::Path;

use toml::de::DeValue;

use super::raw::{self, Section, duration_in, path_in};
use super::settings::Snapshot;
use crate::domain::settings::Word;
use crate::domain::snapshot::{Form, NO_PARQUET};

pub(super) fn read(mut section: Section<'_, '_>, folder: &Path, state_dir: &Path) -> Snapshot {
    let mut snapshot = Snapshot::within(state_dir);
    section.read("schedule", &mut snapshot.schedule, |value| match value.as_str() {
        Some("") => Ok(None),
        Some(_) | None => raw::schedule(value).map(Some),
    });
    section.read("folder", &mut snapshot.folder, path_in(folder));
    section.read("formats", &mut snapshot.formats, formats);
    section.read("window", &mut snapshot.window, duration_in("1s", "7300d"));
    section.read("lag", &mut snapshot.lag, duration_in("0s", "365d"));
    section.read("revise", &mut snapshot.revise, |value| raw::whole(0, 36)(value).map(|number| number as u32));
    section.finish(&[]);
    snapshot
}

fn formats(value: &DeValue<'_>) -> Result<Vec<Form>, String> {
    let instead = || format!("write a list of {}, each once", super::mistake::one_of(Form::WORDS));
    let mut forms = Vec::new();
    for word in raw::list(value).map_err(|_| instead())? {
        let form = Form::of_word(&word).map_err(|_| instead())?;
        if forms.contains(&form) {
            return Err(instead());
        }
        if !form.is_built() {
            return Err(NO_PARQUET.to_owned());
        }
        forms.push(form);
    }
    Ok(forms)
}
