//! Laws that hold for every fleet: random ones, whose seed is printed where a law is broken (`SLP_SEED` repeats it).
//!
//! Times are mostly ordinary and now and then the first or last that there is; numbers likewise.

use std::cell::Cell;
use std::collections::BTreeMap;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use slp_collector::domain::alert::{self, Daily, Ladder};
use slp_collector::domain::deadline::{self, ObligationState};
use slp_collector::domain::digest::Sha256;
use slp_collector::domain::event::*;
use slp_collector::domain::fleet::{Fleet, OnPrem};
use slp_collector::domain::instance::{Account, DeviceName, Member, Role, Site, Udi};
use slp_collector::domain::monitor::{self, Thresholds};
use slp_collector::domain::overview::Overview;
use slp_collector::domain::pacing::{Circuit, CircuitRule, Pacing, Setback};
use slp_collector::domain::plan::{self, Run, Settings, Watched};
use slp_collector::domain::policy::{ClassPolicy, Policy};
use slp_collector::domain::report::{EntitlementTag, Measurement, ReportFacts, ReportId, ReportType};
use slp_collector::domain::settings::{Mode, Reporter};
use slp_collector::domain::state::*;
use slp_collector::domain::status;
use slp_collector::domain::violation::{self, find, news};
use slp_collector::domain::window::Windows;
use slp_collector::domain::{calendar, forecast, on_prem};
use slp_collector::ledger::{Ledger, Options, RegisterKind};

const DAY: i64 = 86_400;
/// The instant around which ordinary times lie.
const PRESENT: i64 = 1_790_000_000;

/// Runs a law over many worlds.
fn always(worlds: u64, law: impl Fn(&mut Dice)) {
    let given = std::env::var("SLP_SEED").ok().and_then(|seed| seed.parse().ok());
    let first = given.unwrap_or(20_261_122);
    for seed in first..first + if given.is_some() { 1 } else { worlds } {
        let told = Told(seed);
        law(&mut Dice(fastrand::Rng::with_seed(seed)));
        drop(told);
    }
}

/// Names the seed when a law is broken.
struct Told(u64);

impl Drop for Told {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("SLP_SEED={}", self.0);
        }
    }
}

/// Throws values.
struct Dice(fastrand::Rng);

impl Dice {
    fn one_in(&mut self, sides: u32) -> bool {
        self.0.u32(..sides) == 0
    }

    fn of<T: Clone>(&mut self, among: &[T]) -> T {
        among[self.0.usize(..among.len())].clone()
    }

    fn maybe<T>(&mut self, value: impl FnOnce(&mut Self) -> T) -> Option<T> {
        let there = !self.one_in(3);
        there.then(|| value(self))
    }

    /// Within two years of the present.
    fn near(&mut self) -> Timestamp {
        Timestamp::from_second(PRESENT + self.0.i64(-730 * DAY..730 * DAY)).expect("a time")
    }

    fn time(&mut self) -> Timestamp {
        match self.0.u32(..20) {
            0 => Timestamp::MIN,
            1 => Timestamp::MAX,
            2 => Timestamp::from_second(self.0.i64(-300_000_000_000..250_000_000_000)).expect("a time"),
            _ => self.near(),
        }
    }

    fn days(&mut self) -> u32 {
        match self.0.u32(..12) {
            0 => 0,
            1 => u32::MAX,
            _ => self.of(&[1, 7, 30, 90, 180, 365]),
        }
    }

    fn span(&mut self) -> SignedDuration {
        match self.0.u32(..12) {
            0 => SignedDuration::ZERO,
            1 => SignedDuration::MAX,
            _ => SignedDuration::from_secs(self.0.i64(..60 * DAY).abs() % (60 * DAY)),
        }
    }

    fn class(&mut self) -> ClassPolicy {
        ClassPolicy {
            first_report_days: self.maybe(Self::days),
            reporting_frequency_days: self.maybe(Self::days),
            report_on_change_days: self.maybe(Self::days),
        }
    }

    fn policy(&mut self) -> Policy {
        Policy {
            name: self.maybe(|dice| dice.of(&["A", "B"]).to_owned()),
            ack_required: self.maybe(|dice| dice.0.bool()),
            perpetual: self.maybe(Self::class),
            subscription: self.maybe(Self::class),
            enforced: self.maybe(Self::class),
            export: self.maybe(Self::class),
            installed: self.maybe(Self::stamp),
            ..Policy::default()
        }
    }

    fn stamp(&mut self) -> Stamp {
        if self.one_in(10) { Stamp { text: "never".into(), utc: None } } else { Stamp::utc(self.time()) }
    }

    fn name(&mut self) -> DeviceName {
        DeviceName::from(format!("edge-{}", self.0.u32(..12)))
    }

    fn udi(&mut self) -> Udi {
        Udi::new("C9300-24T", format!("INVENTED{}", self.0.u32(..12)))
    }

    fn site(&mut self) -> Site {
        Site(self.of(&["", "north", "south"]).into())
    }

    fn license(&mut self) -> License {
        License {
            name: self.maybe(|dice| dice.of(&["network-advantage", "CUBE_T_STD"]).to_owned()).map(Into::into),
            count: self.maybe(|dice| dice.of(&[0, 1, u64::MAX])),
            license_type: self.maybe(|dice| dice.of(&["Subscription", "Perpetual", "?"]).to_owned()).map(Into::into),
            enforcement: self
                .maybe(|dice| dice.of(&["NOT ENFORCED", "ENFORCED", "EXPORT RESTRICTED"]).to_owned())
                .map(Into::into),
            ..License::default()
        }
    }

    fn state(&mut self) -> DeviceState {
        let models = [Model::Slp, Model::Slp, Model::Slp, Model::Unknown, Model::ClassicSmartLicensing];
        DeviceState {
            model: self.of(&models),
            smart_account: self.maybe(|_| "Invented".to_owned()).map(Into::into),
            virtual_account: self.maybe(|_| "Default".to_owned()).map(Into::into),
            transport: self
                .maybe(|dice| Transport {
                    kind: dice.maybe(|dice| dice.of(&["off", "cslu", "smart"]).to_owned()),
                    url: None,
                })
                .map(Into::into),
            policy: self.maybe(Self::policy).map(Into::into),
            usage_reporting: UsageReporting {
                last_ack: self.maybe(Self::stamp).map(Into::into),
                next_ack_deadline: self.maybe(Self::stamp).map(Into::into),
                push_interval_days: self.maybe(Self::days),
                last_push: self.maybe(Self::stamp).map(Into::into),
                ..UsageReporting::default()
            },
            licenses: (0..self.0.u32(..4)).map(|_| self.license().into()).collect(),
            reports: self
                .maybe(|dice| ReportSummary {
                    purged: dice.maybe(|dice| dice.of(&[0, 3, u64::MAX])),
                    acknowledged: dice.maybe(|dice| dice.of(&[0, 3, u64::MAX])),
                    available: dice.maybe(|dice| dice.of(&[0, 3, u64::MAX])),
                    ..ReportSummary::default()
                })
                .map(Into::into),
            authorizations: self.maybe(|_| Authorizations::default()).map(Into::into),
            ..DeviceState::default()
        }
    }

    fn report(&mut self, udi: Udi) -> Fact {
        let id = ReportId(self.0.u64(..50));
        let bytes = Sha256::of(format!("{udi} {id}").as_bytes());
        let measurements = (0..self.0.usize(..3)).map(|_| Measurement {
            metric: "ENTITLEMENT".to_owned(),
            start: self.maybe(Self::time),
            end: self.maybe(Self::time),
            samples: None,
            value: self.maybe(|dice| dice.of(&[0, 1, u64::MAX])),
            termination_reason: None,
            close_reason: None,
            clock_change_seconds: self.maybe(|dice| dice.of(&[0, i64::MIN, i64::MAX])),
            added: Vec::new(),
            removed: Vec::new(),
        });
        let measurements = measurements.collect();
        Fact::ReportCollected(ReportCollected {
            device: None,
            report: ReportFacts {
                report_id: id,
                payload_version: None,
                udi,
                product_instance_identifier: None,
                software_tag: None,
                software_version: None,
                entitlement_tag: self.maybe(|dice| EntitlementTag(dice.of(&["regid.a", "regid.b"]).into())),
                report_type: self.of(&[ReportType::Entitlement, ReportType::Entitlement, ReportType::Telemetry]),
                members: Vec::new(),
                signing_type: None,
                payload_sha256: bytes,
                measurements,
            },
            object: bytes,
            source: Source::Import,
            parser: 1,
            presumed_acknowledged: self.one_in(8),
            feature: None,
        })
    }

    /// Something that becomes known.
    fn fact(&mut self, fleet: &Fleet) -> Fact {
        let udi = self.udi();
        match self.0.u32(..16) {
            0..4 => Fact::DeviceIdentified(DeviceIdentified {
                device: self.name(),
                site: self.site(),
                members: if self.one_in(4) {
                    vec![Member { role: Role::Standby, udi: self.udi() }]
                } else {
                    Vec::new()
                },
                udi,
                uuid: None,
                os: self.of(&["ios-xe", "ios-xr", "nx-os"]).to_owned(),
                software: self.maybe(|dice| dice.of(&["17.12.4", "17.3.2"]).to_owned()),
                hostname: None,
                clock_skew_seconds: self.maybe(|dice| dice.of(&[0, 7200, i64::MIN, i64::MAX])),
            }),
            4..9 => Fact::StateRead(StateRead { udi, state: Box::new(self.state()) }),
            9..11 => self.report(udi),
            11 => Fact::ContactLost(ContactLost {
                device: self.name(),
                blame: Blame::Unreachable,
                cause: "no answer".to_owned(),
            }),
            12 => Fact::OnPremSynced(OnPremSynced {
                name: self.of(&["ssm-1", "ssm-2"]).to_owned(),
                synced: self.time(),
                note: None,
            }),
            13 => Fact::BundleMade(BundleMade {
                bundle_id: self.of(&["b-1", "b-2"]).to_owned(),
                nonce: String::new(),
                site: None,
                manifest_sha256: Sha256::of(b""),
                name: String::new(),
                uploads: Vec::new(),
                reports: fleet
                    .instances
                    .values()
                    .flat_map(|instance| &instance.owed)
                    .filter(|_| self.0.bool())
                    .map(|owed| BundledReport {
                        udi: owed.udi.clone(),
                        report_id: owed.report_id,
                        payload_sha256: owed.payload_sha256,
                    })
                    .collect(),
                previous_bundle_id: None,
            }),
            14 => Fact::BundleHandedOver(BundleHandedOver {
                bundle_id: self.of(&["b-1", "b-2"]).to_owned(),
                handed_over: self.time(),
                note: String::new(),
            }),
            _ if self.one_in(4) => {
                Fact::DeviceRetired(DeviceRetired { device: None, udi: Some(udi), note: "sold".to_owned() })
            }
            _ => Fact::AnswerReceived(AnswerReceived {
                object: Sha256::of(udi.sn.as_bytes()),
                name: "ACK".to_owned(),
                udi,
                parts: Vec::new(),
                bundle_id: Some("b-1".to_owned()),
                reports: vec![ReportId(self.0.u64(..50))],
                assigned: None,
                licences: Vec::new(),
            }),
        }
    }

    /// The times of its events may go back.
    fn fleet(&mut self) -> Fleet {
        let mut fleet = Fleet::default();
        for _ in 0..self.0.u32(5..80) {
            let fact = self.fact(&fleet);
            fleet.apply(&Event { by: None, at: self.time(), fact });
        }
        for _ in 0..self.0.u32(..8) {
            fleet.contacts.insert(self.name(), self.time());
        }
        fleet
    }

    fn watched(&mut self) -> Vec<Watched> {
        let mut watched = Vec::new();
        for n in 0..12 {
            if self.one_in(5) {
                continue;
            }
            watched.push(Watched {
                name: DeviceName::from(format!("edge-{n}")),
                site: self.site(),
                mode: self.of(&[Mode::Observe, Mode::Collect, Mode::Deliver]),
                reporter: self.of(&[Reporter::Collector, Reporter::Collector, Reporter::OnPrem]),
                within_reach: !self.one_in(6),
                credential: self.maybe(|_| "net".to_owned()).map(Into::into),
                exchange_lead: self.span(),
                account: Account::default(),
                offset: self.span(),
                jitter: self.0.f64(),
                windows: Windows::default(),
                tags: if self.one_in(4) { vec!["voice".to_owned()] } else { Vec::new() },
                environment: None,
            });
        }
        watched.sort_by(|a, b| a.name.cmp(&b.name));
        watched
    }

    fn settings(&mut self) -> Settings {
        Settings {
            rules: deadline::Rules {
                due_soon: self.span(),
                ios_xe: self.policy(),
                ios_xr: self.policy(),
                nx_os: self.policy(),
            },
            stale_after: self.span(),
            close_within: self.span(),
            retry_after: self.span(),
            attempts: self.days(),
            credential_hold_after: self.of(&[0, 3, usize::MAX]),
            back_off: self.span(),
            circuit: CircuitRule { after: self.days(), pause: self.span() },
            gates: Vec::new(),
            violations: violation::Rules::default(),
            alerts: alert::Rules {
                ladder: Ladder {
                    rungs: (0..self.0.u32(..6)).map(|_| self.days()).collect(),
                    daily: Daily {
                        at: self.of(&[jiff::civil::Time::MIN, jiff::civil::time(7, 0, 0, 0), jiff::civil::Time::MAX]),
                        zone: self.of(&[
                            TimeZone::UTC,
                            TimeZone::fixed(jiff::tz::Offset::MIN),
                            TimeZone::fixed(jiff::tz::Offset::MAX),
                        ]),
                    },
                },
                group_wait: self.span(),
                group_interval: self.span(),
                maintenance: BTreeMap::new(),
            },
        }
    }

    fn pacing(&mut self) -> Pacing {
        let mut pacing = Pacing::default();
        for _ in 0..self.0.u32(..4) {
            pacing.setbacks.insert(self.name(), Setback { failures: self.days(), last: self.time() });
            pacing.circuits.insert(self.site(), Circuit::default());
        }
        pacing
    }
}

fn apply(fleet: &mut Fleet, at: Timestamp, facts: Vec<Fact>) {
    for fact in facts {
        fleet.apply(&Event { by: None, at, fact });
    }
}

/// Without those of the statement that are no rule of ours: what the device states does not follow from an ACK of ours.
#[test]
fn an_earlier_ack_never_gives_a_later_deadline() {
    always(300, |dice| {
        let (mut fleet, settings) = (dice.fleet(), dice.settings());
        let at = dice.time();
        for instance in fleet.instances.values_mut() {
            let (one, other) = (dice.time(), dice.time());
            let mut due = |ack: Timestamp| {
                if let Some(state) = &mut instance.state {
                    state.usage_reporting.last_ack = Some(Stamp::utc(ack).into());
                }
                let standing = deadline::standing(instance, SignedDuration::ZERO, &settings.rules, at);
                // Beyond the last of all times is later than any.
                [standing.due, standing.computed].map(|due| due.unwrap_or(Timestamp::MAX))
            };
            let (earlier, later) = (due(one.min(other)), due(one.max(other)));
            assert!(earlier[0] <= later[0] && earlier[1] <= later[1], "{one} {other}: {earlier:?} {later:?}");
            // A policy counts as an ACK when it is installed.
            let installed = instance.state.as_ref().and_then(|state| state.policy.as_ref()?.installed.as_ref()?.utc);
            if let (Some(state), Some(installed)) = (&mut instance.state, installed) {
                state.reports.get_or_insert_default().acknowledged = Some(0);
                let mut due = |ack: Timestamp| {
                    let state = instance.state.as_mut().expect("it was there");
                    state.usage_reporting.last_ack = Some(Stamp::utc(ack).into());
                    let standing = deadline::standing(instance, SignedDuration::ZERO, &settings.rules, at);
                    standing.computed.unwrap_or(Timestamp::MAX)
                };
                let around = [one.min(installed), installed, one.max(installed)].map(&mut due);
                assert!(around.is_sorted(), "{one} installed {installed}: {around:?}");
            }
        }
    });
}

#[test]
fn looking_twice_changes_nothing() {
    let (news_seen, told) = (Cell::new(0), Cell::new(0));
    always(300, |dice| {
        let (mut fleet, watched, settings) = (dice.fleet(), dice.watched(), dice.settings());
        for _ in 0..3 {
            let now = dice.time();
            let found = find(&fleet, &watched, &settings, now);
            let facts = news(&fleet, found, now);
            news_seen.set(news_seen.get() + facts.len());
            apply(&mut fleet, now, facts);
            let again = news(&fleet, find(&fleet, &watched, &settings, now), now);
            assert!(again.is_empty(), "{again:?}");
            let made = alert::tell(&fleet, &watched, &settings, now);
            told.set(told.get() + made.len());
            apply(&mut fleet, now, made.into_iter().map(|made| Fact::MessageMade(Box::new(made))).collect());
            let again = alert::tell(&fleet, &watched, &settings, now);
            assert!(again.is_empty(), "{again:?}");
            let again = news(&fleet, find(&fleet, &watched, &settings, now), now);
            assert!(again.is_empty(), "what was told is no news: {again:?}");
        }
    });
    assert!(news_seen.get() > 0 && told.get() > 0, "{} facts, {} messages", news_seen.get(), told.get());
}

#[test]
fn a_plan_is_the_same_twice_and_asks_nobody_twice() {
    always(300, |dice| {
        let (fleet, watched, settings, pacing) = (dice.fleet(), dice.watched(), dice.settings(), dice.pacing());
        let (now, next) = (dice.time(), dice.maybe(Dice::time));
        let mut run = Run { due: dice.time(), until: dice.time(), ..Run::default() };
        let first = plan::plan(&fleet, &watched, &settings, &pacing, Some(&run), next, now);
        assert_eq!(first, plan::plan(&fleet, &watched, &settings, &pacing, Some(&run), next, now));
        run.tried.extend(first.poll.iter().map(|task| task.device.clone()));
        let second = plan::plan(&fleet, &watched, &settings, &pacing, Some(&run), next, now);
        assert!(second.poll.is_empty(), "{second:?}");
        assert_eq!(second.deliver, first.deliver);
    });
}

#[test]
fn overdue_is_never_hidden_by_contact() {
    always(200, |dice| {
        let (mut fleet, watched, settings) = (dice.fleet(), dice.watched(), dice.settings());
        let (at, now) = (dice.time(), dice.time());
        let shown = |fleet: &Fleet| {
            let rows = status::rows(fleet, &watched, &settings, at, now);
            let shown = rows.into_iter().map(|row| (row.name(), row.state, row.due, row.leave_by, row.violations));
            shown.collect::<Vec<_>>()
        };
        let overdue = |fleet: &Fleet| {
            let found = find(fleet, &watched, &settings, at);
            let by_deadline = found.into_iter().filter(|found| {
                matches!(found.kind, violation::Kind::AckOverdue | violation::Kind::FirstReportOverdue)
            });
            by_deadline.map(|found| found.subject).collect::<Vec<_>>()
        };
        let before = (shown(&fleet), overdue(&fleet));
        fleet.contacts.clear();
        assert_eq!((shown(&fleet), overdue(&fleet)), before);
        fleet.contacts = watched.iter().map(|device| (device.name.clone(), dice.time())).collect();
        assert_eq!((shown(&fleet), overdue(&fleet)), before);
        for (name, known) in &mut fleet.devices {
            let cause = format!("{name} does not answer");
            known.trouble =
                Some(slp_collector::domain::fleet::Trouble { since: at, blame: Blame::Unreachable, cause }.into());
        }
        assert_eq!((shown(&fleet), overdue(&fleet)), before);
    });
}

#[test]
fn every_overdue_instance_is_shown_as_a_violation() {
    always(200, |dice| {
        let (fleet, watched, settings, now) = (dice.fleet(), dice.watched(), dice.settings(), dice.time());
        let found = find(&fleet, &watched, &settings, now);
        for instance in fleet.instances.values() {
            let standing = deadline::standing(instance, SignedDuration::ZERO, &settings.rules, now);
            let told = found.iter().any(|found| {
                found.subject == violation::Subject::Instance(instance.udi.clone())
                    && matches!(found.kind, violation::Kind::AckOverdue | violation::Kind::FirstReportOverdue)
            });
            assert_eq!(standing.state == ObligationState::Overdue, told, "{}", instance.udi);
        }
    });
}

#[test]
fn nothing_finite_panics() {
    always(400, |dice| {
        let (mut fleet, watched, settings) = (dice.fleet(), dice.watched(), dice.settings());
        // Each look at another time, the later ones before the earlier ones too.
        for _ in 0..4 {
            let (at, now) = (dice.time(), dice.time());
            for instance in fleet.instances.values() {
                let standing = deadline::standing(instance, dice.span(), &settings.rules, at);
                assert!(!standing.reason.to_string().is_empty());
            }
            let rows = status::rows(&fleet, &watched, &settings, at, now);
            assert!(rows.len() >= watched.len());
            let all = status::Register::of(&fleet, &watched, &settings, at, now).with_retired().rows();
            assert!(all.len() >= rows.len());
            assert!(calendar::calendar(&rows, now).ends_with("END:VCALENDAR\r\n"));
            let days = if dice.one_in(100) { u16::MAX } else { 90 };
            let weeks = forecast::forecast(&rows, days, now);
            assert!(!weeks.is_empty());
            let (warning, critical) = (dice.span(), dice.span());
            let health = monitor::judge(&rows, fleet.violations.values(), Thresholds { warning, critical }, now);
            assert_eq!(health.obligations, rows.len());
            let server = OnPrem { synced: dice.time(), note: None, told: now };
            assert!(on_prem::standing(&server, at).due.is_some());
            Overview::of(&fleet, &watched, &settings, now);
            let run = Run { due: dice.time(), until: dice.time(), ..Run::default() };
            plan::plan(&fleet, &watched, &settings, &dice.pacing(), Some(&run), dice.maybe(Dice::time), now);
            let found = find(&fleet, &watched, &settings, now);
            let facts = news(&fleet, found, now);
            apply(&mut fleet, now, facts);
            let made = alert::tell(&fleet, &watched, &settings, now);
            apply(&mut fleet, now, made.into_iter().map(|made| Fact::MessageMade(Box::new(made))).collect());
            assert_eq!(alert::digest(&fleet, &watched, &settings, now).at, now);
            let fact = dice.fact(&fleet);
            fleet.apply(&Event { by: None, at: dice.time(), fact });
        }
    });
}

/// Contact is not part of the past: it is not an event.
#[test]
fn the_past_is_told_as_it_was() {
    always(12, |dice| {
        let (watched, settings) = (dice.watched(), dice.settings());
        let shown = |fleet: &Fleet, at: Timestamp| {
            let mut rows = status::rows(fleet, &watched, &settings, at, at);
            rows.iter_mut().for_each(|row| (row.last_contact, row.contact) = (None, deadline::Contact::Never));
            serde_json::to_string(&rows).expect("rows")
        };
        let dir = tempfile::tempdir().expect("a folder");
        let options = Options { register: RegisterKind::Memory, segment_months: false, ..Options::default() };
        let ledger = Ledger::open(dir.path(), options).expect("open");
        let (mut second, mut remembered) = (PRESENT, Vec::new());
        for _ in 0..dice.0.u32(5..25) {
            second += dice.0.i64(1..40 * DAY);
            let at = Timestamp::from_second(second).expect("a time");
            let mut facts = Vec::new();
            for _ in 0..dice.0.u32(1..8) {
                facts.push(dice.fact(&ledger.fleet()));
            }
            let stored = facts.iter().filter(|fact| matches!(fact, Fact::ReportCollected(_))).count();
            let objects = facts.iter().filter_map(|fact| match fact {
                Fact::ReportCollected(fact) => Some(format!("{} {}", fact.report.udi, fact.report.report_id)),
                _ => None,
            });
            let objects: Vec<Vec<u8>> = objects.map(String::into_bytes).collect();
            assert_eq!(objects.len(), stored);
            ledger.append(at, facts, objects).expect("append");
            let found = find(&ledger.fleet(), &watched, &settings, at);
            let facts = news(&ledger.fleet(), found, at);
            ledger.append(at, facts, Vec::new()).expect("append");
            ledger.note_contacts(&[(dice.name(), at)]).expect("contacts");
            remembered.push((at, shown(&ledger.fleet(), at)));
            if dice.one_in(5) {
                ledger.seal().expect("seal");
            }
        }
        for (at, then) in &remembered {
            assert_eq!(shown(&ledger.fleet_at(*at).expect("the past"), *at), *then, "at {at}");
        }
        ledger.close().expect("close");
    });
}
