//! The comparison by cases, and its laws.

use super::*;
use crate::domain::fleet::Retirement;
use crate::domain::instance::{Member, Role};
use crate::domain::plan::tests::watched as device;
use crate::domain::report::ReportId;
use crate::domain::settings::Mode;
use crate::domain::state::{DeviceState, Stamp};

fn at(day: &str) -> Timestamp {
    format!("{day}T00:00:00Z").parse().unwrap()
}

fn now() -> Timestamp {
    at("2026-06-30")
}

pub(super) fn udi(number: usize) -> Udi {
    Udi::new("C9300-24T", format!("FOC{number:08}"))
}

pub(super) fn account(smart: &str, virtual_account: &str) -> Account {
    Account { smart_account: Some(smart.into()), virtual_account: Some(virtual_account.into()) }
}

fn seen(udi: Udi, account: Account, contact: Option<&str>) -> Seen {
    Seen { udi, account, last_contact: contact.map(at), host: None }
}

pub(super) fn scope() -> Scope {
    Scope { reporter: None, routes: Vec::new(), smart_accounts: Vec::new(), tolerance: TOLERANCE }
}

/// One that was acknowledged on that day, in `example / Branch` by its own word.
pub(super) fn add(fleet: &mut Fleet, number: usize, acked: Option<&str>) {
    let mut instance = Instance::new(udi(number), at("2026-01-01"));
    instance.device = Some(format!("edge-{number}").as_str().into());
    let mut state = DeviceState {
        smart_account: Some("Example".into()),
        virtual_account: Some("Branch".into()),
        ..DeviceState::default()
    };
    state.usage_reporting.last_ack = acked.map(|day| Stamp::utc(at(day))).map(Into::into);
    instance.state = Some(state);
    fleet.instances.insert(udi(number), instance.into());
}

pub(super) fn one(acked: Option<&str>) -> Fleet {
    let mut fleet = Fleet::default();
    add(&mut fleet, 0, acked);
    fleet
}

fn found(fleet: &Fleet, seen: &[Seen]) -> Vec<About> {
    compare(fleet, &[], seen, &scope(), now()).into_iter().map(|difference| difference.about).collect()
}

#[test]
fn agreement_is_no_difference() {
    let fleet = one(Some("2026-06-01"));
    assert_eq!(found(&fleet, &[seen(udi(0), account(" example ", "BRANCH"), Some("2026-06-01"))]), []);
    // What is not told makes none.
    assert_eq!(found(&fleet, &[seen(udi(0), Account::default(), None)]), []);
}

#[test]
fn who_is_known_on_one_side_only() {
    let mut fleet = one(Some("2026-06-01"));
    let stranger = seen(Udi::new("c9300-48P", "FOC9"), Account::default(), None);
    assert_eq!(found(&fleet, std::slice::from_ref(&stranger)), [About::OnlyHere, About::OnlyThere]);
    // A family of which nothing is polled here.
    assert_eq!(found(&fleet, &[seen(Udi::new("UCM", "X1"), Account::default(), None)]), [About::OnlyHere]);
    // Cisco cannot know what was never acknowledged.
    assert_eq!(found(&one(None), &[]), []);
    let mut old = one(None);
    let instance = old.instances.get_mut(&udi(0)).unwrap();
    instance.acknowledged.insert(&udi(0), ReportId(7));
    assert_eq!(found(&old, &[]), [About::OnlyHere]);
    // Who left the inventory keeps his obligation, so that he is looked for there.
    fleet.instances.get_mut(&udi(0)).unwrap().device = None;
    assert_eq!(found(&fleet, &[]), [About::OnlyHere]);
}

#[test]
fn who_was_retired_is_told_of_only_when_it_lives_on() {
    let mut fleet = one(Some("2026-03-01"));
    add(&mut fleet, 1, None);
    let retired = Retirement { at: at("2026-04-01"), note: None, replaced_by: None, by: None };
    fleet.instances.get_mut(&udi(0)).unwrap().retired = Some(retired.into());
    assert_eq!(found(&fleet, &[]), []);
    let elsewhere = account("Other", "Branch");
    for (contact, differences) in
        [(None, vec![]), (Some("2026-03-31"), vec![]), (Some("2026-04-02"), vec![About::OnlyThere])]
    {
        assert_eq!(found(&fleet, &[seen(udi(0), elsewhere.clone(), contact)]), differences, "{contact:?}");
    }
}

#[test]
fn every_chassis_of_a_stack_is_the_same_instance() {
    let mut fleet = one(Some("2026-06-01"));
    fleet.instances.get_mut(&udi(0)).unwrap().members =
        vec![Member { role: Role::Standby, udi: Udi::new("C9500-16X", "FOC7") }];
    fleet.aliases.insert(Udi::new("C9500-16X", "FOC7"), udi(0));
    let standby = seen(Udi::new("C9500-16X", "FOC7"), account("Example", "Branch"), Some("2026-06-01"));
    assert_eq!(found(&fleet, std::slice::from_ref(&standby)), []);
    // The active in an old account, the standby in the right one and in touch: that is enough.
    let active = seen(udi(0), account("Example", "Old"), Some("2026-01-01"));
    assert_eq!(found(&fleet, &[active.clone(), standby]), []);
    let there = account("Example", "Old");
    let about = found(&fleet, &[active]);
    assert!(matches!(&about[..], [About::Account { there: told, .. }, About::Contact { .. }] if *told == there));
    // A member's family is polled too.
    let stranger = seen(Udi::new("C9500-40X", "FOC8"), Account::default(), None);
    assert_eq!(found(&fleet, &[stranger]), [About::OnlyHere, About::OnlyThere]);
}

#[test]
fn contact_is_older_there_only_beyond_the_tolerance_and_what_is_under_way() {
    let there = |day: &str| [seen(udi(0), account("Example", "Branch"), Some(day))];
    let contact = |fleet: &Fleet, day: &str| !found(fleet, &there(day)).is_empty();
    let fleet = one(Some("2026-06-20"));
    assert!(!contact(&fleet, "2026-06-06"));
    assert!(contact(&fleet, "2026-06-05"));
    assert!(!contact(&fleet, "2026-06-29"));
    let mut fleet = one(Some("2026-05-01"));
    for (handed, told) in [("2026-06-16", false), ("2026-06-15", true)] {
        fleet.instances.get_mut(&udi(0)).unwrap().last_handed_over = Some(at(handed));
        assert_eq!(contact(&fleet, "2026-05-01"), told, "handed over on {handed}");
    }
    let here = Some(at("2026-06-15"));
    assert_eq!(found(&fleet, &there("2026-05-01")), [About::Contact { there: Some(at("2026-05-01")), here }]);
}

#[test]
fn the_operators_word_on_the_account_comes_first() {
    let fleet = one(Some("2026-06-01"));
    let mut listed = device("edge-0", Mode::Collect, 0);
    listed.account.virtual_account = Some("Head".into());
    let head = [seen(udi(0), account("example", "head"), None)];
    assert_eq!(compare(&fleet, &[listed], &head, &scope(), now()), []);
    let here = account("Example", "Branch");
    assert_eq!(found(&fleet, &head), [About::Account { there: account("example", "head"), here }]);
}

#[test]
fn a_smart_account_has_a_name_and_a_domain() {
    let fleet = one(Some("2026-06-01"));
    let names = vec![("Example Ltd".to_owned(), "example".to_owned())];
    let scope = Scope { smart_accounts: names, ..scope() };
    let found = |there: &Account| compare(&fleet, &[], &[seen(udi(0), there.clone(), None)], &scope, now());
    assert_eq!(found(&account("Example Ltd", "Branch")), []);
    let here = account("Example", "Branch");
    let about = |there: &Account| found(there).into_iter().map(|difference| difference.about).collect::<Vec<_>>();
    assert_eq!(
        about(&account("EXAMPLE LTD", "Head")),
        [About::Account { there: account("Example", "Head"), here: here.clone() }]
    );
    let other = account("Example Inc", "Branch");
    assert_eq!(about(&other), [About::Account { there: other.clone(), here }]);
}

#[test]
fn only_what_the_upstream_can_know_is_looked_for_there() {
    let fleet = one(Some("2026-06-01"));
    let only_here = |scope: &Scope, watched: &[Watched]| compare(&fleet, watched, &[], scope, now()).len();
    for (routes, found) in
        [(&["Other"][..], 0), (&["Other", "EXAMPLE"], 1), (&["example/branch"], 1), (&["example/Head"], 0)]
    {
        let routes = routes.iter().map(|route| route.parse().unwrap()).collect();
        assert_eq!(only_here(&Scope { routes, ..scope() }, &[]), found);
    }
    let on_prem = Scope { reporter: Some(Reporter::OnPrem), ..scope() };
    let mut listed = device("edge-0", Mode::Collect, 0);
    assert_eq!(only_here(&on_prem, std::slice::from_ref(&listed)), 0);
    listed.reporter = Reporter::OnPrem;
    assert_eq!(only_here(&on_prem, &[listed]), 1);
}

#[test]
fn what_is_found_again_keeps_its_day() {
    let difference = |about: About, since: &str| Difference { about, udi: udi(0), since: at(since) };
    let elsewhere = |there: &str| About::Account { there: account(there, "A"), here: account("here", "A") };
    let contact = |there: &str| About::Contact { there: Some(at(there)), here: Some(at("2026-06-01")) };
    let before = [difference(elsewhere("x"), "2026-02-01"), difference(contact("2026-01-01"), "2026-03-01")];
    let mut again = [
        difference(elsewhere("x"), "2026-06-01"),
        difference(contact("2026-01-02"), "2026-06-01"),
        difference(About::OnlyHere, "2026-06-01"),
    ];
    carry(&before, &mut again);
    assert_eq!(again.each_ref().map(|one| one.since), [at("2026-02-01"), at("2026-03-01"), at("2026-06-01")]);
    let mut moved = [difference(elsewhere("y"), "2026-06-01")];
    carry(&before, &mut moved);
    assert_eq!(moved[0].since, at("2026-06-01"));
}

/// A fleet and a list made up by chance, with strangers, doubles, stacks, retired ones and other accounts.
fn chance(random: &mut fastrand::Rng) -> (Fleet, Vec<Seen>) {
    let (mut fleet, mut list) = (Fleet::default(), Vec::new());
    for number in 0..random.usize(1..40) {
        add(&mut fleet, number, random.bool().then_some("2026-06-01"));
        let instance = fleet.instances.get_mut(&udi(number)).unwrap();
        if random.u8(..) < 40 {
            instance.retired =
                Some(Retirement { at: at("2026-05-01"), note: None, replaced_by: None, by: None }.into());
        }
        if random.u8(..) < 40 {
            let member = Udi::new("C9300-48T", format!("M{number}"));
            instance.members.push(Member { role: Role::Member, udi: member.clone() });
            fleet.aliases.insert(member, udi(number));
        }
    }
    for _ in 0..random.usize(0..60) {
        let number = random.usize(0..50);
        let whose = if random.bool() { udi(number) } else { Udi::new("C9300-48T", format!("M{number}")) };
        let virtual_account = ["Branch", "Head", "Other"][random.usize(0..3)];
        let contact = ["2026-01-01", "2026-05-15", "2026-06-20"][random.usize(0..3)];
        list.push(seen(whose, account("Example", virtual_account), random.bool().then_some(contact)));
    }
    (fleet, list)
}

#[test]
fn the_order_in_which_it_lists_does_not_matter_and_saying_it_twice_neither() {
    let mut random = fastrand::Rng::with_seed(7);
    for _ in 0..200 {
        let (fleet, mut list) = chance(&mut random);
        let first = compare(&fleet, &[], &list, &scope(), now());
        assert!(first.is_sorted());
        random.shuffle(&mut list);
        assert_eq!(compare(&fleet, &[], &list, &scope(), now()), first);
        let twice: Vec<Seen> = list.iter().chain(&list).cloned().collect();
        assert_eq!(compare(&fleet, &[], &twice, &scope(), now()), first);
        assert_eq!(Counts::of(&first).total(), first.len() as u64);
    }
}

#[test]
fn the_whole_list_of_a_fleet_leaves_nobody_only_here_and_none_of_it_only_there() {
    let mut random = fastrand::Rng::with_seed(8);
    for _ in 0..200 {
        let (fleet, mut list) = chance(&mut random);
        list.retain(|seen| fleet.resolve(&seen.udi).is_some_and(|instance| instance.retired.is_none()));
        list.extend(fleet.instances.keys().map(|udi| seen(udi.clone(), Account::default(), None)));
        let found = compare(&fleet, &[], &list, &scope(), now());
        let counts = Counts::of(&found);
        assert_eq!((counts.only_here, counts.only_there), (0, 0));
    }
}

/// Joined by name: were each looked for in the whole of the other list, this would not end.
#[test]
fn a_hundred_thousand_against_a_hundred_thousand() {
    const COUNT: usize = 100_000;
    let mut fleet = Fleet::default();
    for number in 0..COUNT {
        add(&mut fleet, number, Some("2026-06-01"));
    }
    let list: Vec<Seen> =
        (COUNT / 2..COUNT + COUNT / 2).map(|number| seen(udi(number), account("Example", "Branch"), None)).collect();
    let counts = Counts::of(&compare(&fleet, &[], &list, &scope(), now()));
    let half = (COUNT / 2) as u64;
    assert_eq!(counts, Counts { only_here: half, only_there: half, ..Counts::default() });
}
