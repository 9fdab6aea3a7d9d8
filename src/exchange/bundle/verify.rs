//! Checking a bundle: the signature before anything else is even parsed, then every member,
//! then that the reports inside are those of the manifest.

use std::collections::BTreeSet;

use super::{BundleError, MANIFEST, Manifest, Opened, SCHEMA, SIGNATURE, SIGNER};
use crate::domain::digest::Sha256;
use crate::domain::instance::Udi;
use crate::domain::problem::excerpt;
use crate::domain::report::ReportId;
use crate::domain::report::read::RawReport;
use crate::domain::rum_file;
use crate::exchange::archive::{self, Limits, flatten};
use crate::exchange::seal::Certificate;

/// More differences than this are counted, not told.
const MOST_PROBLEMS: usize = 50;

/// A bundle that is what its signer stated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    pub manifest: Manifest,
    pub manifest_sha256: Sha256,
    pub signer: Certificate,
}

type Key = (Udi, ReportId, Sha256);

impl Opened {
    /// Checks everything. Without `expected` the signer is whoever `signer.pem` names: that the
    /// bundle is whole, not who made it.
    pub fn verify(&self, expected: Option<Sha256>) -> Result<Verified, BundleError> {
        let file = |name| self.files.get(name).ok_or(BundleError::NotABundle { missing: name });
        let (bytes, signature, pem) = (file(MANIFEST)?, file(SIGNATURE)?, file(SIGNER)?);
        let signer = Certificate::read(pem)?;
        if let Some(expected) = expected
            && signer.fingerprint != expected
        {
            return Err(BundleError::Signer { expected, got: signer.fingerprint });
        }
        signer.verify(bytes, signature)?;

        let unreadable = |cause: String| BundleError::Manifest { cause };
        let manifest: Manifest = serde_json::from_slice(bytes).map_err(|error| unreadable(error.to_string()))?;
        if manifest.schema != SCHEMA {
            return Err(unreadable(format!("expected schema {SCHEMA}, got {:?}", excerpt(&manifest.schema))));
        }
        let mut problems = Vec::new();
        self.check_members(&manifest, &mut problems);
        if problems.is_empty() {
            self.check_reports(&manifest, &mut problems);
        }
        if !problems.is_empty() {
            let more = problems.len().saturating_sub(MOST_PROBLEMS);
            problems.truncate(MOST_PROBLEMS);
            if more > 0 {
                problems.push(format!("and {more} more"));
            }
            return Err(BundleError::Contents { problems });
        }
        Ok(Verified { manifest, manifest_sha256: Sha256::of(bytes), signer })
    }

    fn check_members(&self, manifest: &Manifest, problems: &mut Vec<String>) {
        let mut listed = BTreeSet::from([MANIFEST, SIGNATURE]);
        for member in &manifest.members {
            if !listed.insert(&member.path) {
                problems.push(format!("{:?} is listed twice", excerpt(&member.path)));
            }
            match self.files.get(&member.path) {
                None => problems.push(format!("{:?} is missing", excerpt(&member.path))),
                Some(bytes) if bytes.len() as u64 != member.size => problems.push(format!(
                    "expected {} bytes in {:?}, got {}",
                    member.size,
                    excerpt(&member.path),
                    bytes.len()
                )),
                Some(bytes) => {
                    let got = Sha256::of(bytes);
                    if got != member.sha256 {
                        problems.push(format!(
                            "expected SHA-256 {} of {:?}, got {got}",
                            member.sha256,
                            excerpt(&member.path)
                        ));
                    }
                }
            }
        }
        for path in self.files.keys().filter(|path| !listed.contains(path.as_str())) {
            problems.push(format!("{:?} is not in the manifest", excerpt(path)));
        }
    }

    fn check_reports(&self, manifest: &Manifest, problems: &mut Vec<String>) {
        let stated: BTreeSet<Key> = manifest
            .reports
            .iter()
            .map(|report| (report.udi.clone(), report.report_id, report.payload_sha256))
            .collect();
        let (mut assigned, mut unassigned, mut archived) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        for (path, bytes) in &self.files {
            if path.starts_with("single/") {
                collect(path, bytes, &mut assigned, problems);
            } else if path.starts_with("unassigned/") {
                collect(path, bytes, &mut unassigned, problems);
            } else if path.starts_with("UD_SA_") {
                match archive::open(path, bytes, &Limits::own()) {
                    Ok(members) => {
                        for (name, member) in flatten(&members) {
                            if name.ends_with(".txt") {
                                collect(&format!("{path}/{name}"), &member.bytes, &mut archived, problems);
                            }
                        }
                    }
                    Err(error) => problems.push(error.to_string()),
                }
            }
        }
        compare("the archives", &assigned, &archived, problems);
        assigned.extend(unassigned);
        compare("the files", &stated, &assigned, problems);
    }
}

fn collect(path: &str, bytes: &[u8], into: &mut BTreeSet<Key>, problems: &mut Vec<String>) {
    match rum_file::read(bytes) {
        Ok(file) if file.problems.is_whole() => {
            let key =
                |report: &RawReport| (report.facts.udi.clone(), report.facts.report_id, report.facts.payload_sha256);
            into.extend(file.reports.iter().map(key));
        }
        Ok(file) => problems.push(format!("{:?}: {}", excerpt(path), file.problems.sentences().join("; "))),
        Err(error) => problems.push(format!("{:?}: {error}", excerpt(path))),
    }
}

fn compare(place: &str, expected: &BTreeSet<Key>, got: &BTreeSet<Key>, problems: &mut Vec<String>) {
    for (udi, id, sha256) in expected.difference(got) {
        problems.push(format!("report {id} of {udi} with payload {} is not in {place}", sha256.short()));
    }
    for (udi, id, sha256) in got.difference(expected) {
        problems.push(format!("report {id} of {udi} with payload {} is in {place} unannounced", sha256.short()));
    }
}
