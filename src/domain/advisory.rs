//! Releases of License On-Prem (before: SSM On-Prem) against security advisories that Cisco published.
//!
//! A table of what could be confirmed in public sources, each with where from; it is as old as this release of the
//! program, and what is not in it proves nothing. Where the releases concerned could not be confirmed, an advisory is
//! told for every release, as one to be looked up. On-Prem's releases are named by generation, year and month of
//! publication: `8-202206`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// When the table was last compared with what Cisco publishes.
pub const AS_OF: &str = "2026-11-22";

/// A published advisory on License On-Prem.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Advisory {
    pub cve: &'static str,
    /// CVSS base score, in tenths.
    pub score: u8,
    /// One sentence: what somebody may do.
    pub what: &'static str,
    /// The first release that has the mend; `None`: not confirmed which.
    pub fixed: Option<Release>,
    /// Cisco's name of the advisory, where it is known.
    pub id: Option<&'static str>,
    /// Where the releases and the score are from.
    pub source: &'static str,
}

const NVD_COPY: &str = "the CVE record of 2026-10-07, which names no release";
const HARDENING: Option<&str> = Some("cisco-sa-hardening-ssm-Ph77wdhf");

/// Newest first.
pub const ADVISORIES: &[Advisory] = &[
    Advisory {
        cve: "CVE-2026-76482",
        score: 100,
        what: "without a login, much may be done by input that is not verified",
        fixed: None,
        id: HARDENING,
        source: NVD_COPY,
    },
    Advisory {
        cve: "CVE-2026-76480",
        score: 98,
        what: "without a login, functions may be used that should ask for one",
        fixed: None,
        id: HARDENING,
        source: NVD_COPY,
    },
    Advisory {
        cve: "CVE-2026-76483",
        score: 91,
        what: "without a login, credentials that are not protected enough may be had",
        fixed: None,
        id: HARDENING,
        source: NVD_COPY,
    },
    Advisory {
        cve: "CVE-2026-76454",
        score: 91,
        what: "without a login, any file may be written through the interface for device pushes (CSLU API)",
        fixed: None,
        id: None,
        source: NVD_COPY,
    },
    Advisory {
        cve: "CVE-2026-20328",
        score: 91,
        what: "without a login, the password of any account may be reset",
        fixed: None,
        id: None,
        source: NVD_COPY,
    },
    Advisory {
        cve: "CVE-2026-76484",
        score: 88,
        what: "with a login, code may be injected",
        fixed: None,
        id: HARDENING,
        source: NVD_COPY,
    },
    Advisory {
        cve: "CVE-2024-20419",
        score: 100,
        what: "without a login, the password of any user may be changed",
        fixed: Some(Release { generation: 8, published: 202_212 }),
        id: Some("cisco-sa-cssm-auth-sLw3uhUy"),
        source: "Centre for Cybersecurity Belgium, advisory 2024-110: 8-202206 and earlier; 9 is not concerned",
    },
    Advisory {
        cve: "CVE-2020-3158",
        score: 98,
        what: "with high availability set up, a built-in password opens a system account",
        fixed: Some(Release { generation: 7, published: 202_001 }),
        id: None,
        source: "the press on Cisco's advisory of February 2020: all before 7-202001",
    },
];

/// A release by its name, such as `8-202206`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Release {
    pub generation: u16,
    /// Year and month.
    pub published: u32,
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{:06}", self.generation, self.published)
    }
}

/// The text names no release of License On-Prem.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a release such as 9-202406, got {0:?}")]
pub struct NotARelease(String);

impl FromStr for Release {
    type Err = NotARelease;

    /// Reads the name as Cisco writes it, with words before and a build behind: `Version 8-202206`, `8-202206.1`.
    fn from_str(text: &str) -> Result<Self, NotARelease> {
        let wrong = || NotARelease(text.chars().take(80).collect());
        let name = text.split_whitespace().find(|word| word.contains('-')).ok_or_else(wrong)?;
        let (generation, rest) = name.split_once('-').ok_or_else(wrong)?;
        let generation = generation.trim_start_matches(['v', 'V']).parse().map_err(|_| wrong())?;
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let published: u32 =
            rest.get(..digits).filter(|date| date.len() == 6).ok_or_else(wrong)?.parse().map_err(|_| wrong())?;
        if !(1..=12).contains(&(published % 100)) || !(2000..2100).contains(&(published / 100)) {
            return Err(wrong());
        }
        Ok(Release { generation, published })
    }
}

/// What an advisory means for a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Concern {
    /// Its release is one that the advisory names.
    Affected,
    /// Its release, or the releases concerned, are not known: a person must look.
    Unknown,
}

/// The advisories that concern a server of this release, or may. `None`: its release is not known, so all may.
pub fn of(release: Option<Release>) -> Vec<(&'static Advisory, Concern)> {
    let concern = |advisory: &Advisory| match (release, advisory.fixed) {
        (Some(release), Some(fixed)) if release >= fixed => None,
        (Some(_), Some(_)) => Some(Concern::Affected),
        (None, _) | (_, None) => Some(Concern::Unknown),
    };
    ADVISORIES.iter().filter_map(|advisory| Some((advisory, concern(advisory)?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn affected(release: &str) -> Vec<&'static str> {
        let found = of(Some(release.parse().unwrap()));
        found
            .into_iter()
            .filter(|(_, concern)| *concern == Concern::Affected)
            .map(|(advisory, _)| advisory.cve)
            .collect()
    }

    #[test]
    fn releases_are_compared_by_generation_and_month() {
        assert_eq!(affected("8-202206"), ["CVE-2024-20419"]);
        assert_eq!(affected("8-202212"), [""; 0]);
        assert_eq!(affected("9-202406"), [""; 0]);
        assert_eq!(affected("7-202001"), ["CVE-2024-20419"]);
        assert_eq!(affected("7-201910"), ["CVE-2024-20419", "CVE-2020-3158"]);
        assert_eq!(affected("6-202301"), ["CVE-2024-20419", "CVE-2020-3158"]);
    }

    #[test]
    fn nothing_is_safe_for_want_of_knowing() {
        let all = of(None);
        assert_eq!(all.len(), ADVISORIES.len());
        assert!(all.iter().all(|(_, concern)| *concern == Concern::Unknown));
        let newest = of(Some("9-209912".parse().unwrap()));
        assert!(newest.iter().all(|(advisory, concern)| advisory.fixed.is_none() && *concern == Concern::Unknown));
        assert!(newest.iter().any(|(advisory, _)| advisory.cve == "CVE-2026-76454"));
    }

    #[test]
    fn a_release_is_read_as_it_is_written() {
        for (text, release) in [
            ("8-202206", "8-202206"),
            ("Version 9-202406", "9-202406"),
            ("SSM_On-Prem 8-202102", ""),
            ("v8-202206.1", "8-202206"),
            (" 8-202206_build7 ", "8-202206"),
            ("8-2022", ""),
            ("8-202213", ""),
            ("8-2022061", ""),
            ("17.12.4", ""),
            ("-", ""),
            ("", ""),
            ("99999-202206", ""),
        ] {
            assert_eq!(text.parse::<Release>().map(|read| read.to_string()).unwrap_or_default(), release, "{text:?}");
        }
    }

    #[test]
    fn each_advisory_says_where_it_is_from() {
        for advisory in ADVISORIES {
            assert!(advisory.cve.starts_with("CVE-") && !advisory.source.is_empty() && advisory.score <= 100);
        }
        assert!(ADVISORIES.is_sorted_by(|a, b| a.cve.get(..8) > b.cve.get(..8) || a.score >= b.score));
    }
}
