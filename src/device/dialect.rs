//! What is said on a system's command line to do each thing: a table, a ladder of lines for each task.
//!
//! The first line that a device takes is remembered for its software. A configuration can put lines of its own in
//! front, because the licensing commands of IOS XR and NX-OS are not confirmed in public: they are those of IOS XE,
//! whose licensing agent runs on all three, on the file systems of each.

use std::collections::BTreeMap;

use super::own_file::{Folder, OwnFile};
use super::shell::{Manner, Setup};
use crate::domain::report::ReportId;
use crate::domain::settings::{Os, Task, Word};

mod ios_xe;
mod ios_xr;
mod nx_os;

/// Command lines that go before those of the table, by task.
pub type Overrides = BTreeMap<Task, Vec<String>>;

/// One system's table.
#[derive(Debug)]
pub struct Table {
    pub os: Os,
    pub manner: &'static Manner,
    /// Where files of ours may stand, first choice first.
    pub folders: &'static [&'static str],
    /// For each task its ladder; `{file}`, `{days}` and `{id}` are blanks.
    pub lines: &'static [(Task, &'static [&'static str])],
}

/// A table with what the operator puts before it.
#[derive(Clone, Debug)]
pub struct Dialect {
    table: &'static Table,
    own: Overrides,
}

impl Dialect {
    pub fn of(os: Os, own: Overrides) -> Dialect {
        let table = match os {
            Os::IosXe => &ios_xe::TABLE,
            Os::IosXr => &ios_xr::TABLE,
            Os::NxOs => &nx_os::TABLE,
        };
        Dialect { table, own }
    }

    pub fn os(&self) -> Os {
        self.table.os
    }

    /// The word of the system, as identities carry it.
    pub fn system(&self) -> &'static str {
        self.table.os.word()
    }

    pub fn manner(&self) -> &'static Manner {
        self.table.manner
    }

    pub fn folders(&self) -> &'static [&'static str] {
        self.table.folders
    }

    /// What a conversation on a terminal begins with. Of `enable` only the first line is said: after it a password may
    /// be asked for, which is sent once.
    pub fn setup(&self) -> Setup<'_> {
        let quieting = [Task::Paging, Task::Width, Task::Monitor].map(|task| self.ladder(task, None));
        Setup { enable: self.ladder(Task::Enable, None).first().copied(), quieting: quieting.to_vec() }
    }

    /// The lines for a task in the order to try them: what worked before, the operator's, the table's.
    pub fn ladder<'d>(&'d self, task: Task, learned: Option<&'d str>) -> Vec<&'d str> {
        let own = self.own.get(&task).into_iter().flatten().map(String::as_str);
        let of_table =
            self.table.lines.iter().filter(|(of, _)| *of == task).flat_map(|(_, lines)| lines.iter().copied());
        let all: Vec<&str> = own.chain(of_table).collect();
        // What was learnt counts only while it is still a rung.
        let learned = learned.filter(|line| all.contains(line));
        let mut ladder: Vec<&str> = learned.into_iter().collect();
        for line in all {
            if !ladder.contains(&line) {
                ladder.push(line);
            }
        }
        ladder
    }
}

/// What fills a blank of a line. Nothing else gets into one, so no path does that is not ours.
#[derive(Clone, Copy, Debug)]
pub enum Blank<'a> {
    Folder(&'a Folder),
    File(&'a Folder, &'a OwnFile),
    Days(u32),
    Report(ReportId),
}

/// A command line with its blanks filled in.
pub fn filled(line: &str, blanks: &[Blank<'_>]) -> String {
    blanks.iter().fold(line.to_owned(), |line, blank| match blank {
        Blank::Folder(folder) => line.replace("{file}", &folder.to_string()),
        Blank::File(folder, file) => line.replace("{file}", &file.within(folder)),
        Blank::Days(days) => line.replace("{days}", &days.to_string()),
        Blank::Report(id) => line.replace("{id}", &id.to_string()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_system_has_a_line_for_every_task_and_every_line_its_blanks() {
        for os in Os::ALL {
            let dialect = Dialect::of(*os, Overrides::new());
            for task in Task::ALL {
                let ladder = dialect.ladder(*task, None);
                let only = [(Task::Enable, Os::IosXe), (Task::Compliance, Os::IosXr)];
                let nothing_to_say = only.iter().any(|(of, its)| of == task && its != os);
                assert_eq!(ladder.is_empty(), nothing_to_say, "{os} {task}");
                for line in ladder {
                    let blanks = task.blanks();
                    assert!(blanks.iter().all(|blank| line.contains(blank)), "{os} {task}: {line}");
                    assert_eq!(line.matches('{').count(), blanks.len(), "{os} {task}: {line}");
                }
            }
        }
    }

    #[test]
    fn what_worked_comes_first_then_the_operators_own() {
        let own = Overrides::from([(Task::Import, vec!["licence import {file}".to_owned()])]);
        let dialect = Dialect::of(Os::IosXe, own);
        assert_eq!(dialect.ladder(Task::Import, None), ["licence import {file}", "license smart import {file}"],);
        let learned = Some("license smart import {file}");
        assert_eq!(dialect.ladder(Task::Import, learned)[0], "license smart import {file}");
        assert_eq!(dialect.ladder(Task::Import, Some("reload {file}")).len(), 2, "a line nobody configured any more");
        let own = Overrides::from([
            (Task::Enable, vec!["enable 15".to_owned()]),
            (Task::Width, vec!["terminal columns 0".to_owned()]),
        ]);
        let dialect = Dialect::of(Os::IosXe, own);
        let setup = dialect.setup();
        assert_eq!(setup.enable, Some("enable 15"));
        assert_eq!(setup.quieting[1], ["terminal columns 0", "terminal width 0", "terminal width 512"]);
        let (folder, file) = (Folder::try_from("flash:").unwrap(), OwnFile::try_from("slpc-x.xml").unwrap());
        let blanks = [Blank::Report(ReportId(7)), Blank::File(&folder, &file)];
        assert_eq!(filled("a {id} b {file}", &blanks), "a 7 b flash:slpc-x.xml");
        assert_eq!(filled("dir {file} {days}", &[Blank::Folder(&folder), Blank::Days(3)]), "dir flash: 3");
    }
}
