//! What does not answer is not asked for ever, what must not be written to is only read, and whose clock is off is told.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use jiff::{Timestamp, ToSpan};
use lab::spec::Faces;
use lab::{Fault, Spec, specs};
use serde_json::Value;
use slp_collector::control::{self, Reply, Request};
use slp_collector::domain::event::Blame;
use slp_collector::domain::instance::DeviceName;
use slp_collector::flow::poll::{Ask, Polled};
use slp_collector::flow::{Clock, House};

use crate::support::site::{LIMITS, Site};

/// Polls as the control socket would; who ended how.
fn poll(house: &Arc<House>, names: &[&str]) -> BTreeMap<String, Polled> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let devices = names.iter().map(|name| DeviceName::from(*name)).collect();
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let request = Request::Poll { devices, ask: Ask::default() };
    runtime.block_on(control::execute(house, request, &tell)).unwrap();
    drop(tell);
    let mut polled = BTreeMap::new();
    while let Some(reply) = told.blocking_recv() {
        if let Reply::Polled(one) = reply {
            polled.insert(one.device.to_string(), one);
        }
    }
    polled
}

#[test]
fn a_dead_site_costs_a_few_connects_and_one_probe_a_pause() {
    let of_site = |name: String, site: &str| Spec { site: site.to_owned(), ..specs::switch(&name) };
    let mut specs: Vec<Spec> = (0..9).map(|number| of_site(format!("far-{number}"), "far")).collect();
    specs.extend((0..3).map(|number| of_site(format!("near-{number}"), "near")));
    let limits = format!("{LIMITS}concurrency = 1\ncircuit_after = 3\ncircuit_pause = \"5m\"\n");
    let site = Site::with(specs, &limits, |_| "observe");
    let now = Arc::new(AtomicI64::new(Timestamp::now().as_second()));
    let clock = now.clone();
    let clock = Clock::of(move || Timestamp::from_second(clock.load(Ordering::Relaxed)).unwrap());
    let start = clock.now();
    let house = Arc::new(House::new(site.config(), site.ledger(), clock));
    let far = || site.fleet.devices().filter(|device| device.name().starts_with("far"));
    far().for_each(|device| device.set_fault(Fault::RefuseConnection));

    // Three are tried, and no other of that site; the other site is as it was.
    let first = poll(&house, &[]);
    let circuit = format!("site far: circuit open after 3 unreachable devices, next try at {}", start + 5.minutes());
    for (name, polled) in &first {
        let stopped = name.starts_with("far") && name.as_str() > "far-2";
        assert_eq!(polled.not_before, stopped.then_some(start + 5.minutes()), "{name}");
        match &polled.failure {
            None => assert!(name.starts_with("near"), "{name}"),
            Some((blame, cause)) => {
                assert_eq!((*blame, cause == &circuit), (Blame::Unreachable, stopped), "{name}: {cause}");
            }
        }
    }
    assert_eq!(first.len(), 12);
    let troubled = |name: &str| {
        let fleet = house.ledger.fleet();
        fleet.devices.get(&DeviceName::from(name)).is_some_and(|known| known.trouble.is_some())
    };
    assert!(troubled("far-2") && !troubled("far-3"), "of what was not tried nothing is told");
    let tried: Vec<_> = house.pacing().setbacks.into_keys().collect();
    assert_eq!(tried, ["far-0", "far-1", "far-2"].map(DeviceName::from));

    // Within the pause nobody is tried. After it one is; it fails, and the pause begins anew.
    now.fetch_add(299, Ordering::Relaxed);
    assert_eq!(poll(&house, &[]).values().filter(|polled| polled.not_before.is_some()).count(), 9);
    now.fetch_add(1, Ordering::Relaxed);
    let probed = poll(&house, &[]);
    assert!(probed["far-0"].failure.is_some() && probed["far-0"].not_before.is_none());
    assert_eq!(probed.values().filter(|polled| polled.not_before == Some(start + 10.minutes())).count(), 8);
    assert_eq!(house.pacing().setbacks[&DeviceName::from("far-0")].failures, 2);

    // The line is mended, and nobody knows yet: no connection is made before the pause is over.
    far().for_each(lab::Handle::clear_fault);
    poll(&house, &[]);
    assert!(far().all(|device| device.counters().connections == 0));
    // A person who asks for one device gets it tried at once, and that opens the way for all.
    assert_eq!(poll(&house, &["far-8"])["far-8"].failure, None);
    assert!(poll(&house, &[]).values().all(|polled| polled.failure.is_none()));
    assert_eq!(house.pacing(), slp_collector::domain::pacing::Pacing::default());
    house.ledger.clone().close().unwrap();
}

/// Gives every device these windows.
fn set_windows(site: &Site, windows: &str) {
    let file = site.config_file();
    let text = std::fs::read_to_string(&file).unwrap();
    let (text, _) = text.split_once("\n[defaults]").unwrap_or((&text, ""));
    std::fs::write(file, format!("{text}\n[defaults]\nwindows = [{windows:?}]\n")).unwrap();
}

#[test]
fn outside_its_window_a_device_is_read_and_closed_by_a_person_and_its_answer_waits() {
    let mut site = Site::new(vec![specs::switch("edge-1")]);
    // Three days off, whenever this runs.
    let off = (Timestamp::now() + 72.hours()).strftime("%a").to_string();
    set_windows(&site, &format!("{off} 10:00-11:00 UTC"));
    let shown = site.run(["device", "show", "edge-1"]).exits(0);
    assert!(shown.out.contains(&format!("windows          {off} 10:00-11:00 UTC\n")), "{shown:?}");

    site.run(["poll", "--all"]).exits(0);
    site.advance(86_400);
    let closed = site.run(["poll", "--close", "edge-1"]).exits(0);
    assert!(closed.out.contains(", closed,"), "a person's word: {closed:?}");
    let bundle = site.bundle();
    let (answers, refusals) = site.upload(&bundle);
    assert_eq!(refusals, []);
    let answers = site.download(&answers);

    let window = format!("its maintenance window ({off} 10:00-11:00 UTC), which opens at 2");
    let imported = site.import(&answers, &[]).exits(0);
    assert!(imported.out.contains(&format!("; waits for {window}")), "{imported:?}");
    assert!(!imported.out.contains("installed"), "{imported:?}");
    let listed: Value = site.run(["ack", "list", "--format", "json"]).exits(0).json();
    assert!(listed[0]["waits_for"].as_str().is_some_and(|reason| reason.starts_with(&window)), "{listed}");
    let writes = |site: &Site| {
        let ledger = site.ledger();
        let writes = ledger.fleet().devices[&DeviceName::from("edge-1")].writes.clone();
        writes.iter().filter(|write| write.write == slp_collector::domain::event::Write::ImportFile).count()
    };
    assert_eq!(writes(&site), 0);

    set_windows(&site, "daily 00:00-24:00");
    let imported = site.import(&answers, &[]).exits(0);
    assert!(imported.out.contains("edge-1: ") && imported.out.contains("installed"), "{imported:?}");
    assert!(writes(&site) > 0);
}

#[test]
fn a_clock_that_is_off_is_remarked_on_and_kept() {
    let spec = Spec { faces: Faces::ssh_and_scp(), ..specs::switch("edge-1") };
    let site = Site::entered(vec![spec], LIMITS, |_| "observe", |_| "ssh");
    // The lab's clock is five days behind, and a minute is no news.
    let polled = site.run(["poll", "--all"]).exits(0);
    assert!(polled.out.contains("its clock is ") && polled.out.contains(" behind ours"), "{polled:?}");
    let skew = |site: &Site| site.status()[0]["clock_skew_seconds"].as_i64().unwrap();
    let before = skew(&site);
    assert!((-433_000..-431_000).contains(&before), "{before}");
    let shown = site.run(["device", "show", "edge-1"]).exits(0);
    assert!(shown.out.contains("clock            its clock is "), "{shown:?}");

    let batches = |site: &Site| site.ledger().standing().seq;
    let kept = batches(&site);
    site.run(["poll", "--all"]).exits(0);
    assert_eq!((batches(&site), skew(&site)), (kept, before));
    site.advance(5 * 86_400);
    let polled = site.run(["poll", "--all"]).exits(0);
    assert!(!polled.out.contains("its clock"), "{polled:?}");
    assert!(skew(&site).abs() < 300, "{}", skew(&site));
}

/// No face over HTTPS but NX-API prints a clock; the date of the answers tells it.
#[test]
fn a_clock_that_is_ahead_shows_over_https() {
    let ahead = |spec: Spec, faces: Faces| Spec { faces, clock_offset: 7200, ..spec };
    let nxapi = Faces { nxapi: true, ..Faces::none() };
    let restconf = Faces { restconf: true, ..Faces::none() };
    for (spec, access) in [
        (ahead(specs::switch("edge-1"), Faces::rest()), "rest"),
        (ahead(specs::switch("edge-1"), restconf), "restconf"),
        (ahead(specs::nexus("edge-1"), nxapi), "nx-api"),
    ] {
        let site = Site::entered(vec![spec], LIMITS, |_| "observe", |_| access);
        site.advance(5 * 86_400);
        let polled = site.run(["poll", "--all"]).exits(0);
        assert!(polled.out.contains("its clock is ") && polled.out.contains(" ahead of ours"), "{polled:?}");
        let skew = site.status()[0]["clock_skew_seconds"].as_i64().unwrap();
        assert!((6900..=7200).contains(&skew), "{access}: {skew}");
        let probed = site.run(["device", "probe", "edge-1"]).exits(0);
        let clock = probed.out.lines().find(|line| line.starts_with("clock ")).unwrap_or_default();
        assert_eq!(clock.contains("(HTTP Date)"), access != "nx-api", "{clock}");
        assert!(clock.contains("ahead of ours"), "{clock}");
    }
}
