//! One look at 100,000 instances: what is wrong, who is to be told, what is to be done.
//!
//! `cargo bench --bench plan`; `SLP_BENCH_INSTANCES` makes it smaller. The fleet is in memory and what was found and
//! told is on record, as it is on nearly every look: one that finds nothing new. Figures are of one thread.

mod common;

use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::Instant;

use common::fleet::{self, SITES, name, site};
use common::{at, say, setting};
use jiff::SignedDuration;
use jiff::tz::TimeZone;
use slp_collector::domain::alert::{self, Daily, Ladder};
use slp_collector::domain::deadline::{self, ObligationState};
use slp_collector::domain::event::{Event, Fact};
use slp_collector::domain::fleet::Fleet;
use slp_collector::domain::instance::Account;
use slp_collector::domain::pacing::{CircuitRule, Pacing};
use slp_collector::domain::plan::{self, Run, Settings, Watched};
use slp_collector::domain::policy::Policy;
use slp_collector::domain::settings::{Mode, Reporter};
use slp_collector::domain::state::{DeviceState, Stamp, Transport, UsageReporting};
use slp_collector::domain::status;
use slp_collector::domain::violation::{self, find, news};
use slp_collector::domain::window::Windows;

const LOOKS: usize = 15;

fn main() {
    let instances = setting("SLP_BENCH_INSTANCES", 100_000);
    let (settings, now) = (settings(), at(0));
    let watched: Vec<Watched> = (0..instances).map(watched).collect();
    let mut fleet = Fleet::default();
    for (n, device) in watched.iter().enumerate() {
        apply(&mut fleet, identified(n).into());
        // A hundredth does not answer.
        let days = if n % 100 == 3 { 30 } else { 1 };
        fleet.contacts.insert(device.name.clone(), now - SignedDuration::from_hours(24 * days));
    }
    let found = find(&fleet, &watched, &settings, now);
    let facts = news(&fleet, found, now);
    apply(&mut fleet, facts);
    let made = alert::tell(&fleet, &watched, &settings, now);
    let lines: usize = made.iter().map(|made| made.message.lines.len()).sum();
    let messages = made.len();
    apply(&mut fleet, made.into_iter().map(|made| Fact::MessageMade(Box::new(made))).collect());
    let overdue = |instance: &slp_collector::domain::fleet::Instance| {
        deadline::standing(instance, SignedDuration::ZERO, &settings.rules, now).state == ObligationState::Overdue
    };
    say(&format!(
        "{instances} instances with 3 licences each, {SITES} sites; {} overdue, {} violations, {lines} lines told in \
         {messages} messages",
        fleet.instances.values().filter(|instance| overdue(instance)).count(),
        fleet.violations.len()
    ));

    let pacing = Pacing::default();
    let next = Some(now + SignedDuration::from_hours(24));
    let plan_in = |run: Option<&Run>| plan::plan(&fleet, &watched, &settings, &pacing, run, next, now);
    let begun = Run { due: now, until: now + SignedDuration::from_hours(24), ..Run::default() };
    let mut half = Run { due: now - SignedDuration::from_mins(30), ..begun.clone() };
    half.tried = watched.iter().filter(|one| one.offset.as_mins() < 30).map(|one| one.name.clone()).collect();
    let last = Run { due: now - SignedDuration::from_hours(2), ..begun.clone() };

    let violations = || {
        let found = find(&fleet, &watched, &settings, now);
        assert!(news(&fleet, found, now).is_empty(), "nothing is new");
    };
    let telling = || assert!(alert::tell(&fleet, &watched, &settings, now).is_empty(), "nothing is to be told");
    told("violations found, none of them new", violations);
    told("telling, nothing new", telling);
    told("plan without a run", || drop(black_box(plan_in(None))));
    told("plan at the start of a run", || drop(black_box(plan_in(Some(&begun)))));
    told("plan in the middle of a run", || drop(black_box(plan_in(Some(&half)))));
    told("plan with everybody's turn come", || drop(black_box(plan_in(Some(&last)))));
    told("one judgement and plan in the middle of a run (aim 100 ms)", || {
        violations();
        telling();
        drop(black_box(plan_in(Some(&half))));
    });
    told("rows of `status`", || drop(black_box(status::rows(&fleet, &watched, &settings, now, now))));
}

fn told(what: &str, look: impl Fn()) {
    let one = |_| {
        let start = Instant::now();
        look();
        start.elapsed().as_secs_f64() * 1e3
    };
    let mut times: Vec<f64> = (0..LOOKS).map(one).collect();
    times.sort_by(f64::total_cmp);
    say(&format!("  {what}: least {:.1} ms, median {:.1} ms", times[0], times[times.len() / 2]));
}

fn apply(fleet: &mut Fleet, facts: Vec<Fact>) {
    for fact in facts {
        fleet.apply(&Event { at: at(0), by: None, fact });
    }
}

fn settings() -> Settings {
    let hours = SignedDuration::from_hours;
    let policy = Policy::cisco_default();
    Settings {
        rules: deadline::Rules { due_soon: hours(720), ios_xe: policy.clone(), ios_xr: policy.clone(), nx_os: policy },
        stale_after: hours(72),
        close_within: hours(336),
        retry_after: hours(1),
        attempts: 5,
        credential_hold_after: 3,
        back_off: SignedDuration::from_mins(15),
        circuit: CircuitRule { after: 5, pause: SignedDuration::from_mins(5) },
        gates: Vec::new(),
        violations: violation::Rules::default(),
        alerts: alert::Rules {
            ladder: Ladder {
                rungs: vec![30, 14, 7, 3, 1],
                daily: Daily { at: jiff::civil::time(7, 0, 0, 0), zone: TimeZone::UTC },
            },
            group_wait: SignedDuration::ZERO,
            group_interval: SignedDuration::ZERO,
            maintenance: BTreeMap::new(),
        },
    }
}

fn watched(instance: usize) -> Watched {
    Watched {
        name: name(instance),
        site: site(instance),
        mode: Mode::Deliver,
        reporter: Reporter::Collector,
        within_reach: true,
        credential: Some("routers".into()),
        exchange_lead: SignedDuration::from_hours(240),
        account: Account::default(),
        offset: SignedDuration::from_mins(instance as i64 % 60),
        jitter: 0.0,
        windows: Windows::default(),
        tags: Vec::new(),
        environment: None,
    }
}

/// One in 50 is overdue, one in 20 near its deadline, one in 25 left at a transport without an address.
fn identified(instance: usize) -> [Fact; 2] {
    let days = match instance % 100 {
        1 | 51 => -5,
        2 | 22 | 42 | 62 | 82 => 15,
        other => 60 + other as i64 * 3,
    };
    let at = |days: i64| Some(Stamp::utc(at(0) + SignedDuration::from_hours(24 * days)).into());
    let transport = if instance % 25 == 4 { "cslu" } else { "off" };
    let state = DeviceState {
        transport: Some(Transport { kind: Some(transport.to_owned()), url: None }.into()),
        usage_reporting: UsageReporting {
            last_ack: at(days - 365),
            next_ack_deadline: at(days),
            ..UsageReporting::default()
        },
        ..fleet::state(instance)
    };
    fleet::identified(instance, site(instance), state)
}
