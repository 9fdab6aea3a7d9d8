//! What stands in a row: who it is, what was measured of it, and what that rests on.

use jiff::Timestamp;

use super::estate::{Subject, Survey};
use super::names::Names;
use super::rollup::millionth;
use super::row::{Detail, DetailRun, Entry, MeasuredState, NotedChange, Row, SourceReport};
use super::uses::Use;
use crate::domain::bundle;
use crate::domain::deadline::ObligationState;
use crate::domain::fleet::Instance;
use crate::domain::plan::Watched;
use crate::domain::state::{DeviceState, Model};
use crate::domain::status::{self, Open};
use crate::domain::timeline::{Origin, Run, Seconds, What, members_at};

impl Survey<'_> {
    /// All that is not about a licence.
    pub(super) fn plain(&self, subject: Subject<'_>, open: &Open<'_>) -> Row {
        let Subject { udi, then, any, device } = subject;
        let told = then.map(|instance| {
            status::row(self.then, open, Some(instance), device, self.settings, self.as_of, self.as_of)
        });
        let account = bundle::account(device, then);
        let own = |instance: &Instance| instance.members.iter().find(|member| member.udi == *udi).map(|own| own.role);
        Row {
            site: device.map(|device| device.site.clone()).or(any.map(|any| any.site.clone())).unwrap_or_default(),
            environment: device.and_then(|device| device.environment.clone()),
            tags: device.map(|device| device.tags.clone()).unwrap_or_default(),
            smart_account: account.smart_account,
            virtual_account: account.virtual_account,
            device: any.and_then(|any| any.device.clone()),
            pid: Some(udi.pid.to_string()),
            sn: Some(udi.sn.to_string()),
            uuid: any.and_then(|any| any.uuid.clone()),
            ha_role: then.and_then(own),
            os: any.and_then(|any| any.os.clone()),
            software_version: then.and_then(|then| then.software.clone()),
            model: told.as_ref().map_or(Model::Unknown, |told| told.model),
            reporter: device.map(|device| device.reporter),
            first_seen: any.map(|any| any.first_seen),
            last_ack: told.as_ref().and_then(|told| told.last_ack),
            due: told.as_ref().and_then(|told| told.due),
            days_left: told.as_ref().and_then(|told| told.days_left),
            state: told.as_ref().map_or(ObligationState::Unknown, |told| told.state),
            ..empty()
        }
    }

    /// A device of the inventory that never told who it is.
    pub(super) fn unreached(&self, device: &Watched) -> Row {
        Row {
            site: device.site.clone(),
            environment: device.environment.clone(),
            tags: device.tags.clone(),
            smart_account: device.account.smart_account.clone(),
            virtual_account: device.account.virtual_account.clone(),
            device: Some(device.name.clone()),
            reporter: Some(device.reporter),
            ..empty()
        }
    }

    /// The row, and if wanted what it rests on.
    pub(super) fn entry(
        &self,
        subject: Subject<'_>,
        one: &Use<'_>,
        plain: &Row,
        names: &Names<'_>,
        detailed: bool,
    ) -> Entry {
        let (from, to) = (self.from(), self.to());
        let instant = |at: Seconds| Timestamp::from_second(at).ok();
        let history = &one.history;
        let at = history.measured_at(to);
        let past = |run: &&Run| run.is_measured() && run.start <= to;
        let last = at.or_else(|| history.runs().iter().rev().find(past));
        let peak = history.peak(from, to);
        let share = history.share(from, to);
        let source = last.and_then(|run| self.source(one, run));
        let naming = names.naming(one.tag.as_ref(), one.said.clone());
        let begun = one.timelines.iter().filter_map(|(_, timeline)| timeline.first()).filter(|first| *first <= to);
        let seen = history.runs().first().map(|run| run.start).filter(|start| *start <= to);
        let first = begun.chain(seen).min().and_then(instant);
        let observed = history.at(to).filter(|run| at.is_none() && !run.is_measured());
        let row = Row {
            entitlement_tag: one.tag.clone(),
            license_name: naming.name,
            license_type: naming.license_type,
            tier: naming.tier,
            quantity: at.map(|run| run.value),
            quantity_peak: peak.map(|peak| peak.value),
            quantity_peak_at: peak.and_then(|peak| instant(peak.at)),
            quantity_average: history.average(from, to).map(millionth),
            quantity_reserved: one.reserved,
            measured_state: self.measured_state(subject, one, at.is_some(), last),
            first_seen: first.or(plain.first_seen),
            last_measured: last.and_then(|run| instant(run.end.min(to))),
            last_report_id: source.as_ref().map(|source| source.report_id),
            source_sha256: source.map(|source| source.sha256),
            quantity_last: last.filter(|_| at.is_none()).map(|run| run.value),
            quantity_observed: observed.map(|run| run.value),
            coverage: millionth(share.measured),
            coverage_observed: millionth(share.observed),
            family: naming.family,
            ..plain.clone()
        };
        let until = last.map(|run| run.end.min(to));
        Entry { row, detail: if detailed { self.detail(one, until) } else { Detail::default() } }
    }

    fn measured_state(&self, subject: Subject<'_>, one: &Use<'_>, measured: bool, last: Option<&Run>) -> MeasuredState {
        if measured {
            return MeasuredState::Measured;
        }
        if one.history.within(self.from(), self.to()).any(|run| run.is_measured()) {
            return MeasuredState::NotYetMeasured;
        }
        let state = subject.then.and_then(|instance| instance.state.as_ref());
        let unused = state.is_some() && one.stated.unwrap_or(0) == 0;
        match state.map_or(Model::Unknown, |state| state.model) {
            Model::SpecificLicenseReservation | Model::PermanentLicenseReservation => return MeasuredState::Reserved,
            Model::ClassicSmartLicensing | Model::Traditional | Model::Disabled => return MeasuredState::Unmeasurable,
            Model::Slp | Model::Unknown => {}
        }
        if one.reserved.is_some() && unused {
            return MeasuredState::Reserved;
        }
        match last {
            Some(_) if unused => MeasuredState::NothingToReport,
            Some(_) => MeasuredState::Stale,
            None if state.is_some_and(DeviceState::uses_nothing) => MeasuredState::NothingToReport,
            None => MeasuredState::NotYetMeasured,
        }
    }

    fn source(&self, one: &Use<'_>, run: &Run) -> Option<SourceReport> {
        let Origin::Report { chassis, report } = run.origin else { return None };
        let (udi, timeline) = one.timelines.get(usize::try_from(chassis).ok()?)?;
        let source = timeline.source(report)?;
        Some(SourceReport { udi: (*udi).clone(), report_id: report, sha256: source.object })
    }

    fn detail(&self, one: &Use<'_>, measured_until: Option<Seconds>) -> Detail {
        let (from, to) = (self.from(), self.to());
        let mut detail = Detail::default();
        for run in one.history.within(from, to) {
            let (Ok(start), Ok(end)) = (Timestamp::from_second(run.start), Timestamp::from_second(run.end)) else {
                continue;
            };
            let source = self.source(one, &run);
            let report_id = source.as_ref().map(|source| source.report_id);
            detail.runs.push(DetailRun { start, end, quantity: run.value, report_id });
            if let Some(source) = source
                && !detail.reports.contains(&source)
            {
                detail.reports.push(source);
            }
        }
        for (_, timeline) in &one.timelines {
            for change in timeline.changes().iter().filter(|change| from <= change.at && change.at <= to) {
                let Ok(at) = Timestamp::from_second(change.at) else { continue };
                let (what, seconds, member) = match &change.what {
                    What::ClockMoved(seconds) => ("clock-moved", Some(*seconds), None),
                    What::Reloaded => ("reloaded", None, None),
                    What::Left(member) => ("left", None, Some(member.clone())),
                    What::Joined(member) => ("joined", None, Some(member.clone())),
                };
                detail.changes.push(NotedChange { at, what: what.to_owned(), seconds, member });
            }
        }
        detail.changes.sort_by_key(|change| change.at);
        if let Some(until) = measured_until {
            let timelines: Vec<_> = one.timelines.iter().map(|(_, timeline)| *timeline).collect();
            detail.members = members_at(&timelines, until).into_iter().cloned().collect();
        }
        detail
    }
}

impl DeviceState {
    /// It told of its licences, and uses none.
    fn uses_nothing(&self) -> bool {
        self.model == Model::Slp && !self.licenses.iter().any(|license| license.in_use())
    }
}

fn empty() -> Row {
    Row {
        site: Default::default(),
        environment: None,
        tags: Vec::new(),
        smart_account: None,
        virtual_account: None,
        device: None,
        pid: None,
        sn: None,
        uuid: None,
        ha_role: None,
        os: None,
        software_version: None,
        model: Model::Unknown,
        reporter: None,
        entitlement_tag: None,
        license_name: None,
        license_type: None,
        tier: None,
        quantity: None,
        quantity_peak: None,
        quantity_average: None,
        quantity_reserved: None,
        measured_state: MeasuredState::NotYetMeasured,
        first_seen: None,
        last_measured: None,
        last_report_id: None,
        last_ack: None,
        due: None,
        days_left: None,
        state: ObligationState::Unknown,
        source_sha256: None,
        quantity_peak_at: None,
        quantity_last: None,
        quantity_observed: None,
        coverage: 0.0,
        coverage_observed: 0.0,
        clock_uncertainty_seconds: None,
        family: None,
    }
}
