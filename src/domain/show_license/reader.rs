//! The one pass over a text: each line goes to the first that knows it.

use std::collections::HashSet;
use std::sync::Arc;

use jiff::tz::TimeZone;

use super::authorization::Codes;
use super::chassis::{Chassis, os_of_pid};
use super::complaint::{self, ComplaintKind};
use super::lines::{self, Item, Line, Session, Subject};
use super::model::{Signs, model};
use super::platform::{Platform, PlatformText};
use super::reports::Reports;
use super::section::{self, Section};
use super::stamp::stamp;
use super::status::{NotATime, Status, udi};
use super::traditional::Files;
use super::usage::Usage;
use super::whole::Marks;
use super::{Kind, Reading, Refused};
use crate::domain::instance::Udi;
use crate::domain::problem::{Problems, excerpt};
use crate::domain::shared::Shared;
use crate::domain::state::{Compliance, DeviceState, Model};

/// Lists longer than this are no device's.
const MOST_ENTRIES: usize = 200_000;
/// A refusal stands within so many lines of its command.
const NEAR: usize = 4;

pub(super) fn read(text: &str, zone: Option<&TimeZone>) -> Reading {
    let session = lines::session(text);
    let mut reader = Reader { zone, ..Reader::default() };
    for item in &session.items {
        match item {
            Item::Command(command) => reader.command(command),
            Item::Line(line) => reader.line(line),
        }
    }
    reader.finish(session)
}

#[derive(Default)]
struct Reader<'z> {
    zone: Option<&'z TimeZone>,
    section: Section,
    /// The command that the lines answer.
    command: Option<String>,
    subject: Option<Subject>,
    lines_of_answer: usize,
    /// Lines of `show license` that said something, and those that say so beyond doubt.
    weak: usize,
    strong: usize,
    /// Lines of answers to `show license …`.
    asked: usize,
    status: Status,
    usage: Usage,
    codes: Codes,
    reports: Reports,
    files: Files,
    platform: PlatformText,
    chassis: Chassis,
    marks: Marks,
    /// The columns `SlotID PID SN UDI` of older systems.
    slots: bool,
    clock: Option<String>,
    refused: Vec<Refused>,
    problems: Problems,
}

impl Reader<'_> {
    fn command(&mut self, command: &str) {
        self.end_of_output();
        if command.is_empty() {
            return;
        }
        self.subject = lines::of_command(command);
        self.marks.of_a_part = self.subject == Some(Subject::License) && lines::shows_a_part(command);
        self.command = Some(command.to_owned());
        self.section = Section::Start;
        self.usage.open(Section::Start);
        self.lines_of_answer = 0;
    }

    /// What belongs to one output only.
    fn end_of_output(&mut self) {
        self.missing();
        self.marks = Marks::default();
        self.reports.close();
        self.files.close();
        self.platform.close();
        self.slots = false;
    }

    fn missing(&mut self) {
        let using_policy = self.status.using_policy == Some(true);
        if let Some(missing) = self.marks.missing(using_policy, self.status.agent_version.as_deref()) {
            self.problems.fault(format!("the output is cut off: {missing}"));
        }
    }

    fn line(&mut self, line: &Line<'_>) {
        self.lines_of_answer += 1;
        if self.subject == Some(Subject::License) {
            self.asked += 1;
        }
        if self.is_refusal(line) || line.text == "^" {
            return;
        }
        if self.subject == Some(Subject::Clock) {
            self.clock = Some(line.text.to_string());
            return;
        }
        if self.subject != Some(Subject::License) && self.chassis.take(line) {
            self.reports.close();
            return;
        }
        self.marks.line(&line.text);
        if self.slot(line) || self.reports.take(line, self.zone) {
            self.strong += 1;
            return;
        }
        if let Some((heading, section)) = section::opened_by(line) {
            self.open(heading, section, line);
            return;
        }
        if self.codes.take(self.section, line, self.zone) {
            self.weak += 1;
            return;
        }
        match self.status.take(self.section, line, self.zone) {
            Ok(true) => {
                self.weak += 1;
                self.strong += usize::from(is_telling(&line.text));
                return;
            }
            Ok(false) => {}
            Err(not_a_time) => return self.no_time(line, &not_a_time),
        }
        if let Some(section) = self.usage.take(self.section, line, self.zone) {
            self.section = section;
            self.weak += 1;
            return;
        }
        let strong = self.platform.take(line, self.zone) || self.files.take(line) || line.text.contains(" SAEVT_");
        self.strong += usize::from(strong);
    }

    fn open(&mut self, heading: &'static str, section: Section, line: &Line<'_>) {
        self.weak += 1;
        self.strong += usize::from(is_telling(heading));
        // The same heading again begins another output of the same kind.
        if section == Section::UsingPolicy && self.marks.last_file_write {
            self.end_of_output();
        }
        self.reports.close();
        self.section = section;
        self.marks.heading(heading, section);
        self.usage.open(section);
        self.codes.open(section);
        if let Err(not_a_time) = self.status.open(section, line, self.zone) {
            self.no_time(line, &not_a_time);
        }
    }

    fn no_time(&mut self, line: &Line<'_>, NotATime(text): &NotATime) {
        self.weak += 1;
        self.problems.fault(format!("line {}: '{}' is no time that we can read", line.number, excerpt(text)));
    }

    fn is_refusal(&mut self, line: &Line<'_>) -> bool {
        if line.indent > 0 || self.lines_of_answer > NEAR && !line.text.starts_with('%') {
            return false;
        }
        let Some(complaint) = complaint::of_line(&line.text) else { return false };
        // Without its sign and without a command before it, a sentence may be anything.
        let certain =
            line.text.starts_with('%') || self.command.is_some() || matches!(complaint.kind, ComplaintKind::Licence(_));
        if certain && self.refused.len() < MOST_ENTRIES {
            self.refused.push(Refused { command: self.command.clone(), complaint });
        }
        certain
    }

    /// `*   ASR1006   NWG0000A00A   ASR1006:NWG0000A00A`, below `SlotID PID SN UDI`.
    fn slot(&mut self, line: &Line<'_>) -> bool {
        let words: Vec<&str> = line.text.split_whitespace().take(8).collect();
        if let ["SlotID", "PID", "SN", "UDI", ..] = words[..] {
            self.slots = true;
            return true;
        }
        if !self.slots {
            return false;
        }
        let [.., pid, sn, both] = words[..] else { return false };
        if both.split_once(':') != Some((pid, sn)) {
            return false;
        }
        self.status.udi.get_or_insert(Udi::new(pid, sn));
        true
    }

    fn finish(mut self, session: Session<'_>) -> Reading {
        self.end_of_output();
        self.status.finish();
        self.faults(&session);
        self.status.udi = self.status.udi.take().or(self.reports.udi.take());
        let kind = self.kind();
        let signs = Signs {
            traditional: self.files.seen && (!self.files.kinds.is_empty() || !self.files.licenses.is_empty()),
            reports: self.reports.seen || self.status.summary.is_some(),
            slp_status: self.usage.has_slp_status(),
        };
        let model = model(&self.status, &signs);
        let os = self.os(&session);
        let compliance = Compliance {
            authorization: self.status.compliance(),
            upgrade_right: self.platform.platform.as_ref().and_then(Platform::compliance),
        };
        let Status {
            account,
            transport,
            privacy,
            policy,
            reporting,
            trust_codes,
            udi,
            uuid,
            members,
            agent_version,
            summary,
            codes,
            ..
        } = self.status;
        let nothing_counted = self.usage.is_empty();
        let (mut licenses, mut reserved) = self.usage.finish();
        if model == Model::Traditional {
            licenses = self.files.licenses;
        } else if nothing_counted && let Some(platform) = &self.platform.platform {
            licenses = platform.licenses().collect();
        }
        // A code without a list of what it holds still holds something.
        let listed: HashSet<Option<Udi>> = reserved.iter().map(|one| one.udi.clone()).collect();
        reserved.extend(codes.into_iter().filter(|code| !listed.contains(&code.udi)));
        let mut rum_ids = self.reports.finish();
        for length in [licenses.len(), rum_ids.len(), reserved.len(), trust_codes.len(), members.len()] {
            if length > MOST_ENTRIES {
                self.problems.fault(format!("{length} entries of one kind; only the first {MOST_ENTRIES} are kept"));
            }
        }
        licenses.truncate(MOST_ENTRIES);
        rum_ids.truncate(MOST_ENTRIES);
        let state = DeviceState {
            model,
            smart_account: account.smart_account,
            virtual_account: account.virtual_account,
            transport: transport.map(Shared::from),
            policy: policy.map(Shared::from),
            usage_reporting: reporting,
            trust_codes,
            udi,
            uuid,
            members,
            licenses: licenses.into_iter().map(Shared::from).collect(),
            reserved,
            reports: summary.map(Box::new),
            rum_ids,
            agent_version: agent_version.map(Arc::from),
            authorizations: self.codes.finish().map(Box::new),
            compliance: compliance.into(),
            privacy,
        };
        let clock = self.clock.or(self.status.clock).or(session.clock);
        Reading {
            kind,
            os,
            hostname: self.chassis.hostname.clone().or(session.hostname),
            software: self.chassis.software.clone(),
            state: if kind == Kind::ShowLicense { state } else { DeviceState::default() },
            chassis: self.chassis.udi(),
            chassis_certain: self.chassis.is_certain(),
            clock: clock.and_then(|clock| stamp(&clock, self.zone)),
            traditional: self.files.kinds,
            host_id: self.files.host_id,
            platform: self.platform.platform,
            complaints: self.refused,
            problems: self.problems,
        }
    }

    fn faults(&mut self, session: &Session<'_>) {
        let problems = &mut self.problems;
        for (line, word) in &self.reports.unknown {
            problems.remark(format!("line {line}: the state '{}' of a report is not known", excerpt(word)));
        }
        if let Some(line) = self.reports.cut_row {
            problems.fault(format!("the output is cut off: the report on line {line} is not complete"));
        }
        if let Some(line) = self.usage.unfinished() {
            problems.fault(format!("the output is cut off: the licence on line {line} is not complete"));
        }
        if let Some(line) = self.files.open_file {
            problems.fault(format!("the output is cut off: the licence file goes on after line {line}"));
        }
        if self.chassis.open_part() {
            problems.fault("the output is cut off: the last part of the inventory has no line with its product id");
        }
        if let (Some(first), Some(other)) = (&self.status.udi, &self.status.another) {
            problems
                .fault(format!("the outputs are of two instances, {first} and {other}; what is told may be of either"));
        } else if let Some(other) = &session.another_host {
            let first = session.hostname.as_deref().unwrap_or_default();
            problems.remark(format!(
                "the prompts are of two hosts, '{}' and '{}'; what is told may be of either",
                excerpt(first),
                excerpt(other)
            ));
        }
        for group in self.status.policy.iter().flat_map(|policy| &policy.groups).filter(|group| group.class.is_none()) {
            problems.remark(format!("the policy's group '{}' is of no class that we know", excerpt(&group.name)));
        }
        for line in &session.cut_by_log {
            problems.remark(format!("line {line}: a log message was printed into the output; it was taken out"));
        }
        for Refused { command, complaint } in &self.refused {
            let command =
                command.as_deref().map_or_else(|| "a command".to_owned(), |command| format!("'{}'", excerpt(command)));
            problems.remark(format!("the device refused {command}: {}", excerpt(&complaint.text)));
        }
    }

    fn kind(&mut self) -> Kind {
        let license = self.strong > 0 && self.strong + self.weak >= 2
            || self.strong + self.weak >= 1 && self.asked > 0
            || self.status.udi.is_some();
        if license || self.files.seen {
            return Kind::ShowLicense;
        }
        if self.chassis.version_seen {
            if self.chassis.software.is_none() {
                self.problems.fault("no software version is told: the output is cut off, or of another command");
            }
            return Kind::ShowVersion;
        }
        if self.chassis.inventory_seen {
            return Kind::ShowInventory;
        }
        if self.asked > 0 && self.refused.is_empty() {
            self.problems.fault("nothing in this answer to 'show license' is known");
            return Kind::ShowLicense;
        }
        if !self.refused.is_empty() {
            return Kind::Refusal;
        }
        Kind::Unknown
    }

    /// What is printed by the system itself is surer than what a product's name lets infer.
    fn os(&self, session: &Session<'_>) -> Option<&'static str> {
        let printed = self.chassis.os.or(if session.ios_xr || self.platform.platform.is_some() {
            Some("ios-xr")
        } else if session.ios_xe {
            Some("ios-xe")
        } else if self.files.nx_os || self.usage.looks_like_nx_os() {
            Some("nx-os")
        } else {
            None
        });
        let inferred = || self.status.udi.as_ref().and_then(|udi| os_of_pid(&udi.pid));
        printed.or_else(|| self.chassis.os()).or_else(inferred)
    }
}

/// Words that stand in no other text.
fn is_telling(text: &str) -> bool {
    const TELLING: [&str; 12] = [
        "smart licensing",
        "smart agent for licensing",
        "smart account:",
        "last ack received",
        "next ack deadline",
        "license usage",
        "license authorization",
        "usage report summary",
        "trust code installed",
        "overall status",
        "policy in use:",
        "message history (oldest",
    ];
    let lower = text.to_ascii_lowercase();
    TELLING.iter().any(|telling| lower.starts_with(telling))
        || lower.starts_with("udi:") && text.get(4..).and_then(udi).is_some()
        || lower.contains("event log ****")
}
