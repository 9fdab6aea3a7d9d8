//! What breaks policy, as a person sees it and says that they know: the verbs over a real ledger.

use std::fs;

use lab::specs;
use serde_json::Value;

use crate::support::site::Site;

/// A device that was polled, and then taken off the inventory.
fn orphaned() -> Site {
    let site = Site::new(vec![specs::switch("edge-1"), specs::switch("edge-2")]);
    site.advance(3600);
    site.run(["poll", "--all", "--close"]).exits(0);
    let inventory = site.path("devices.csv");
    let left = fs::read_to_string(&inventory).unwrap();
    let left: Vec<&str> = left.lines().filter(|line| !line.starts_with("edge-2")).collect();
    fs::write(&inventory, left.join("\n")).unwrap();
    site
}

fn of_kind(site: &Site, args: &[&str]) -> Vec<Value> {
    let all = ["violation", "list", "--format", "json", "--kind", "orphaned"].iter().chain(args);
    site.run(all).exits(0).json()
}

#[test]
fn a_violation_is_listed_shown_acknowledged_and_resolved() {
    let site = orphaned();
    let [found] = &of_kind(&site, &[])[..] else { panic!("not one") };
    assert_eq!((&found["kind"], &found["stage"]), (&"orphaned".into(), &"open".into()));
    assert_eq!((&found["device"], &found["severity"]), (&"edge-2".into(), &"warning".into()));
    assert!(found["explanation"].as_str().unwrap().contains("wait"), "{found}");
    let id = found["id"].as_str().unwrap().to_owned();
    assert!(of_kind(&site, &["--severity", "critical"]).is_empty());
    assert!(site.run(["violation", "list", "--site", "nowhere"]).exits(64).err.contains("no site 'nowhere'"));
    // The register's row says it once somebody has kept it; a listing alone keeps nothing.
    assert_eq!(site.ledger().fleet().violations.len(), 0);

    let told =
        site.run(["violation", "acknowledge", &id, "--note", "an RMA is on its way", "--until", "+10d"]).exits(0);
    assert!(told.out.contains("acknowledged") && told.out.contains("an RMA is on its way"), "{told:?}");
    let known = of_kind(&site, &[]);
    assert_eq!(known[0]["stage"], "acknowledged");
    let gone: Vec<Value> = site.status().into_iter().filter(|row| row["device"] == "edge-2").collect();
    assert!(gone[0]["violations"].as_array().unwrap().contains(&"orphaned".into()), "{gone:?}");

    let shown = site.run(["violation", "show", &id]).exits(0).out;
    for part in ["orphaned", "edge-2", "meaning", "evidence", "opened", "acknowledged", "remedy", "device retire"] {
        assert!(shown.contains(part), "{part} in {shown}");
    }
    let csv = site.run(["violation", "list", "--format", "csv"]).exits(0).out;
    assert!(csv.starts_with("id,kind,severity,stage,device,site,opened,until,explanation\n"), "{csv}");

    // Listed again, it is resolved by the next look, which a listing with --all shows.
    let row = "edge-2,192.0.2.9,1,1,1,rest,,";
    let inventory = fs::read_to_string(site.path("devices.csv")).unwrap();
    let user = inventory.lines().nth(1).unwrap().split(',').nth(7).unwrap().to_owned();
    fs::write(site.path("devices.csv"), format!("{inventory}\n{row}{user},observe\n")).unwrap();
    assert!(of_kind(&site, &[]).is_empty());
    assert_eq!(of_kind(&site, &["--all"])[0]["stage"], "resolved");
    let late = site.run(["violation", "acknowledge", &id, "--note", "x"]).exits(64);
    assert!(late.err.contains("was resolved on"), "{late:?}");
}

#[test]
fn what_is_asked_for_wrongly_is_the_askers_mistake() {
    let site = orphaned();
    let id = of_kind(&site, &[])[0]["id"].as_str().unwrap().to_owned();
    for wrong in [
        &["violation"] as &[&str],
        &["violation", "list", "--kind", "orphan"],
        &["violation", "list", "--severity", "loud"],
        &["violation", "show", "v-0000000000"],
        &["violation", "show", "orphaned"],
        &["violation", "acknowledge", &id],
        &["violation", "acknowledge", &id, "--note", " "],
        &["violation", "acknowledge", &id, "--note", "x", "--until", "2020-01-01"],
    ] {
        let ran = site.run(wrong).exits(64);
        assert!(ran.out.is_empty() && !ran.err.trim().is_empty(), "{wrong:?}: {ran:?}");
    }
}

#[test]
fn a_router_that_says_it_is_out_of_compliance_is_believed_over_ssh() {
    let mut router = specs::xr("core-1");
    router.knobs.upgrade_right = "Out of Compliance";
    let site = Site::new(vec![router, specs::xr("core-2")]);
    site.run(["poll", "--all"]).exits(0);
    let listed = ["violation", "list", "--format", "json", "--kind", "out-of-compliance"];
    let [found] = &site.run(listed).exits(0).json::<Vec<Value>>()[..] else { panic!("not one") };
    assert_eq!(found["device"], "core-1");
    assert!(found["explanation"].as_str().unwrap().contains("Out of Compliance"), "{found}");
}
