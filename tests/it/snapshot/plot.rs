//! Pictures of an entitlement over time.

use std::fs;

use jiff::{SignedDuration, Timestamp};
use slp_collector::cli::plot::{Picture, svg};
use slp_collector::domain::snapshot::Step;

use super::{create, read, site};
use crate::support::{golden, peer};

#[test]
fn a_picture_shows_peak_marks_and_what_is_not_known() {
    let from: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
    let day = |days: i64| from + SignedDuration::from_hours(24 * days);
    let step = |start, end, measured, observed, unknown, known| Step {
        start: day(start),
        end: day(end),
        measured,
        observed,
        unknown,
        known,
    };
    let steps = vec![
        step(0, 20, 40, 0, 0, 4),
        step(20, 35, 57, 0, 0, 5),
        step(35, 45, 0, 0, 5, 0),
        step(45, 60, 43, 0, 1, 4),
        step(60, 80, 43, 9, 0, 5),
        step(80, 90, 0, 52, 0, 5),
    ];
    let picture = Picture {
        title: "network-advantage in <Branch> & \"Co\"".to_owned(),
        subtitle: "regid.2026-01.example; snapshot 0123".to_owned(),
        from,
        to: day(90),
        marks: vec![day(30), day(90), day(120)],
        steps,
    };
    let svg = svg(&picture);
    golden("plot.svg", &svg);
    assert_eq!(svg.matches("as of 20").count(), 2);
    assert!(!svg.contains("<script") && !svg.contains("<Branch>"));
}

#[test]
fn the_real_thing_is_drawn_from_a_snapshot() {
    let (site, as_of) = site();
    let file = create(&site, as_of, "json", "out");
    let row = &read(&file)["rows"][0];
    let (tag, name) = (row["entitlement_tag"].as_str().unwrap(), row["license_name"].as_str().unwrap());
    let (json, out) = (file.display().to_string(), site.path("plot.svg").display().to_string());
    let plot = |more: &[&str]| site.run(["snapshot", "plot", &json, "--tag", tag, "--out", &out].iter().chain(more));
    plot(&[]).exits(0);
    let svg = fs::read_to_string(&out).unwrap();
    assert!(svg.contains(name) && svg.contains(tag) && svg.contains("as of 20"), "{svg}");
    assert!(svg.contains(r#"<rect class="measured" x="#) && svg.contains("peak 2 from "), "{svg}");
    // Nothing was measured before the lab began: that is hatched.
    assert!(svg.contains(r#"<rect class="gap" x="70.0""#), "{svg}");
    if let Some(mut xmllint) = peer("xmllint", &["--version"]) {
        let checked = xmllint.args(["--noout", "--nonet", &out]).output().unwrap();
        assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
    }
    // What is there is not written over; what the snapshot does not tell of is not drawn.
    plot(&[]).exits(1);
    plot(&["--to", &(as_of + SignedDuration::from_hours(1)).to_string()]).exits(64);
    plot(&["--account", "Elsewhere"]).exits(64);
}
