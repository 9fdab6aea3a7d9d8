//! The sections of `show license …`, told by their headings: indents and empty lines differ from agent to agent.

use super::lines::Line;

/// Where in the output a line stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Section {
    #[default]
    Start,
    UsingPolicy,
    Account,
    Transport,
    Privacy,
    Policy,
    Reporting,
    TrustCode,
    /// Licences in use.
    Licences,
    /// Classic Smart Licensing.
    Registration,
    /// Classic Smart Licensing; says "Not Applicable" under SLP.
    Authorization,
    Members,
    /// Authorization codes: one status a chassis.
    Codes,
    /// What codes allow (SLAC).
    Allowed,
    /// What keys of before SLP allow: names alone.
    ExportKeys,
    /// What codes set aside (SLR).
    Reservations,
    Summary,
    /// A section of which nothing is kept.
    Other,
}

/// Headings, in lower case and without what follows them.
const HEADINGS: &[(&str, Section)] = &[
    ("smart licensing using policy", Section::UsingPolicy),
    ("account information", Section::Account),
    ("transport", Section::Transport),
    ("policy", Section::Policy),
    ("usage reporting", Section::Reporting),
    ("trust code installed", Section::TrustCode),
    ("license usage", Section::Licences),
    ("registration", Section::Registration),
    ("license authorization", Section::Authorization),
    ("ha udi list", Section::Members),
    ("license authorizations", Section::Codes),
    ("overall status", Section::Codes),
    ("authorizations", Section::Allowed),
    ("specified license reservations", Section::Reservations),
    ("usage report summary", Section::Summary),
    ("smart licensing status", Section::Other),
    ("smart licensing tech support info", Section::Other),
    ("license conversion", Section::Other),
    ("smart license conversion", Section::Other),
    ("export authorization key", Section::ExportKeys),
    ("utility", Section::Other),
    ("data privacy", Section::Privacy),
    ("miscellaneous", Section::Other),
    ("product information", Section::Other),
    ("agent version", Section::Other),
    ("derived licenses", Section::Other),
    ("purchased licenses", Section::Other),
    ("last reporting not required", Section::Other),
    ("upcoming scheduled jobs", Section::Other),
    ("communication statistics", Section::Other),
    ("license certificates", Section::Other),
    ("ha info", Section::Other),
    ("reservation info", Section::Other),
    ("device enforcement state", Section::Other),
    ("device telemetry report summary", Section::Other),
    ("product analytics report summary", Section::Other),
    ("other info", Section::Other),
    ("platform provided mapping table", Section::Other),
    ("message history (oldest to newest)", Section::Other),
    ("import message history (oldest to newest)", Section::Other),
    ("**** event log ****", Section::Other),
];

/// The section that a line opens, with its heading in lower case.
pub(super) fn opened_by(line: &Line<'_>) -> Option<(&'static str, Section)> {
    let (label, value) = line.field().unwrap_or((&line.text, ""));
    HEADINGS
        .iter()
        .find(|(heading, section)| {
            // Only this one has its value on the line of its heading.
            heading.eq_ignore_ascii_case(label) && (value.is_empty() || *section == Section::TrustCode)
        })
        .copied()
}
