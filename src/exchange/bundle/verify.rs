//! Checking a bundle: the signature before anything else is even parsed, then the bytes of every member,
//! then that the reports inside are those of the manifest. Files are read twice rather than held.

use std::collections::{BTreeSet, HashMap};
use std::io::{self, Read};

use super::{BundleError, MANIFEST, Manifest, ManifestMember, Opened, SCHEMA, SIGNATURE, SIGNER};
use crate::domain::digest::Sha256;
use crate::domain::hashing::Hashing;
use crate::domain::instance::Udi;
use crate::domain::problem::excerpt;
use crate::domain::report::ReportId;
use crate::domain::rum_file;
use crate::exchange::archive::{self, Limits, Step};
use crate::exchange::seal::{Certificate, SealError};

/// More differences than this are counted, not told.
const MOST_PROBLEMS: usize = 50;
/// A manifest of a million reports.
const LARGEST_MANIFEST: u64 = 512 << 20;
/// Nobody's certificate or signature is near that.
const LARGEST_SEAL: u64 = 64 << 10;

/// A bundle that is what its signer stated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    pub manifest: Manifest,
    pub manifest_sha256: Sha256,
    pub signer: Certificate,
}

impl Opened {
    /// Checks everything. Without `expected` the signer is whoever `signer.pem` names: that the
    /// bundle is whole, not who made it.
    pub fn verify(&self, expected: Option<Sha256>) -> Result<Verified, BundleError> {
        let pem = self.small(SIGNER, LARGEST_SEAL)?;
        let signature = self.small(SIGNATURE, LARGEST_SEAL)?;
        let bytes = self.small(MANIFEST, LARGEST_MANIFEST)?;
        let signer = Certificate::read(&pem).map_err(|source| BundleError::Seal { member: SIGNER, source })?;
        if let Some(expected) = expected
            && signer.fingerprint != expected
        {
            return Err(BundleError::Signer { expected, got: signer.fingerprint });
        }
        let refused = |source: SealError| BundleError::Seal { member: SEALED, source };
        signer.verify(&bytes, &signature).map_err(refused)?;

        let unreadable = |cause: String| BundleError::Manifest { cause };
        let manifest: Manifest = serde_json::from_slice(&bytes).map_err(|error| unreadable(error.to_string()))?;
        if manifest.schema != SCHEMA {
            return Err(unreadable(format!("expected schema {SCHEMA}, got {:?}", excerpt(&manifest.schema))));
        }
        let manifest_sha256 = Sha256::of(&bytes);
        drop(bytes);
        let mut problems = Differences::default();
        self.check_members(&manifest, &mut problems)?;
        if problems.count == 0 {
            self.check_reports(&manifest, &mut problems)?;
        }
        problems.none()?;
        Ok(Verified { manifest, manifest_sha256, signer })
    }

    /// A file that is read at once.
    fn small(&self, name: &'static str, limit: u64) -> Result<Vec<u8>, BundleError> {
        let reader = self.reader(name).ok_or(BundleError::NotABundle { missing: name })??;
        let mut bytes = Vec::new();
        read(name, reader.take(limit.saturating_add(1)).read_to_end(&mut bytes))?;
        if bytes.len() as u64 > limit {
            return Err(BundleError::Contents { problems: vec![format!("{name} has more than {limit} bytes")] });
        }
        Ok(bytes)
    }

    fn check_members(&self, manifest: &Manifest, problems: &mut Differences) -> Result<(), BundleError> {
        let mut listed = BTreeSet::from([MANIFEST, SIGNATURE]);
        for ManifestMember { path, size, sha256 } in &manifest.members {
            let shown = excerpt(path);
            if !listed.insert(path) {
                problems.add(format!("{shown:?} is listed twice"));
            }
            let Some(reader) = self.reader(path) else {
                problems.add(format!("{shown:?} is missing"));
                continue;
            };
            let mut reader = Hashing::new(reader?.take(size.saturating_add(1)));
            read(path, io::copy(&mut reader, &mut io::sink()))?;
            let (_, got, got_size) = reader.finish();
            if got_size > *size {
                problems.add(format!("expected {size} bytes in {shown:?}, got more"));
            } else if got_size < *size {
                problems.add(format!("expected {size} bytes in {shown:?}, got {got_size}"));
            } else if got != *sha256 {
                problems.add(format!("expected SHA-256 {sha256} of {shown:?}, got {got}"));
            }
        }
        for path in self.paths().filter(|path| !listed.contains(path)) {
            problems.add(format!("{:?} is not in the manifest", excerpt(path)));
        }
        Ok(())
    }

    fn check_reports(&self, manifest: &Manifest, problems: &mut Differences) -> Result<(), BundleError> {
        let stated = manifest.reports.iter().map(|report| (&report.udi, report.report_id, report.payload_sha256));
        let mut found =
            Found { stated: stated.enumerate().map(|(index, key)| (key, index)).collect(), ways: Vec::new() };
        found.ways.resize(manifest.reports.len(), 0);
        let limits = Limits::own();
        for ManifestMember { path, .. } in &manifest.members {
            let way = match path.split_once('/') {
                Some(("single", _)) => SINGLE,
                Some(("unassigned", _)) => UNASSIGNED,
                Some(_) => continue,
                None if path.starts_with("UD_SA_") => ARCHIVED,
                None => continue,
            };
            let Some(reader) = self.reader(path) else { continue };
            let mut reader = reader?;
            if way == ARCHIVED {
                let mut visit = |step: Step<'_>| match step {
                    Step::File { place, bytes, .. } if place.ends_with(".txt") => {
                        found.take(place, &bytes, ARCHIVED, problems);
                    }
                    Step::File { .. } | Step::Enter { .. } | Step::Leave { .. } => {}
                };
                if let Err(error) = archive::walk(path, &mut reader, &limits, &mut visit) {
                    problems.add(error.to_string());
                }
            } else {
                let mut bytes = Vec::new();
                read(path, reader.take(limits.member_bytes).read_to_end(&mut bytes))?;
                found.take(path, &bytes, way, problems);
            }
        }
        for (report, ways) in manifest.reports.iter().zip(&found.ways) {
            let place = match *ways {
                0 | ARCHIVED => "the files",
                SINGLE => "the archives",
                _ => continue,
            };
            let (udi, id, payload) = (&report.udi, report.report_id, report.payload_sha256.short());
            problems.add(format!("report {id} of {udi} with payload {payload} is not in {place}"));
        }
        Ok(())
    }
}

/// Any of the three may be the one that was changed.
const SEALED: &str = "manifest.json, manifest.sig or signer.pem";

/// The ways in which a report is in a bundle: alone and in an archive, or alone for a person to choose.
const SINGLE: u8 = 1;
const ARCHIVED: u8 = 2;
const UNASSIGNED: u8 = 4;

/// The reports of the manifest, and the ways in which each was found.
struct Found<'a> {
    stated: HashMap<(&'a Udi, ReportId, Sha256), usize>,
    ways: Vec<u8>,
}

impl Found<'_> {
    fn take(&mut self, path: &str, bytes: &[u8], way: u8, problems: &mut Differences) {
        let file = match rum_file::read(bytes) {
            Ok(file) => file,
            Err(error) => return problems.add(format!("{:?}: {error}", excerpt(path))),
        };
        if !file.problems.is_whole() {
            problems.add(format!("{:?}: {}", excerpt(path), file.problems.sentences().join("; ")));
        }
        let stated = &self.stated;
        for facts in file.reports.iter().map(|report| &report.facts) {
            let fault = match stated.get(&(&facts.udi, facts.report_id, facts.payload_sha256)) {
                Some(index) if self.ways[*index] & way == 0 => {
                    self.ways[*index] |= way;
                    continue;
                }
                Some(_) => "a second time",
                None => "unannounced",
            };
            let (udi, id, payload) = (&facts.udi, facts.report_id, facts.payload_sha256.short());
            problems.add(format!("report {id} of {udi} with payload {payload} is in {:?} {fault}", excerpt(path)));
        }
    }
}

/// What is not as the manifest states; of many only the first are told.
#[derive(Default)]
struct Differences {
    told: Vec<String>,
    count: usize,
}

impl Differences {
    fn add(&mut self, problem: String) {
        self.count += 1;
        if self.told.len() < MOST_PROBLEMS {
            self.told.push(problem);
        }
    }

    fn none(mut self) -> Result<(), BundleError> {
        let more = self.count - self.told.len();
        if more > 0 {
            self.told.push(format!("and {more} more"));
        }
        if self.count == 0 { Ok(()) } else { Err(BundleError::Contents { problems: self.told }) }
    }
}

fn read<T>(path: &str, result: io::Result<T>) -> Result<T, BundleError> {
    result.map_err(|source| BundleError::Io { doing: "read", path: path.into(), source })
}
