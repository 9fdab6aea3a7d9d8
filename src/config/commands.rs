//! `[commands.NAME]`: command lines that go before ours, for a system or for the devices that name the set.

use std::collections::BTreeMap;

use super::raw::{self, Section};
use crate::domain::settings::{Os, Task, Word};

/// Lines by task.
pub type Lines = BTreeMap<Task, Vec<String>>;

/// Every set of the file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Commands {
    sets: BTreeMap<String, Lines>,
}

impl Commands {
    /// Is there a set of that name which a device may choose?
    pub(super) fn has(&self, name: &str) -> bool {
        self.sets.contains_key(name) && Os::of_word(name).is_err()
    }

    /// The names that a device may choose.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.sets.keys().map(String::as_str).filter(|name| Os::of_word(name).is_err())
    }

    /// The lines for a device, by the system it turns out to have: those of its set, then its system's.
    pub fn of(&self, set: Option<&str>) -> BTreeMap<Os, Lines> {
        if self.sets.is_empty() {
            return BTreeMap::new();
        }
        let own = set.and_then(|name| self.sets.get(name));
        let mut all = BTreeMap::new();
        for os in Os::ALL {
            let mut lines = own.cloned().unwrap_or_default();
            for (task, more) in self.sets.get(os.word()).into_iter().flatten() {
                lines.entry(*task).or_default().extend(more.iter().cloned());
            }
            if !lines.is_empty() {
                all.insert(*os, lines);
            }
        }
        all
    }
}

/// Reads all sets of the file.
pub(super) fn read(root: &mut Section<'_, '_>) -> Commands {
    let mut commands = Commands::default();
    for (name, place, mut section) in root.named("commands") {
        section.check_name(&name, place);
        let mut lines = Lines::new();
        for (task, word) in Task::ALL.iter().zip(Task::WORDS) {
            if let Some(ladder) = section.optional(word, |value| ladder(*task, value)) {
                lines.insert(*task, ladder);
            }
        }
        section.finish(&[]);
        commands.sets.insert(name, lines);
    }
    commands
}

fn ladder(task: Task, value: &toml::de::DeValue<'_>) -> Result<Vec<String>, String> {
    let blanks = task.blanks();
    let instead = || {
        let with = if blanks.is_empty() { String::new() } else { format!(" with {} in it", blanks.join(" and ")) };
        format!("write a list of command lines, each of one line{with}")
    };
    let lines = raw::list(value).map_err(|_| instead())?;
    let fits = |line: &String| {
        let known = blanks.iter().all(|blank| line.matches(blank).count() == 1);
        !line.trim().is_empty()
            && known
            && line.matches(['{', '}']).count() == 2 * blanks.len()
            && !line.contains(char::is_control)
    };
    if lines.iter().all(fits) { Ok(lines) } else { Err(instead()) }
}
