//! A password that devices refuse: three refusals hold it for everybody, and nobody is asked twice.

use lab::spec::Faces;
use lab::{Fault, Spec, specs};
use serde_json::Value;

use crate::support::bare_ssh;
use crate::support::site::{LIMITS, Site};

#[test]
fn after_three_refusals_the_fourth_device_is_never_asked() {
    let specs = (1..=6).map(|number| specs::switch(&format!("edge-{number}"))).collect();
    // One after the other, so that it is certain who comes fourth.
    let site = Site::with(specs, &format!("{LIMITS}concurrency = 1\n"), |_| "deliver");
    let asked = |name: &str| site.device(name).counters();
    for device in site.fleet.devices() {
        device.set_fault(Fault::RefuseLogin);
    }

    let polled = site.run(["poll", "--all"]).exits(1);
    for name in ["edge-1", "edge-2", "edge-3"] {
        assert!(
            polled.out.contains(&format!("{name}: refused: read state: the device refused the login")),
            "{polled:?}"
        );
        assert_eq!((asked(name).logins_refused, asked(name).total()), (1, 1), "{name}");
    }
    for name in ["edge-4", "edge-5", "edge-6"] {
        assert!(polled.out.contains(&format!("{name}: refused: 3 devices refused credential 'slp'")), "{polled:?}");
        assert_eq!(asked(name).connections, 0, "{name}");
    }

    // Neither a second poll nor a close asks anybody.
    site.run(["poll", "--all", "--close"]).exits(1);
    assert!(site.fleet.devices().all(|device| device.counters().total() <= 1));
    let listed: Value = site.run(["credential", "list", "--format", "json"]).exits(0).json();
    assert_eq!((&listed[0]["credential"], &listed[0]["held"]), (&"slp".into(), &true.into()));

    site.fleet.devices().for_each(lab::Handle::clear_fault);
    site.run(["credential", "release", "slp", "--note", "the new password is in the file"]).exits(0);
    site.run(["poll", "--all"]).exits(0);
    assert!(site.fleet.devices().all(|device| device.counters().logins_refused <= 1));
}

#[test]
fn one_refusal_stops_that_device_and_nobody_else() {
    let specs = (1..=3).map(|number| specs::switch(&format!("edge-{number}"))).collect();
    let site = Site::new(specs);
    site.device("edge-2").set_fault(Fault::RefuseLogin);
    site.run(["poll", "--all"]).exits(2);
    let polled = site.run(["poll", "--all"]).exits(2);
    assert!(polled.out.contains("edge-2: refused: it refused credential 'slp'"), "{polled:?}");
    assert_eq!(site.device("edge-2").counters().total(), 1);
    assert!(site.device("edge-1").counters().total() > 2 && site.device("edge-3").counters().total() > 2);
}

/// The device wants a new password, which only a person can set: until then it is not asked again.
#[test]
fn a_password_that_has_expired_is_held_as_one_that_was_refused() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (authority, mut passwords) = runtime.block_on(bare_ssh::start(bare_ssh::change_request()));
    let spec = Spec { faces: Faces::ssh_and_scp(), ..specs::switch("edge-1") };
    let site = Site::entered(vec![spec], LIMITS, |_| "observe", |_| "ssh");
    let (inventory, port) = (site.path("devices.csv"), authority.rsplit_once(':').unwrap().1);
    let real = site.device("edge-1").ssh_addr().unwrap().port().to_string();
    let text = std::fs::read_to_string(&inventory).unwrap().replace(&format!(",{real},"), &format!(",{port},"));
    std::fs::write(&inventory, text).unwrap();

    let polled = site.run(["poll", "--all"]).exits(1);
    assert!(polled.out.contains("edge-1: refused: ") && polled.out.contains("has expired"), "{polled:?}");
    let polled = site.run(["poll", "--all"]).exits(1);
    assert!(polled.out.contains("edge-1: refused: it refused credential 'slp'"), "{polled:?}");
    assert!(passwords.try_recv().is_ok() && passwords.try_recv().is_err(), "sent once");
}
