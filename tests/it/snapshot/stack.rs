//! A stack that its active chassis leaves, through polls of the real program.

use std::collections::BTreeSet;

use jiff::Timestamp;
use lab::{Operation, specs};

use super::{create, read};
use crate::support::site::Site;

#[test]
fn the_active_chassis_leaves_and_its_old_reports_stay() {
    let stack = specs::stack("stack-1", 3);
    let leaver = stack.members[0].udi.clone();
    let mut alone = specs::switch("alone-1");
    alone.members[0].udi = leaver.clone();
    alone.seed = 20_000;
    let site = Site::new(vec![stack, alone]);
    let start = Timestamp::now().as_second() - 5 * 86_400;
    site.advance(86_400);
    site.run(["poll", "stack-1", "--close"]).exits(0);
    site.device("stack-1").apply(Operation::Leave(leaver.clone()));
    site.run(["poll", "alone-1"]).exits(0);
    site.run(["poll", "stack-1"]).exits(0);
    site.advance(86_400);
    site.device("stack-1").apply(Operation::Close);
    site.device("alone-1").apply(Operation::Close);
    site.run(["poll", "--all"]).exits(0);

    let as_of = |second: i64| {
        let made = create(&site, Timestamp::from_second(start + second).unwrap(), "json", "out");
        read(&made)["rows"].as_array().unwrap().clone()
    };
    for second in [80_000, 86_400 + 50_000] {
        let rows = as_of(second);
        let mut behind: BTreeSet<String> = BTreeSet::new();
        for row in &rows {
            let (device, quantity) = (row["device"].as_str().unwrap(), row["quantity"].as_u64());
            assert_eq!(quantity, Some(if device == "stack-1" { 3 } else { 1 }), "at {second}: {row:#}");
            for report in row["detail"]["reports"].as_array().unwrap() {
                assert!(behind.insert(report.to_string()), "counted twice: {report}");
            }
        }
        let devices: Vec<&str> = rows.iter().map(|row| row["device"].as_str().unwrap()).collect();
        assert_eq!(devices.iter().filter(|device| **device == "stack-1").count(), 2, "{devices:?}");
        assert_eq!(devices.iter().filter(|device| **device == "alone-1").count(), 2, "{devices:?}");
    }
    let rows = as_of(86_400 + 50_000);
    let stack = rows.iter().filter(|row| row["device"] == "stack-1");
    let reports = stack.flat_map(|row| row["detail"]["reports"].as_array().unwrap());
    let signers: BTreeSet<&str> = reports.map(|report| report["udi"]["sn"].as_str().unwrap()).collect();
    assert!(signers.len() == 2 && signers.contains(&*leaver.sn), "{signers:?}");
}
