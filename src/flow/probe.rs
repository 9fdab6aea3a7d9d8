//! One device looked at from every side: which access works, why others do not, and what would mend them. Reads only;
//! what follows of trust, credentials and contact is kept as a poll keeps it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Error, House};
use crate::config::Device;
use crate::device::mend::{self, Mend};
use crate::device::probe::{self as asked, Tried};
use crate::device::ssh::Negotiated;
use crate::domain::digest::Sha256;
use crate::domain::event::Blame;
use crate::domain::instance::{DeviceName, Udi};
use crate::domain::settings::{Access, FileWay, Os};
use crate::domain::state::Model;

/// What a probe found.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Probe {
    pub device: DeviceName,
    pub address: Option<String>,
    /// Why nothing was tried, or not everything.
    pub stopped: Option<String>,
    /// In the order of trying.
    pub accesses: Vec<Tested>,
    pub not_tried: Vec<Access>,
    /// What a poll would take: the access that is set, else the first that let us in.
    pub chosen: Option<Access>,
    /// What would tell the state, where the chosen access cannot.
    pub teller: Option<Access>,
    pub identity: Option<Identified>,
    pub clock: Option<DeviceClock>,
    /// SHA-256 of the certificate that was shown.
    pub certificate: Option<Sha256>,
    pub ssh: Vec<Agreed>,
    pub files: Vec<Way>,
}

/// One access.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Tested {
    pub access: Access,
    pub works: bool,
    /// Which licensing model it tells, where it does.
    pub model: Option<Model>,
    pub identifies: bool,
    /// How many reports it lists.
    pub reports: usize,
    pub remark: Option<String>,
    pub failure: Option<(Blame, String)>,
    pub mend: Vec<Mend>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Identified {
    pub udi: Udi,
    pub os: String,
    pub software: Option<String>,
    pub hostname: Option<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DeviceClock {
    pub text: String,
    pub utc: Option<Timestamp>,
    pub ours: Timestamp,
    /// The device's clock minus ours, in seconds.
    pub ahead_seconds: Option<i64>,
}

/// What one SSH server and we agreed upon.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Agreed {
    pub access: Access,
    pub server: String,
    pub kex: String,
    pub host_key_algorithm: String,
    pub host_key_type: String,
    /// As OpenSSH prints it.
    pub fingerprint: String,
    pub cipher: String,
    /// Empty where the cipher has one of its own.
    pub mac_out: String,
    pub mac_in: String,
    pub outdated: Vec<String>,
}

/// One way of files.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Way {
    pub way: FileWay,
    /// Off the device.
    pub get: bool,
    /// Onto it: inferred, because nothing is put.
    pub put: bool,
    pub failure: Option<String>,
    pub mend: Vec<Mend>,
}

impl Probe {
    pub fn works(&self) -> bool {
        self.accesses.iter().any(|tested| tested.works)
    }
}

/// Probes one device.
pub async fn probe(house: &House, device: &Device) -> Result<Probe, Error> {
    if !device.within_reach() {
        return Err(Error::Input(format!("'{}' has no way in: a person carries everything for it", device.name)));
    }
    let _turn = house.turn(&device.name).await;
    let _first = house.first_login(device).await;
    let mut probe = Probe {
        device: device.name.clone(),
        address: device.authority(),
        stopped: None,
        accesses: Vec::new(),
        not_tried: Vec::new(),
        chosen: None,
        teller: None,
        identity: None,
        clock: None,
        certificate: None,
        ssh: Vec::new(),
        files: Vec::new(),
    };
    if let Some(reason) = house.hold(device) {
        probe.stopped = Some(reason);
        return Ok(probe);
    }
    let terms = match house.terms(device).await {
        Ok(terms) => terms,
        Err(error) => {
            probe.stopped = Some(error.to_string());
            return Ok(probe);
        }
    };
    let address = terms.address.clone();
    let found = asked::probe(terms, house.config.poll.device_timeout, || house.clock.now()).await;
    tell(&mut probe, &found);
    if found.works() {
        house.logged_in(device);
    }
    let proven = found.proven.clone();
    let failure = found.failure(&address);
    let now = house.clock.now();
    let facts = house.contact_facts(device, proven, failure.as_ref());
    if !facts.is_empty() {
        house.ledger.append_async(now, facts, Vec::new()).await?;
    }
    if probe.works() {
        house.ledger.note_contacts_async(vec![(device.name.clone(), now)]).await?;
    }
    Ok(probe)
}

fn tell(probe: &mut Probe, found: &asked::Probe) {
    probe.accesses = found.tried.iter().map(|tried| tested(found.os, tried)).collect();
    probe.not_tried.clone_from(&found.left);
    if let (Some(last), false) = (found.tried.last(), found.left.is_empty()) {
        probe.stopped = Some(format!("after what {} answered nothing else may be tried", last.access));
    }
    (probe.chosen, probe.teller) = (found.chosen, found.teller);
    probe.identity = found.identity.as_ref().map(|identity| Identified {
        udi: identity.udi.clone(),
        os: identity.os.to_owned(),
        software: identity.software.clone(),
        hostname: identity.hostname.clone(),
    });
    probe.clock = found.clock.as_ref().map(|reading| DeviceClock {
        text: reading.device.text.to_string(),
        utc: reading.device.utc,
        ours: reading.ours,
        ahead_seconds: reading.device.utc.map(|utc| utc.duration_since(reading.ours).as_secs()),
    });
    probe.certificate = found.proven.certificate;
    probe.ssh = found.tried.iter().filter_map(|tried| Some(agreed(tried.access, tried.negotiated.as_ref()?))).collect();
    probe.files = found
        .ways
        .iter()
        .map(|found_way| {
            let (way, works) = (found_way.way, found_way.failure.is_none());
            Way {
                way,
                get: works,
                put: works && way != FileWay::Inline,
                failure: found_way.failure.as_ref().map(ToString::to_string),
                mend: if works { Vec::new() } else { mend::of_way(found.os, way) },
            }
        })
        .collect();
    let ssh = found.tried.iter().find(|tried| tried.access == Access::Ssh);
    if let Some(shut) = ssh.and_then(|ssh| ssh.told.as_ref().err())
        && found.ways.iter().all(|way| way.way == FileWay::Inline)
    {
        let over_ssh = [FileWay::Scp, FileWay::Sftp].map(|way| {
            let failure = Some(format!("it goes over SSH: {shut}"));
            Way { way, get: false, put: false, failure, mend: Vec::new() }
        });
        probe.files.splice(0..0, over_ssh);
    }
}

fn tested(os: Option<Os>, tried: &Tried) -> Tested {
    let access = tried.access;
    match &tried.told {
        Err(error) => Tested {
            access,
            works: false,
            model: None,
            identifies: false,
            reports: 0,
            remark: tried.entered.then(|| "it let us in, and then failed".to_owned()),
            failure: Some((error.blame(), error.to_string())),
            mend: mend::of_access(os, access, error),
        },
        Ok(told) => {
            let silent = access == Access::Rest && !told.identifies;
            let state_only = access == Access::Netconf && os == Some(Os::IosXr);
            let remark = if silent {
                Some("it tells no state: another access must, or RESTCONF beside it".to_owned())
            } else if state_only {
                Some("this system's models tell its state and no more".to_owned())
            } else if !told.identifies {
                Some("it does not tell who it is".to_owned())
            } else {
                None
            };
            Tested {
                access,
                works: true,
                model: (told.model != Model::Unknown).then_some(told.model),
                identifies: told.identifies,
                reports: told.reports,
                remark,
                failure: None,
                mend: if silent { mend::of_state() } else { Vec::new() },
            }
        }
    }
}

fn agreed(access: Access, negotiated: &Negotiated) -> Agreed {
    Agreed {
        access,
        server: negotiated.server.clone(),
        kex: negotiated.kex.clone(),
        host_key_algorithm: negotiated.host_key_algorithm.clone(),
        host_key_type: negotiated.host_key_type.clone(),
        fingerprint: negotiated.openssh_fingerprint(),
        cipher: negotiated.cipher.clone(),
        mac_out: negotiated.mac_out.clone(),
        mac_in: negotiated.mac_in.clone(),
        outdated: negotiated.outdated().into_iter().map(str::to_owned).collect(),
    }
}
