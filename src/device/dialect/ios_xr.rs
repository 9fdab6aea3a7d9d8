//! What is said to IOS XR. **Unconfirmed**: the licensing commands are those of IOS XE; `delete`, `more` and the
//! form without `file` come from general knowledge, as does `terminal monitor disable`. What a device does not take is tried in the next form.

use super::Table;
use crate::device::shell;
use crate::domain::settings::{Os, Task};

pub static TABLE: Table = Table {
    os: Os::IosXr,
    manner: &shell::IOS_XR,
    folders: &["/harddisk:/", "/disk0:/"],
    lines: &[
        (Task::Version, &["show version"]),
        (Task::Inventory, &["show inventory", "admin show inventory"]),
        (Task::Clock, &["show clock"]),
        (Task::State, &["show license all"]),
        (Task::Status, &["show license status"]),
        (Task::Usage, &["show license usage"]),
        (Task::Udi, &["show license udi", "show license techsupport | include UDI:"]),
        (Task::Compliance, &["show license platform summary"]),
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
        (Task::Digest, &["show md5 file {file}"]),
        (Task::Print, &["more {file}", "run cat {file}"]),
        (Task::Import, &["license smart import {file}"]),
        (Task::Delete, &["delete /noprompt {file}"]),
        (Task::Paging, &["terminal length 0"]),
        (Task::Width, &["terminal width 0", "terminal width 511"]),
        (Task::Monitor, &["terminal monitor disable"]),
    ],
};
