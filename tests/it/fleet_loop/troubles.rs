//! What can go wrong by command line, models and NX-API: a device each, with the words an operator must read.

use lab::spec::{Faces, SaveForm, StateModel};
use lab::{Fault, Handle, Operation, Scope, Spec, specs};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum When {
    /// While polling, and told by it.
    Poll,
    /// While an answer is brought, and told by `ack import`.
    Import,
    /// While polling, and got over.
    PollAllTheSame,
    /// While an answer is brought, and got over.
    ImportAllTheSame,
}

pub struct Trouble {
    pub what: &'static str,
    pub when: When,
    pub access: &'static str,
    pub spec: fn(&str) -> Spec,
    pub strike: fn(&Handle),
    /// All of this stands in what is told.
    pub words: &'static [&'static str],
}

const FLASH: u64 = 12 << 20;
const FILLER: &str = "filler.bin";

fn xe(name: &str, faces: Faces) -> Spec {
    let mut spec = Spec { faces, ..specs::switch(name) };
    spec.knobs.state_model = StateModel::Full;
    spec
}

fn xe_ssh(name: &str) -> Spec {
    xe(name, Faces::ssh_and_scp())
}

fn xe_small(name: &str) -> Spec {
    Spec { flash: FLASH, ..xe_ssh(name) }
}

fn xe_netconf(name: &str) -> Spec {
    xe(name, Faces { netconf: true, ..Faces::ssh_and_scp() })
}

fn xe_restconf(name: &str) -> Spec {
    xe(name, Faces { restconf: true, ..Faces::ssh_and_scp() })
}

fn xr(name: &str) -> Spec {
    Spec { faces: Faces::ssh_and_sftp(), ..specs::xr(name) }
}

fn nexus(name: &str) -> Spec {
    Spec { faces: Faces::ssh_and_scp(), ..specs::nexus(name) }
}

fn nexus_by_nxapi(name: &str) -> Spec {
    Spec { faces: Faces { nxapi: true, ..Faces::ssh_and_scp() }, ..specs::nexus(name) }
}

fn bare(mut spec: Spec) -> Spec {
    spec.terminal.save_form = SaveForm::Bare;
    spec
}

/// Leaves so many bytes of [`FLASH`].
fn fill(device: &Handle, left: u64) {
    let bytes = vec![0; usize::try_from(FLASH - left).unwrap()];
    device.apply(Operation::WriteFile { name: FILLER.to_owned(), bytes });
}

/// What no fault's end takes away by itself.
pub fn mend(device: &Handle) {
    device.clear_fault();
    device.apply(Operation::DeleteFile(FILLER.to_owned()));
}

fn drops(device: &Handle, command: &str) {
    device.add_fault(Fault::DropChannel, Scope::path(command));
}

/// The fault, on a device that hands out no file but on its terminal.
fn printed_only(device: &Handle, fault: Fault) {
    device.set_fault_on(Fault::Forbidden, Scope::path("scp -f"));
    device.add_fault(fault, Scope::default());
}

pub const ALL: &[Trouble] = &[
    Trouble {
        what: "stands at its boot loader",
        when: When::Poll,
        access: "ssh",
        spec: xe_ssh,
        strike: |device| device.set_fault(Fault::WrongPrompt),
        words: &["wait for the prompt: no known prompt came, the last that came is \"switch:\""],
    },
    Trouble {
        what: "says every line in halves",
        when: When::PollAllTheSame,
        access: "ssh",
        spec: xe_ssh,
        strike: |device| printed_only(device, Fault::HalfLines),
        words: &[],
    },
    Trouble {
        what: "pages whatever it was told",
        when: When::PollAllTheSame,
        access: "ssh",
        spec: nexus,
        strike: |device| printed_only(device, Fault::Pager),
        words: &[],
    },
    Trouble {
        what: "drops the channel while it saves",
        when: When::Poll,
        access: "ssh",
        spec: xe_ssh,
        strike: |device| drops(device, "license smart save"),
        words: &["unreachable: run a command: no answer from", "save usage", "the device closed the channel"],
    },
    Trouble {
        what: "drops the channel while it copies",
        when: When::PollAllTheSame,
        access: "ssh",
        spec: xe_ssh,
        strike: |device| drops(device, "scp -f"),
        words: &[],
    },
    Trouble {
        what: "drops the channel whichever way a file is got",
        when: When::Poll,
        access: "ssh",
        spec: xe_ssh,
        strike: |device| {
            drops(device, "scp -f");
            drops(device, "more");
        },
        words: &["unreachable: run a command: no answer from", "more bootflash:slpc-", "the device closed the channel"],
    },
    Trouble {
        what: "drops the subsystem of files",
        when: When::PollAllTheSame,
        access: "ssh",
        spec: xr,
        strike: |device| drops(device, "subsystem sftp"),
        words: &[],
    },
    Trouble {
        what: "hangs while it saves",
        when: When::Poll,
        access: "ssh",
        spec: nexus,
        strike: |device| device.set_fault_on(Fault::Hang, Scope::path("license smart save")),
        words: &["unreachable: poll: no answer from", "the whole poll took longer than 20s"],
    },
    Trouble {
        what: "has too little room to save",
        when: When::Poll,
        access: "ssh",
        spec: xe_small,
        strike: |device| fill(device, 5 << 20),
        words: &["fetch reports: 8388608 bytes are needed, the device has 5242880 free; nothing was written"],
    },
    Trouble {
        what: "finds no room while it saves",
        when: When::Poll,
        access: "ssh",
        spec: xr,
        strike: |device| device.set_fault(Fault::FullFlash),
        words: &["save to /harddisk:/slpc-", "Trusted Storage failed to store"],
    },
    Trouble {
        what: "finds no room while its models save",
        when: When::Poll,
        access: "netconf",
        spec: xe_netconf,
        strike: |device| device.set_fault(Fault::FullFlash),
        words: &["storagefailtostore"],
    },
    Trouble {
        what: "is the standby",
        when: When::Poll,
        access: "ssh",
        spec: nexus,
        strike: |device| device.set_fault(Fault::Standby),
        words: &["wait for the prompt: this is the standby, its active partner must be asked"],
    },
    Trouble {
        what: "is the standby, without a prompt",
        when: When::Poll,
        access: "ssh",
        spec: xr,
        strike: |device| device.set_fault(Fault::Standby),
        words: &["this is the standby", "This (D)RP Node is not ready or active for login"],
    },
    Trouble {
        what: "knows no saving",
        when: When::Poll,
        access: "ssh",
        spec: xr,
        strike: |device| device.set_fault_on(Fault::NoCommand, Scope::path("license smart save")),
        words: &["unsupported: \"license smart save usage", "% Invalid input detected"],
    },
    Trouble {
        what: "may not save",
        when: When::Poll,
        access: "ssh",
        spec: xe_ssh,
        strike: |device| device.set_fault_on(Fault::Forbidden, Scope::path("license smart save")),
        words: &["refused: \"license smart save usage", "uthoriz"],
    },
    Trouble {
        what: "lacks the one command for state",
        when: When::PollAllTheSame,
        access: "ssh",
        spec: xe_ssh,
        strike: |device| device.set_fault_on(Fault::NoCommand, Scope::path("show license all")),
        words: &[],
    },
    Trouble {
        what: "saves without the word `file`, on IOS XR",
        when: When::PollAllTheSame,
        access: "ssh",
        spec: |name| bare(xr(name)),
        strike: |_| {},
        words: &[],
    },
    Trouble {
        what: "saves without the word `file`, on NX-OS",
        when: When::PollAllTheSame,
        access: "nx-api",
        spec: |name| bare(nexus_by_nxapi(name)),
        strike: |_| {},
        words: &[],
    },
    Trouble {
        what: "prints without end",
        when: When::Poll,
        access: "ssh",
        spec: xe_ssh,
        strike: |device| device.set_fault_on(Fault::HugeBody(3 << 20), Scope::path("show license all")),
        words: &["run a command: the answer is larger than 1048576 bytes"],
    },
    Trouble {
        what: "does not listen",
        when: When::Poll,
        access: "ssh",
        spec: nexus,
        strike: |device| device.set_fault(Fault::RefuseConnection),
        words: &["unreachable: connect over SSH: no answer from 127.0.0.1", "refused"],
    },
    Trouble {
        what: "never ends the handshake",
        when: When::Poll,
        access: "ssh",
        spec: xe_ssh,
        strike: |device| device.set_fault(Fault::HangHandshake),
        words: &["unreachable: log in over SSH: no answer from 127.0.0.1", "not logged in within 4s"],
    },
    Trouble {
        what: "cuts the session of its models",
        when: When::Poll,
        access: "netconf",
        spec: xe_netconf,
        strike: |device| device.set_fault_on(Fault::TruncatedJson, Scope::path("get")),
        words: &["read state: no answer from", "the session ended in the middle of a message"],
    },
    Trouble {
        what: "fails inside its models",
        when: When::Poll,
        access: "netconf",
        spec: xe_netconf,
        strike: |device| device.set_fault_on(Fault::Status500, Scope::path("rum-save")),
        words: &["the device declined (operation-failed): internal error"],
    },
    Trouble {
        what: "has its models switched off",
        when: When::Poll,
        access: "restconf",
        spec: xe_restconf,
        strike: |device| device.set_fault_on(Fault::Status404, Scope::path("/restconf/operations")),
        words: &["not offered by this device (HTTP 404)"],
    },
    Trouble {
        what: "fails inside NX-API",
        when: When::Poll,
        access: "nx-api",
        spec: nexus_by_nxapi,
        strike: |device| device.set_fault_on(Fault::Status500, Scope::path("/ins")),
        words: &["the device answered HTTP 500"],
    },
    Trouble {
        what: "refuses the answer",
        when: When::Import,
        access: "ssh",
        spec: xe_ssh,
        strike: |device| device.set_fault(Fault::RefuseImport(45)),
        words: &["import bootflash:slpc-", "Signature Verification failed"],
    },
    Trouble {
        what: "refuses the answer to its models",
        when: When::Import,
        access: "netconf",
        spec: xe_netconf,
        strike: |device| device.set_fault(Fault::RefuseImport(28)),
        words: &["the device declined (", "matchidentifier"],
    },
    Trouble {
        what: "refuses the answer over NX-API",
        when: When::Import,
        access: "nx-api",
        spec: nexus_by_nxapi,
        strike: |device| device.set_fault(Fault::RefuseImport(17)),
        words: &["import bootflash:slpc-", "message parsing error"],
    },
    Trouble {
        what: "has too little room for the answer",
        when: When::Import,
        access: "ssh",
        spec: xe_small,
        strike: |device| fill(device, 1 << 19),
        words: &["import: ", "bytes are needed, the device has 524288 free; nothing was written"],
    },
    Trouble {
        what: "finds no room while the answer comes",
        when: When::Import,
        access: "ssh",
        spec: nexus,
        strike: |device| device.set_fault_on(Fault::FullFlash, Scope::path("write")),
        words: &["put a file over SCP: bootflash:slpc-", "No space left on device"],
    },
    Trouble {
        what: "drops the channel while it imports",
        when: When::ImportAllTheSame,
        access: "ssh",
        spec: xr,
        strike: |device| drops(device, "license smart import"),
        words: &[],
    },
    Trouble {
        what: "drops the channel while it deletes",
        when: When::ImportAllTheSame,
        access: "ssh",
        spec: xe_ssh,
        strike: |device| device.set_fault_on(Fault::DropChannel, Scope::path("delete").and_first(1)),
        words: &[],
    },
    Trouble {
        what: "drops the channel while it is read back",
        when: When::Import,
        access: "ssh",
        spec: nexus,
        strike: |device| device.set_fault_on(Fault::DropChannel, Scope::path("show license all").behind(1)),
        words: &["run a command: no answer from", "show license all: the device closed the channel"],
    },
    Trouble {
        what: "ends the session of its models while it imports",
        when: When::ImportAllTheSame,
        access: "netconf",
        spec: xe_netconf,
        strike: |device| device.set_fault_on(Fault::TruncatedJson, Scope::path("import-file")),
        words: &[],
    },
];
