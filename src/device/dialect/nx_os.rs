//! What is said to NX-OS. **Unconfirmed**: the licensing commands are those of IOS XE, some without `file`. `show file`
//! and its MD5, `dir`, `delete` and the terminal's length and width are confirmed by public tools.

use super::Table;
use crate::device::shell;
use crate::domain::settings::{Os, Task};

pub static TABLE: Table = Table {
    os: Os::NxOs,
    manner: &shell::NX_OS,
    folders: &["bootflash:"],
    lines: &[
        (Task::Version, &["show version"]),
        (Task::Inventory, &["show inventory"]),
        (Task::Clock, &["show clock"]),
        (Task::State, &["show license all"]),
        (Task::Status, &["show license status"]),
        (Task::Usage, &["show license usage"]),
        (Task::Udi, &["show license udi"]),
        (Task::List, &["show license rum id all"]),
        (Task::SaveAll, &["license smart save usage all file {file}", "license smart save usage all {file}"]),
        (
            Task::SaveUnreported,
            &["license smart save usage unreported file {file}", "license smart save usage unreported {file}"],
        ),
        (
            Task::SaveDays,
            &["license smart save usage days {days} file {file}", "license smart save usage days {days} {file}"],
        ),
        (
            Task::SaveOne,
            &["license smart save usage rum-id {id} file {file}", "license smart save usage rum-id {id} {file}"],
        ),
        (Task::Space, &["dir {file}"]),
        (Task::Digest, &["show file {file} md5sum"]),
        (Task::Print, &["show file {file}"]),
        (Task::Import, &["license smart import {file}"]),
        (Task::Delete, &["delete {file} no-prompt"]),
        (Task::Paging, &["terminal length 0"]),
        (Task::Width, &["terminal width 511"]),
        (Task::Monitor, &["terminal no monitor", "no terminal monitor"]),
    ],
};
