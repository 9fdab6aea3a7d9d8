//! What was sent out, found by the names that its answers will have, and by instance.
//!
//! A bundle is as long as its answers are many: it is gone through once for all of them, not for each.

use std::collections::HashMap;

use crate::domain::fleet::Fleet;
use crate::domain::instance::Udi;
use crate::domain::report::ReportId;

/// Filled as it is asked, for as long as the fold stands still.
pub(super) struct Sent<'f> {
    fleet: &'f Fleet,
    uploads: Option<HashMap<&'f str, Upload<'f>>>,
    /// Names of the uploads of a submission.
    submitted: HashMap<&'f str, HashMap<String, &'f Udi>>,
    reports: HashMap<String, HashMap<&'f Udi, Vec<ReportId>>>,
}

/// The bundle or submission that an upload was of, and the instance, where it was of one.
pub(super) type Upload<'f> = (&'f str, Option<&'f Udi>);

impl<'f> Sent<'f> {
    pub(super) fn new(fleet: &'f Fleet) -> Self {
        Sent { fleet, uploads: None, submitted: HashMap::new(), reports: HashMap::new() }
    }

    /// What went out under this name, the newest where there are several.
    pub(super) fn upload(&mut self, name: &str) -> Option<Upload<'f>> {
        let fleet = self.fleet;
        if let Some((id, submission)) = name.split_once('_').and_then(|(id, _)| fleet.submissions.get_key_value(id)) {
            let own = self.submitted.entry(id).or_insert_with(|| {
                let reports = submission.facts.reports.iter();
                reports.map(|report| (submission.upload_name(&report.udi), &report.udi)).collect()
            });
            return Some((id, own.get(name).copied()));
        }
        let uploads = self.uploads.get_or_insert_with(|| {
            let mut bundles: Vec<_> = fleet.bundles.values().collect();
            bundles.sort_by_key(|bundle| bundle.made);
            let uploads = bundles.into_iter().flat_map(|bundle| {
                let id = bundle.facts.bundle_id.as_str();
                bundle.facts.uploads.iter().map(move |upload| (upload.name.as_str(), (id, upload.udi.as_ref())))
            });
            uploads.collect()
        });
        uploads.get(name).copied()
    }

    /// The reports of an instance that a bundle or submission held.
    pub(super) fn reports(&mut self, id: &str, udi: &Udi) -> &[ReportId] {
        if !self.reports.contains_key(id) {
            let mut of: HashMap<&Udi, Vec<ReportId>> = HashMap::new();
            for report in self.fleet.sent(id) {
                of.entry(&report.udi).or_default().push(report.report_id);
            }
            self.reports.insert(id.to_owned(), of);
        }
        self.reports.get(id).and_then(|of| of.get(udi)).map_or(&[], Vec::as_slice)
    }
}
