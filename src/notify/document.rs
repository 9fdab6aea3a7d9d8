//! A message as JSON: what a webhook is sent and a command reads. `docs/operations.md` has the shape.

use jiff::Timestamp;
use serde::Serialize;

use crate::domain::deadline::ObligationState;
use crate::domain::instance::{DeviceName, Site, Udi};
use crate::domain::message::{Line, Message, Topic};
use crate::domain::violation::{Kind, Severity, ViolationId};

/// The shape below; a number higher when something in it changes its meaning or goes.
const VERSION: u32 = 1;

#[derive(Serialize)]
struct Document<'m> {
    version: u32,
    collector: &'m str,
    id: &'m str,
    at: Timestamp,
    topic: Topic,
    severity: Severity,
    site: Option<&'m Site>,
    title: &'m str,
    text: &'m str,
    lines: Vec<Row<'m>>,
}

#[derive(Serialize)]
struct Row<'m> {
    name: &'m str,
    device: Option<&'m DeviceName>,
    instance: Option<&'m Udi>,
    site: Option<&'m Site>,
    smart_account: Option<&'m str>,
    virtual_account: Option<&'m str>,
    state: Option<ObligationState>,
    due: Option<Timestamp>,
    leave_by: Option<Timestamp>,
    violation: Option<&'m ViolationId>,
    kind: Option<Kind>,
    what: &'m str,
    remedy: Option<&'m str>,
}

/// All of a message, on one line.
pub(super) fn json(collector: &str, message: &Message) -> Result<Vec<u8>, serde_json::Error> {
    serde_json::to_vec(&Document {
        version: VERSION,
        collector,
        id: &message.id,
        at: message.at,
        topic: message.topic,
        severity: message.severity,
        site: message.site.as_ref(),
        title: &message.title,
        text: &message.text,
        lines: message.lines.iter().map(row).collect(),
    })
}

fn row(line: &Line) -> Row<'_> {
    Row {
        name: &line.name,
        device: line.device.as_ref(),
        instance: line.udi.as_ref(),
        site: Some(&line.site).filter(|site| !site.0.is_empty()),
        smart_account: line.account.smart_account.as_deref(),
        virtual_account: line.account.virtual_account.as_deref(),
        state: line.state,
        due: line.due,
        leave_by: line.leave_by,
        violation: line.violation.as_ref(),
        kind: line.kind,
        what: &line.what,
        remedy: line.remedy.as_deref(),
    }
}
