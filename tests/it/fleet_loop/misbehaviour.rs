//! Twenty ways in which a device, or what stands around it, does not behave; each with the words an operator must read.

use std::time::Duration;

use lab::spec::{ImportForm, StateModel};
use lab::{Fault, Handle, Operation, Scope, Spec, specs};

use crate::support::site::Site;

const LIST: &str = "/smartlic-service/list";
const ALL: &str = "/smartlic-service/all-reports";
const STATE: &str = "/restconf/data/cisco-smart-license";

/// Where the operator is told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Told {
    /// By `poll` and by the register's `trouble`.
    ByPoll,
    /// By `ack import` and `ack list`.
    ByImport,
    /// By `ack import`, as a remark.
    AsRemark,
    /// By the portal, about the file.
    ByPortal,
}

pub struct Misbehaviour {
    pub what: &'static str,
    pub told: Told,
    /// All of this stands in what is told.
    pub words: &'static [&'static str],
    pub spec: fn(&mut Spec),
    /// What is done to it after the first contact.
    pub strike: fn(&Site, &Handle),
}

fn as_it_is(_: &mut Spec) {}

fn nothing(_: &Site, _: &Handle) {}

/// A login of its own, so that its refusals hold nobody else.
fn own_login(spec: &mut Spec) {
    spec.user = format!("only-{}", spec.name);
    spec.password = format!("password-of-{}", spec.name);
}

/// A device whose answer to `all-reports` has a length of four digits.
fn two_licences(spec: &mut Spec) {
    let plain = specs::switch(&spec.name);
    (spec.licences, spec.product) = (plain.licences, plain.product);
    (spec.members[0].udi.pid, spec.knobs.telemetry) = (plain.members[0].udi.pid.clone(), false);
    spec.members.truncate(1);
    spec.account = None;
    spec.uuid = None;
}

/// Bytes of a response of the lab before its body, which has 1000 to 9999 bytes.
const HEADERS: u64 = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ndate: Sun, 22 Nov 2026 05:26:59 GMT\r\n\
                      content-length: 0000\r\n\r\n"
    .len() as u64;

/// Flips a bit in the number of samples of the first report: valid JSON, and not what was signed.
fn alter_payload(site: &Site, device: &Handle) {
    device.apply(Operation::Close);
    let bodies = site.bodies(device.name());
    let (_, first) = bodies.first_key_value().unwrap();
    let sample = first.find("num_samples").and_then(|at| Some(at + first[at..].find(|c: char| c.is_ascii_digit())?));
    let at = sample.unwrap_or_else(|| panic!("no samples in {first}"));
    device.set_fault_on(Fault::Flip { at: HEADERS + "{\"usage\":[".len() as u64 + at as u64 }, Scope::path(ALL));
}

pub const ALL_OF_THEM: [Misbehaviour; 20] = [
    Misbehaviour {
        what: "refuses the login",
        told: Told::ByPoll,
        words: &["the device refused the login (HTTP 401)"],
        spec: own_login,
        strike: |_, device| device.set_fault(Fault::RefuseLogin),
    },
    Misbehaviour {
        what: "has too low a privilege",
        told: Told::ByPoll,
        words: &["the device refused the login (HTTP 403)"],
        spec: own_login,
        strike: |_, device| device.set_fault(Fault::Forbidden),
    },
    Misbehaviour {
        what: "does not listen",
        told: Told::ByPoll,
        words: &["read state: no answer from https://127.0.0.1", "refused"],
        spec: as_it_is,
        strike: |_, device| device.set_fault(Fault::RefuseConnection),
    },
    Misbehaviour {
        what: "resets every connection",
        told: Told::ByPoll,
        words: &["read state: no answer from https://127.0.0.1", "reset"],
        spec: as_it_is,
        strike: |_, device| device.set_fault(Fault::ResetOnAccept),
    },
    Misbehaviour {
        what: "never ends the handshake",
        told: Told::ByPoll,
        words: &["read state: no answer from https://127.0.0.1", "nothing came for 4s"],
        spec: as_it_is,
        strike: |_, device| device.set_fault(Fault::HangHandshake),
    },
    Misbehaviour {
        what: "shows another certificate than before",
        told: Told::ByPoll,
        words: &["the certificate shown", "is not the pinned one", "`device trust`"],
        spec: as_it_is,
        strike: |_, device| device.rotate_certificate(),
    },
    Misbehaviour {
        what: "falls silent",
        told: Told::ByPoll,
        words: &["list reports: no answer", "nothing came for 4s"],
        spec: as_it_is,
        strike: |_, device| device.set_fault_on(Fault::Hang, Scope::path(LIST)),
    },
    Misbehaviour {
        what: "hangs up in the middle of a report",
        told: Told::ByPoll,
        words: &["fetch reports: no answer"],
        spec: as_it_is,
        strike: |_, device| device.set_fault_on(Fault::CutAfter(700), Scope::path(ALL)),
    },
    Misbehaviour {
        what: "drips",
        told: Told::ByPoll,
        words: &["the whole poll took longer than 10s"],
        spec: two_licences,
        // The headers take a second, the body half a minute.
        strike: |_, device| {
            device.set_fault_on(Fault::Drip { bytes: 8, every: Duration::from_millis(100) }, Scope::path(ALL));
        },
    },
    Misbehaviour {
        what: "flips a bit in the structure",
        told: Told::ByPoll,
        words: &["fetch reports: expected signed reports as JSON", "z\\\"usage"],
        spec: two_licences,
        strike: |_, device| device.set_fault_on(Fault::Flip { at: HEADERS }, Scope::path(ALL)),
    },
    Misbehaviour {
        what: "fails inside",
        told: Told::ByPoll,
        words: &["read state: the device answered HTTP 500"],
        spec: as_it_is,
        strike: |_, device| device.set_fault_on(Fault::Status500, Scope::path(STATE)),
    },
    Misbehaviour {
        what: "cuts its list short",
        told: Told::ByPoll,
        words: &["list reports: expected a list of reports as JSON", "usage_"],
        spec: as_it_is,
        strike: |_, device| device.set_fault_on(Fault::TruncatedJson, Scope::path(LIST)),
    },
    Misbehaviour {
        what: "answers with a page",
        told: Told::ByPoll,
        words: &["fetch reports: expected JSON, got a page of type text/html"],
        spec: as_it_is,
        strike: |_, device| device.set_fault_on(Fault::WrongContentType, Scope::path(ALL)),
    },
    Misbehaviour {
        what: "answers without end",
        told: Told::ByPoll,
        words: &["fetch reports: the answer is larger than 1048576 bytes"],
        spec: as_it_is,
        strike: |_, device| device.set_fault_on(Fault::HugeBody(3 << 20), Scope::path(ALL)),
    },
    Misbehaviour {
        what: "has no licensing service",
        told: Told::ByPoll,
        words: &["list reports: not offered by this device (HTTP 404)", "session module SL_HTTP"],
        spec: as_it_is,
        strike: |_, device| device.set_fault_on(Fault::Status404, Scope::path("/smartlic-service")),
    },
    Misbehaviour {
        what: OBSERVED,
        told: Told::ByPoll,
        words: &["identify: not offered by this device", "configure `restconf` on the device, or allow mode `collect`"],
        spec: |spec| spec.knobs.state_model = StateModel::None,
        strike: nothing,
    },
    Misbehaviour {
        what: "says it imported and did not",
        told: Told::ByImport,
        words: &["sent, but reading back shows no change; tried again later"],
        spec: |spec| spec.knobs.import_lies = true,
        strike: nothing,
    },
    Misbehaviour {
        what: "takes no form of import that we know",
        told: Told::ByImport,
        words: &["not delivered, a person must act: import: the device answered HTTP 400"],
        spec: |spec| spec.knobs.import_form = ImportForm::Json("nobody-knows".to_owned()),
        strike: nothing,
    },
    Misbehaviour {
        what: WITHHELD,
        told: Told::AsRemark,
        words: &["it leaves reports unanswered that were sent along: "],
        spec: |spec| {
            two_licences(spec);
            spec.knobs.acknowledged_keys = lab::spec::AcknowledgedKeys::Listed;
        },
        strike: nothing,
    },
    Misbehaviour {
        what: "has its payload altered on the way",
        told: Told::ByPortal,
        words: &["does not hold: the payload was altered"],
        spec: two_licences,
        strike: alter_payload,
    },
];

pub const OBSERVED: &str = "is only observed and tells nothing over RESTCONF";
pub const WITHHELD: &str = "gets no acknowledgement for one of its reports";
