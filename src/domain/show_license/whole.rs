//! Was an output printed to its end? Told by the lines that every agent prints last.

use super::section::Section;

/// Lines and headings that were seen in one output.
#[derive(Debug, Default)]
pub(super) struct Marks {
    /// `Smart Licensing Status` under SLP: the beginning of `show license all` and `… tech support`.
    pub all: bool,
    pub tech_support: bool,
    pub headings: Vec<&'static str>,
    /// The last line of the reporting block.
    pub last_file_write: bool,
    pub trust_code: bool,
    pub available_to_report: bool,
    /// Was less asked for than the status?
    pub of_a_part: bool,
    ends_with_heading: bool,
}

impl Marks {
    pub(super) fn heading(&mut self, heading: &'static str, section: Section) {
        match heading {
            "smart licensing status" => self.all = true,
            "smart licensing tech support info" => self.tech_support = true,
            _ => {}
        }
        // The other headings may have nothing below them.
        self.ends_with_heading = matches!(
            section,
            Section::UsingPolicy
                | Section::Policy
                | Section::Reporting
                | Section::Licences
                | Section::Members
                | Section::Summary
        );
        self.trust_code |= section == Section::TrustCode;
        if !self.headings.contains(&heading) {
            self.headings.push(heading);
        }
    }

    pub(super) fn line(&mut self, text: &str) {
        let lower = |start: &str| super::lines::starts_with(text, start);
        let columns = lower("license") && text.contains("Count") && text.contains("Status");
        self.ends_with_heading &= columns || text.bytes().all(|byte| matches!(byte, b'=' | b'-'));
        self.last_file_write |= lower("last report file write:");
        self.available_to_report |= lower("available to report:");
    }

    fn has(&self, heading: &str) -> bool {
        self.headings.contains(&heading)
    }

    /// What is missing at the end of an output.
    pub(super) fn missing(&self, using_policy: bool, agent: Option<&str>) -> Option<&'static str> {
        if self.ends_with_heading {
            return Some("it ends with a heading");
        }
        if self.of_a_part {
            return None;
        }
        // Each of these blocks is followed by the next in every output.
        let status =
            self.has("policy") || self.has("data privacy") && using_policy || self.has("smart licensing using policy");
        if status && !self.last_file_write {
            return Some("the block 'Usage Reporting' is missing or not complete");
        }
        if self.last_file_write && !self.trust_code && !self.all {
            return Some("'Trust Code Installed' is missing");
        }
        if self.has("usage report summary") && !self.available_to_report {
            return Some("the block 'Usage Report Summary' is not complete");
        }
        if !self.all || !using_policy {
            return None;
        }
        if agent.is_none() {
            return Some("'Agent Version' is missing");
        }
        if self.tech_support || self.has("upcoming scheduled jobs") {
            return (!self.has("platform provided mapping table"))
                .then_some("'Platform Provided Mapping Table' is missing");
        }
        if !self.has("license authorizations") {
            return Some("'License Authorizations' is missing");
        }
        // Printed since agent 5.1.21.
        if agent.and_then(release).is_none_or(|release| release >= (5, 1, 21)) && !self.available_to_report {
            return Some("'Usage Report Summary' is missing");
        }
        None
    }
}

/// `5.3.16_rel/55` is 5.3.16.
fn release(agent: &str) -> Option<(u32, u32, u32)> {
    let mut parts = agent.split(['.', '_', '/']).map(|part| part.parse().ok());
    Some((parts.next()??, parts.next()??, parts.next()??))
}
