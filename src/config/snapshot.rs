//! `[snapshot]`: when, where and in which forms consumption is written.

use std::path::Path;
use std::time::Duration;

use toml::de::DeValue;

use super::raw::{self, Section, duration_in, path_in};
use super::settings::{Post, Snapshot};
use super::web;
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
    if let Some(at) = section.place("post") {
        snapshot.post = post(section.section("post"), at, folder);
    }
    section.finish(&["post"]);
    snapshot
}

/// `None` where a mistake was told that leaves nobody to send to.
fn post(mut section: Section<'_, '_>, at: usize, folder: &Path) -> Option<Post> {
    let server = web::http(&mut section, at, folder);
    let mut forms = vec![Form::Json];
    section.read("formats", &mut forms, formats);
    let mut timeout = Duration::from_secs(5 * 60);
    section.read("timeout", &mut timeout, duration_in("1s", "1h"));
    // With a secret in it this was told already.
    if let Some(web::Http { url, login: None, .. }) = &server
        && !url.is_encrypted()
        && !url.is_local()
    {
        let message = format!("{} would send serials and counts in the clear; write https://", section.path("url"));
        section.mistake("url", message);
    }
    section.finish(&["password", "token", "client_key"]);
    Some(Post { server: server?, formats: forms, timeout })
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
