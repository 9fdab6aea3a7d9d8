//! What is said to IOS XE. Confirmed by public tools and recordings, but `usage days` in full.

use super::Table;
use crate::device::shell;
use crate::domain::settings::{Os, Task};

pub static TABLE: Table = Table {
    os: Os::IosXe,
    manner: &shell::IOS_XE,
    folders: &["bootflash:", "flash:"],
    lines: &[
        (Task::Version, &["show version"]),
        (Task::Inventory, &["show inventory"]),
        (Task::Clock, &["show clock"]),
        (Task::State, &["show license all"]),
        (Task::Status, &["show license status"]),
        (Task::Usage, &["show license usage"]),
        (Task::Udi, &["show license udi"]),
        (Task::List, &["show license rum id all"]),
        (Task::SaveAll, &["license smart save usage all file {file}"]),
        (Task::SaveUnreported, &["license smart save usage unreported file {file}"]),
        (Task::SaveDays, &["license smart save usage days {days} file {file}"]),
        (
            Task::SaveOne,
            &["license smart save usage rum-id {id} file {file}", "license smart save usage rum-Id {id} file {file}"],
        ),
        (Task::Space, &["dir {file}"]),
        (Task::Digest, &["verify /md5 {file}"]),
        (Task::Print, &["more {file}"]),
        (Task::Import, &["license smart import {file}"]),
        (Task::Delete, &["delete /force {file}"]),
        (Task::Enable, &["enable"]),
        (Task::Paging, &["terminal length 0"]),
        (Task::Width, &["terminal width 0", "terminal width 512"]),
        (Task::Monitor, &["terminal no monitor"]),
    ],
};
