//! The one real report of a wireless controller, all the way: brought by hand, and what snapshots say of its times.

use jiff::Timestamp;
use lab::specs;
use serde_json::{Value, json};

use super::{create, keeps_its_schema, read};
use crate::support::captures;
use crate::support::site::Site;

#[test]
fn a_real_controller_used_two_then_three_and_its_clock_and_access_points_are_told() {
    let Some(captures) = captures() else { return };
    let file = captures.join("protocol/rum-file-c9800cl-17.9-example-rum-1671840750.xml");
    let site = Site::new(vec![specs::switch("edge-1")]);
    site.run(["report", "import", &file.display().to_string()]).exits(0);
    let row = |second: i64| {
        let made = create(&site, Timestamp::from_second(second).unwrap(), "json", "out");
        keeps_its_schema(&made);
        let rows = read(&made)["rows"].as_array().unwrap().clone();
        let mut own = rows.into_iter().filter(|row| row["sn"] == "9NTUEA8FIIH");
        let row = own.next().unwrap();
        assert_eq!(own.next(), None);
        row
    };
    let told = |row: &Value| ["quantity", "quantity_peak", "measured_state"].map(|key| row[key].clone());
    let serials = |row: &Value| {
        let members = row["detail"]["members"].as_array().unwrap();
        members.iter().map(|member| member["sn"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let two = row(1_671_966_643);
    assert_eq!(told(&two), [json!(2), json!(2), json!("measured")]);
    assert_eq!(serials(&two), ["FDW2109B29P", "FDW2109B2BX"]);
    let three = row(1_673_000_000);
    assert_eq!(told(&three), [json!(3), json!(3), json!("measured")]);
    assert_eq!(three["quantity_peak_at"], "2022-12-25T11:10:44Z");
    assert_eq!(serials(&three), ["FDW2028D3SV", "FDW2109B29P", "FDW2109B2BX"]);
    let changes = three["detail"]["changes"].as_array().unwrap();
    let moved: Vec<&Value> = changes.iter().filter(|change| change["what"] == "clock-moved").collect();
    assert_eq!((moved.len(), &moved[0]["seconds"]), (1, &json!(-3433)));
    assert_eq!(three["clock_uncertainty_seconds"], 3433);
    let later = row(1_673_790_213);
    assert_eq!(told(&later), [Value::Null, json!(3), json!("not-yet-measured")]);
    assert_eq!((&later["quantity_last"], serials(&later).len()), (&json!(3), 3));
}
