//! What to configure on a device so that an access works that does not: a table. Pure.

use serde::{Deserialize, Serialize};

use super::{Complaint, Error};
use crate::domain::settings::{Access, FileWay, Os};

/// One thing to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mend {
    /// `None`: on our side, not on the device.
    pub os: Option<Os>,
    /// A configuration line of that system, or one of our verbs.
    pub line: String,
    pub known: Known,
}

/// How we know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Known {
    /// By a text of Cisco's, or a public tool that relies on it.
    Documented,
    /// From how the system does otherwise: try it on one device first.
    Inferred,
}

use Known::{Documented, Inferred};

type Lines = &'static [(&'static str, Known)];

/// What gives a login the rights that an access needs.
fn rights(os: Os, access: Access) -> Lines {
    match (os, access) {
        (Os::IosXe, Access::Rest | Access::Restconf) => {
            &[("username NAME privilege 15 secret …", Documented), ("ip http authentication local", Documented)]
        }
        (Os::IosXe, Access::Netconf) => &[
            ("username NAME privilege 15 secret …", Documented),
            ("aaa new-model", Inferred),
            ("aaa authentication login default local", Inferred),
            ("aaa authorization exec default local", Inferred),
        ],
        (Os::IosXe, _) => {
            &[("username NAME privilege 15 secret …", Documented), ("aaa authorization exec default local", Inferred)]
        }
        (Os::IosXr, _) => &[("username NAME group root-lr", Inferred)],
        (Os::NxOs, _) => &[("username NAME role network-admin", Inferred)],
    }
}

/// What opens an access.
fn door(os: Os, access: Access) -> Lines {
    match (os, access) {
        (Os::IosXe, Access::Rest) => &[
            ("ip http secure-server", Documented),
            ("ip http authentication local", Documented),
            ("ip http secure-active-session-modules all", Inferred),
        ],
        (Os::IosXe, Access::Restconf) => &[
            ("restconf", Documented),
            ("ip http secure-server", Documented),
            ("ip http authentication local", Documented),
        ],
        (Os::IosXe, Access::Netconf) => &[
            ("netconf-yang", Documented),
            ("aaa new-model", Inferred),
            ("aaa authorization exec default local", Inferred),
        ],
        (Os::IosXe, Access::Ssh) => &[
            ("ip ssh version 2", Inferred),
            ("crypto key generate rsa modulus 3072", Inferred),
            ("line vty 0 4 / transport input ssh", Inferred),
        ],
        (Os::IosXr, Access::Ssh) => &[("ssh server v2", Inferred), ("ssh server vrf default", Inferred)],
        (Os::IosXr, Access::Netconf) => {
            &[("netconf-yang agent ssh", Inferred), ("ssh server netconf vrf default", Inferred)]
        }
        (Os::NxOs, Access::Ssh) => &[("feature ssh", Inferred)],
        (Os::NxOs, Access::NxApi) => &[("feature nxapi", Documented)],
        (_, _) => &[],
    }
}

/// What opens a way of files.
fn road(os: Os, way: FileWay) -> Lines {
    match (os, way) {
        (Os::IosXe, FileWay::Scp) => &[("ip scp server enable", Documented)],
        (Os::NxOs, FileWay::Scp) => &[("feature scp-server", Documented)],
        (Os::NxOs, FileWay::Sftp) => &[("feature sftp-server", Inferred)],
        // Nothing is known that would.
        (Os::IosXr, FileWay::Scp | FileWay::Sftp) | (Os::IosXe, FileWay::Sftp) | (_, FileWay::Inline) => &[],
    }
}

/// What would mend the access. Where the system is not known, for each that has such an access.
pub fn of_access(os: Option<Os>, access: Access, error: &Error) -> Vec<Mend> {
    let ours = |line: &str| vec![Mend { os: None, line: line.to_owned(), known: Documented }];
    match error {
        Error::LoginRefused { .. } => {
            let mut mends = for_systems(os, |os| rights_of(os, access));
            mends.extend(ours("then `slp-collector credential release NAME`"));
            mends
        }
        Error::ChangedCertificate { .. } | Error::ChangedHostKey { .. } => {
            ours("compare with the device, then `slp-collector device trust NAME --accept`")
        }
        Error::NoCommonAlgorithm { remedy, .. } => ours(remedy),
        Error::CommandRefused { complaint: Complaint::Unauthorized, .. }
        | Error::Declined { complaint: Complaint::Unauthorized, .. } => for_systems(os, |os| rights_of(os, access)),
        Error::NoLogin { .. }
        | Error::Untrusted { .. }
        | Error::NoLeave { .. }
        | Error::Ours { .. }
        | Error::Standby { .. } => Vec::new(),
        Error::NotOffered { what, .. } if what == "HTTPS" => ours("give the certificate's `pin` in the inventory"),
        Error::Unreachable { .. }
        | Error::NotOffered { .. }
        | Error::Unsupported { .. }
        | Error::Failed { .. }
        | Error::NoAccess { .. }
        | Error::Declined { .. }
        | Error::CommandRefused { .. }
        | Error::Misbehaved { .. }
        | Error::NoPrompt { .. } => for_systems(os, |os| door(os, access)),
        Error::TooLarge { .. } | Error::FileRefused { .. } | Error::NoWayForFiles { .. } | Error::NoSpace { .. } => {
            Vec::new()
        }
    }
}

/// What would let REST, which tells no state itself, tell it.
pub fn of_state() -> Vec<Mend> {
    vec![Mend { os: Some(Os::IosXe), line: "restconf".to_owned(), known: Documented }]
}

/// What would mend a way of files.
pub fn of_way(os: Option<Os>, way: FileWay) -> Vec<Mend> {
    for_systems(os, |os| road(os, way))
}

fn rights_of(os: Os, access: Access) -> Lines {
    if door(os, access).is_empty() { &[] } else { rights(os, access) }
}

fn for_systems(os: Option<Os>, lines: impl Fn(Os) -> Lines) -> Vec<Mend> {
    let systems = match os {
        Some(os) => vec![os],
        None => vec![Os::IosXe, Os::IosXr, Os::NxOs],
    };
    let mend = |os: Os, (line, known): &(&str, Known)| Mend { os: Some(os), line: (*line).to_owned(), known: *known };
    systems.into_iter().flat_map(|os| lines(os).iter().map(move |line| mend(os, line))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(mends: &[Mend]) -> Vec<&str> {
        mends.iter().map(|mend| mend.line.as_str()).collect()
    }

    #[test]
    fn a_closed_door_is_mended_by_its_own_systems_lines() {
        let shut = Error::Unreachable { step: "x", address: String::new(), cause: String::new() };
        let mends = of_access(Some(Os::IosXe), Access::Rest, &shut);
        assert_eq!(lines(&mends)[..2], ["ip http secure-server", "ip http authentication local"]);
        assert!(mends.iter().any(|mend| mend.known == Inferred), "what is inferred is marked");
        assert_eq!(lines(&of_access(None, Access::NxApi, &shut)), ["feature nxapi"]);
        let unknown = of_access(None, Access::Netconf, &shut);
        assert!(unknown.iter().any(|mend| mend.os == Some(Os::IosXe)));
        assert!(unknown.iter().any(|mend| mend.os == Some(Os::IosXr)));
        assert!(unknown.iter().all(|mend| mend.os != Some(Os::NxOs)));
    }

    #[test]
    fn a_refused_login_is_mended_by_rights_and_then_released() {
        let refused = Error::LoginRefused { step: "x", refusal: super::super::Refusal::Http(401) };
        let mends = of_access(Some(Os::NxOs), Access::Ssh, &refused);
        assert_eq!(lines(&mends), ["username NAME role network-admin", "then `slp-collector credential release NAME`"]);
    }

    #[test]
    fn every_access_of_every_system_has_lines() {
        for (os, accesses) in [
            (Os::IosXe, &[Access::Rest, Access::Ssh, Access::Netconf, Access::Restconf][..]),
            (Os::IosXr, &[Access::Ssh, Access::Netconf]),
            (Os::NxOs, &[Access::Ssh, Access::NxApi]),
        ] {
            assert!(accesses.iter().all(|access| !door(os, *access).is_empty()), "{os}");
        }
        assert_eq!(lines(&of_way(Some(Os::IosXe), FileWay::Scp)), ["ip scp server enable"]);
        assert_eq!(lines(&of_way(Some(Os::NxOs), FileWay::Scp)), ["feature scp-server"]);
    }
}
