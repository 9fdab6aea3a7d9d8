//! A device by its YANG models, over NETCONF or RESTCONF: state is read from the models, reports and answers travel as
//! files that RPCs save, install and delete, and SCP or SFTP carries.
//!
//! IOS XE has all of it; IOS XR tells its state this way and no more.

use super::budget::{Budget, Share};
use super::files::{Files, about_copy, no_way_off};
use super::flash::FileLimits;
use super::netconf::Netconf;
use super::netconf::ios_xe::IosXe;
use super::netconf::ios_xr::IosXr;
use super::own_file::{Folder, OwnFile, Written};
use super::restconf::Restconf;
use super::ssh::{Channel, Ssh, SshTarget};
use super::tape::Tape;
use super::{
    Error, Fetched, Identity, Learned, Limits, Proven, Reach, Session, Span, Usage, Witness, saved_reports, witnessed,
};
use crate::domain::event::{ImportForm, Write};
use crate::domain::fleet::HostKey;
use crate::domain::settings::{Access, Os};
use crate::domain::state::{DeviceState, ListedReport};

const FETCH: &str = "fetch reports";
const IMPORT: &str = "import";

/// Where files of ours stand on IOS XE, first choice first. The models tell no free space.
const FOLDERS: [&str; 2] = ["bootflash:", "flash:"];

/// Who speaks the models.
enum Speaker {
    Restconf(Box<Restconf>),
    IosXe(Box<IosXe<Channel>>),
    IosXr(Box<IosXr<Channel>>),
}

/// A session by YANG models.
pub struct YangFiles {
    speaker: Speaker,
    /// The connection that NETCONF runs over.
    under: Option<Ssh>,
    files: Files,
    limits: Limits,
    budget: Budget,
    learned: Learned,
    /// Files of ours that earlier sessions may have left.
    written: Vec<Written>,
    tape: Tape,
}

/// What a session by models needs to know.
pub(super) struct YangTerms {
    /// Where files go.
    pub files: Option<SshTarget>,
    pub limits: Limits,
    pub budget: Budget,
    pub learned: Learned,
    /// Files of ours that are on record for this device, and no others.
    pub written: Vec<Written>,
    pub tape: Tape,
}

impl YangFiles {
    /// Nothing is sent before the first question.
    pub(super) fn over_restconf(restconf: Restconf, terms: YangTerms) -> Self {
        YangFiles::new(Speaker::Restconf(Box::new(restconf)), None, terms)
    }

    /// Logs in, opens the subsystem and exchanges hellos. `os`: whose models to ask; `None` takes what is announced.
    pub(super) async fn over_netconf(target: &SshTarget, os: Option<Os>, terms: YangTerms) -> Result<Self, Error> {
        let ssh = Ssh::connect(target).await?;
        let netconf = match netconf(&ssh, terms.limits, &terms.budget, &terms.tape).await {
            Ok(netconf) => netconf,
            Err(error) => {
                ssh.close().await;
                return Err(error);
            }
        };
        let xr = netconf.capabilities().revision("Cisco-IOS-XR-infra-smartlicense-oper").is_some();
        let speaker = match os {
            Some(Os::IosXr) => Speaker::IosXr(Box::new(IosXr::new(netconf))),
            None if xr => Speaker::IosXr(Box::new(IosXr::new(netconf))),
            Some(Os::IosXe | Os::NxOs) | None => Speaker::IosXe(Box::new(IosXe::new(netconf))),
        };
        Ok(YangFiles::new(speaker, Some(ssh), terms))
    }

    fn new(speaker: Speaker, under: Option<Ssh>, terms: YangTerms) -> Self {
        let YangTerms { files, limits, budget, learned, written, tape } = terms;
        YangFiles { speaker, under, files: Files::new(files), limits, budget, learned, written, tape }
    }

    pub(super) fn remember(&mut self, access: Access) {
        self.learned.access = Some(access);
    }

    /// What was agreed upon in the SSH connections.
    pub(super) fn negotiated(&self) -> Option<&super::ssh::Negotiated> {
        self.under.as_ref().or(self.files.connected()).map(Ssh::negotiated)
    }

    /// A session of NETCONF that broke off is begun anew on the same connection: what was written must be tidied up and
    /// read back. Nobody logs in again for it.
    async fn awake(&mut self) -> Result<(), Error> {
        let over = match &self.speaker {
            Speaker::Restconf(_) => false,
            Speaker::IosXe(netconf) => netconf.is_over(),
            Speaker::IosXr(netconf) => netconf.is_over(),
        };
        let Some(ssh) = self.under.as_ref().filter(|_| over) else { return Ok(()) };
        let netconf = netconf(ssh, self.limits, &self.budget, &self.tape).await?;
        self.speaker = match &self.speaker {
            Speaker::IosXr(_) => Speaker::IosXr(Box::new(IosXr::new(netconf))),
            Speaker::IosXe(_) | Speaker::Restconf(_) => Speaker::IosXe(Box::new(IosXe::new(netconf))),
        };
        Ok(())
    }

    async fn save(&mut self, usage: Usage, path: &str) -> Result<(), Error> {
        match &mut self.speaker {
            Speaker::Restconf(restconf) => restconf.save_usage(usage, path).await,
            Speaker::IosXe(netconf) => netconf.save_usage(usage, path).await,
            Speaker::IosXr(_) => Err(state_only(FETCH)),
        }
    }

    async fn install(&mut self, path: &str) -> Result<(), Error> {
        match &mut self.speaker {
            Speaker::Restconf(restconf) => restconf.import_file(path).await,
            Speaker::IosXe(netconf) => netconf.import_file(path).await,
            Speaker::IosXr(_) => Err(state_only(IMPORT)),
        }
    }

    async fn delete<W: Witness>(&mut self, path: &str, witness: &mut W) -> Result<(), Error> {
        self.awake().await?;
        let speaker = &mut self.speaker;
        witnessed(witness, Write::DeleteOwnFile, &format!("delete {path}"), async {
            match speaker {
                Speaker::Restconf(restconf) => restconf.delete(path).await,
                Speaker::IosXe(netconf) => netconf.delete(path).await,
                Speaker::IosXr(_) => Err(state_only("delete our own file")),
            }
        })
        .await
    }

    /// Deletes what earlier sessions are on record to have left. The models list no files: where nothing is known of a
    /// deletion, one is sent, and that nothing was there is no error.
    async fn clear_away<W: Witness>(&mut self, witness: &mut W) -> Result<(), Error> {
        for left in std::mem::take(&mut self.written).into_iter().filter(|written| !written.deleted) {
            match self.delete(&left.path(), witness).await {
                Ok(()) | Err(Error::Declined { .. } | Error::Failed { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Saves to a file of ours in the first folder that the device takes. `Ok(None)`: nothing to save.
    async fn saved<W: Witness>(&mut self, usage: Usage, witness: &mut W) -> Result<Option<(Folder, OwnFile)>, Error> {
        self.clear_away(witness).await?;
        let file = OwnFile::fresh()?;
        let mut refused = None;
        for folder in FOLDERS {
            let folder =
                Folder::try_from(folder).map_err(|error| Error::Ours { step: FETCH, cause: error.to_string() })?;
            let path = file.within(&folder);
            let detail = match usage {
                Usage::All => format!("rum-save-usage-all to {path}"),
                Usage::Unreported => format!("rum-save-usage-unreported to {path}"),
                Usage::Days(days) => format!("rum-save-usage-days, {days} days, to {path}"),
            };
            match witnessed(witness, Write::SaveUsage, &detail, self.save(usage, &path)).await {
                Ok(()) => return Ok(Some((folder, file))),
                Err(Error::Declined { said, code, .. }) if is_nothing(&code, &said) => return Ok(None),
                Err(error @ Error::Declined { .. }) => refused = Some(error),
                Err(error) => {
                    self.tidy(&error, &path, witness).await;
                    return Err(error);
                }
            }
        }
        Err(refused.unwrap_or_else(|| state_only(FETCH)))
    }

    /// After a write of which nobody knows what became: a file may be there, whole or in part. What cannot be tidied
    /// up now is on record for the next session.
    async fn tidy<W: Witness>(&mut self, failure: &Error, path: &str, witness: &mut W) {
        if matches!(failure, Error::Unreachable { .. } | Error::FileRefused { .. } | Error::Misbehaved { .. }) {
            drop(self.delete(path, witness).await);
        }
    }
}

async fn netconf(ssh: &Ssh, limits: Limits, budget: &Budget, tape: &Tape) -> Result<Netconf<Channel>, Error> {
    let channel = ssh.subsystem("netconf").await?;
    Netconf::open_taped(channel, ssh.address(), limits, budget.clone(), tape).await
}

/// The licensing error `notfound`: there is nothing to save.
fn is_nothing(code: &str, said: &str) -> bool {
    code == "notfound" || said.to_ascii_lowercase().contains("not found")
}

fn state_only(step: &'static str) -> Error {
    let cause = "this system's models tell its state and no more".to_owned();
    Error::NoWayForFiles { step, tried: cause }
}

impl Session for YangFiles {
    async fn state(&mut self) -> Result<(Option<Identity>, DeviceState), Error> {
        self.awake().await?;
        match &mut self.speaker {
            Speaker::Restconf(restconf) => restconf.state().await,
            Speaker::IosXe(netconf) => netconf.state().await,
            Speaker::IosXr(netconf) => netconf.state().await,
        }
    }

    /// The closed reports are in the state already.
    async fn list(&mut self) -> Result<Vec<ListedReport>, Error> {
        Ok(Vec::new())
    }

    async fn fetch<W: Witness>(&mut self, span: &Span, witness: &mut W) -> Result<Fetched, Error> {
        let usage = match span {
            Span::All | Span::One(_) => Usage::All,
            Span::Unreported => Usage::Unreported,
            Span::Days(days) => Usage::Days(*days),
        };
        // Saving ends the running reports: not for nothing, where no file can come off.
        self.files.ssh().await?;
        let Some((folder, file)) = self.saved(usage, witness).await? else {
            return Ok(Fetched { reports: Vec::new(), problems: Vec::new(), _share: None });
        };
        let path = file.within(&folder);
        let mut share: Share = self.budget.share(self.limits.body).await;
        let limits = FileLimits { size: self.limits.body, ..FileLimits::default() };
        let mut tried = Vec::new();
        let got = self.files.get(&folder, &file, limits, &mut self.learned, &mut tried).await;
        let deleted = self.delete(&path, witness).await;
        let bytes = got?.ok_or_else(|| no_way_off(&tried))?;
        share.keep(bytes.len() as u64);
        let (reports, mut problems) = saved_reports(FETCH, &bytes)?;
        if let Err(error) = deleted {
            problems.push(format!("{path} stays on the device: {error}"));
        }
        Ok(Fetched { reports, problems, _share: Some(share) })
    }

    async fn close_reports<W: Witness>(&mut self, _: &mut W) -> Result<(), Error> {
        let cause = "the models close reports by saving them".to_owned();
        Err(Error::Ours { step: "close reports", cause })
    }

    async fn import<W: Witness>(&mut self, file: &[u8], _: &ImportForm, witness: &mut W) -> Result<(), Error> {
        if matches!(self.speaker, Speaker::IosXr(_)) {
            return Err(state_only(IMPORT));
        }
        self.clear_away(witness).await?;
        let own = OwnFile::fresh()?;
        let limits = FileLimits { size: self.limits.body, ..FileLimits::default() };
        let mut refused = None;
        for folder in FOLDERS {
            let folder =
                Folder::try_from(folder).map_err(|error| Error::Ours { step: IMPORT, cause: error.to_string() })?;
            let path = own.within(&folder);
            let putting = self.files.put(&folder, &own, file, limits, &mut self.learned);
            match witnessed(witness, Write::CopyFile, &about_copy(&path, file), putting).await {
                Ok(()) => {}
                Err(error @ Error::NoWayForFiles { .. }) => {
                    refused = Some(error);
                    continue;
                }
                Err(error) => {
                    self.tidy(&error, &path, witness).await;
                    return Err(error);
                }
            }
            let detail = format!("import-file {path}");
            let imported = witnessed(witness, Write::ImportFile, &detail, self.install(&path)).await;
            let deleted = self.delete(&path, witness).await;
            imported?;
            return match deleted {
                // The answer is on; that our file stayed is on record.
                Err(Error::Declined { .. } | Error::Failed { .. } | Error::NoLeave { .. }) | Ok(()) => Ok(()),
                Err(error) => Err(error),
            };
        }
        Err(refused.unwrap_or_else(|| state_only(IMPORT)))
    }

    async fn discard<W: Witness>(&mut self, left: &Written, witness: &mut W) -> Result<(), Error> {
        self.delete(&left.path(), witness).await
    }

    fn reach(&self) -> Reach {
        Reach { fetching_closes: true, fetches_each: false, by_file: true }
    }

    fn proven(&self) -> Proven {
        let host_key = self
            .negotiated()
            .map(|agreed| HostKey { fingerprint: agreed.fingerprint, key_type: agreed.host_key_type.clone() });
        let certificate = match &self.speaker {
            Speaker::Restconf(restconf) => restconf.proven(),
            Speaker::IosXe(_) | Speaker::IosXr(_) => None,
        };
        Proven { certificate, host_key }
    }

    fn learned(&self) -> Learned {
        self.learned.clone()
    }

    async fn close(self) {
        match self.speaker {
            Speaker::Restconf(_) => {}
            Speaker::IosXe(netconf) => drop(netconf.close().await),
            Speaker::IosXr(netconf) => drop(netconf.close().await),
        }
        if let Some(ssh) = self.under {
            ssh.close().await;
        }
        self.files.close().await;
    }
}
