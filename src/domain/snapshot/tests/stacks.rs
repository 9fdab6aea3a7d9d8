//! Chassis that are one instance, and are so no longer.

use super::*;

/// Device, quantity, peak, and by how many chassis it was signed.
fn told(world: &World, as_of: i64) -> Vec<(String, Option<u64>, Option<u64>, usize)> {
    let chassis = |entry: &Entry| {
        let mut signers: Vec<&Udi> = entry.detail.reports.iter().map(|report| &report.udi).collect();
        signers.sort();
        signers.dedup();
        signers.len()
    };
    let name = |row: &Row| row.device.as_ref().map_or_else(String::new, ToString::to_string);
    let mut told: Vec<_> = world
        .taken(as_of)
        .1
        .iter()
        .map(|entry| (name(&entry.row), entry.row.quantity, entry.row.quantity_peak, chassis(entry)))
        .collect();
    told.sort();
    told
}

fn row(name: &str, quantity: u64, peak: u64, signers: usize) -> (String, Option<u64>, Option<u64>, usize) {
    (name.to_owned(), Some(quantity), Some(peak), signers)
}

#[test]
fn a_chassis_that_left_its_stack_takes_nothing_of_it_along() {
    for leaver_first in [true, false] {
        let mut world = World::default();
        world.device(0, "stack", "A", &["B", "C"]).state(0, "A", Model::Slp, 3, None);
        world.report_naming(20, &["A", "B", "C"], "A", 1, &[(0, 20, 3)]);
        if !leaver_first {
            world.device(21, "stack", "B", &["C"]);
        }
        world.device(21, "alone", "A", &[]).state(21, "A", Model::Slp, 1, None);
        // A poll that finds the name at another instance tells so again.
        world.device(21, "stack", "B", &["C"]).state(21, "B", Model::Slp, 2, None);
        world.report_naming(45, &["A"], "A", 2, &[(22, 45, 1)]);
        world.report_naming(45, &["C", "B"], "B", 7, &[(21, 45, 2)]);
        assert_eq!(told(&world, 40), [row("alone", 1, 1, 1), row("stack", 2, 3, 2)], "{leaver_first}");
        // As long as it was in the stack, all of it is the stack's.
        assert_eq!(told(&world, 19), [row("stack", 3, 3, 1)], "{leaver_first}");
        let (_, entries, _) = world.taken(40);
        let runs = |name: &str| {
            let own = entries.iter().find(|entry| entry.row.device == Some(name.into())).unwrap();
            let runs = own.detail.runs.iter();
            runs.map(|run| (run.start, run.quantity, run.report_id.is_some())).collect::<Vec<_>>()
        };
        // What polls saw goes with whom they saw.
        assert_eq!(runs("alone"), [(day(21), 1, false), (day(22), 1, true)], "{leaver_first}");
        assert_eq!(runs("stack")[..2], [(day(10), 3, true), (day(20), 3, false)], "{leaver_first}");
    }
}

#[test]
fn a_stack_that_a_chassis_left_shrank_and_the_chassis_came() {
    let mut world = World::default();
    world.device(0, "stack", "A", &["B", "C"]).report_naming(20, &["A", "B", "C"], "A", 1, &[(0, 20, 3)]);
    world.device(21, "alone", "A", &[]).device(21, "stack", "B", &["C"]);
    world.report_naming(45, &["A"], "A", 2, &[(22, 45, 1)]).report_naming(45, &["B", "C"], "B", 7, &[(21, 45, 2)]);
    let (first, second) = (world.whole(19), world.whole(40));
    let told = |difference: Difference| -> Vec<_> {
        let changed = difference.changed.into_iter();
        changed.map(|one| (one.device.unwrap(), one.what, one.before, one.after)).collect()
    };
    let number = |number: u64| Some(number.to_string());
    let expected = [
        ("stack".to_owned(), Turned::Shrank, number(3), number(2)),
        ("alone".to_owned(), Turned::Came, None, number(1)),
    ];
    assert_eq!(told(difference(&first, &second)), expected);
}

#[test]
fn of_a_pair_that_parted_the_one_that_keeps_the_name_keeps_what_was_used() {
    for (stays, leaves) in [("A", "B"), ("B", "A")] {
        let mut world = World::default();
        world.device(0, "pair", "A", &["B"]).report_naming(10, &["A", "B"], "A", 1, &[(0, 10, 2)]);
        world.device(10, "pair", "B", &["A"]).report_naming(20, &["A", "B"], "B", 1, &[(10, 20, 3)]);
        world.device(20, "other", leaves, &[]).device(20, "pair", stays, &[]);
        world.report_naming(31, &[leaves], leaves, 5, &[(21, 31, 1)]);
        world.report_naming(31, &[stays], stays, 6, &[(20, 31, 1)]);
        assert_eq!(told(&world, 30), [row("other", 1, 1, 1), row("pair", 1, 3, 2)], "{stays} stays");
    }
}

#[test]
fn one_that_says_it_is_alone_is_itself_before_anybody_found_it() {
    let mut world = World::default();
    world.device(0, "stack", "A", &["B", "C"]).report_naming(20, &["A", "B", "C"], "A", 1, &[(0, 20, 3)]);
    world.device(21, "stack", "A", &["B"]).report_naming(45, &["A", "B"], "A", 2, &[(20, 45, 2)]);
    world.device(40, "alone", "C", &[]).report_naming(45, &["C"], "C", 9, &[(21, 45, 1)]);
    assert_eq!(told(&world, 30), [row("alone", 1, 1, 1), row("stack", 2, 3, 1)]);
    // And one that joined has what it used before beside the stack's, as long as that is in the window.
    let mut world = World::default();
    world.device(0, "single", "B", &[]).report_naming(20, &["B"], "B", 1, &[(0, 20, 1)]);
    world.device(0, "stack", "A", &[]).report_naming(20, &["A"], "A", 1, &[(0, 20, 1)]);
    world.device(20, "stack", "A", &["B"]).report_naming(45, &["A", "B"], "A", 2, &[(20, 45, 2)]);
    world.device(45, "stack", "B", &["A"]).report_naming(60, &["A", "B"], "B", 2, &[(45, 60, 2)]);
    let stack = told(&world, 55).into_iter().find(|told| told.0 == "stack").unwrap();
    assert_eq!(stack, row("stack", 2, 2, 2));
    let sums: Vec<u64> = told(&world, 55).into_iter().filter_map(|told| told.1).collect();
    assert_eq!(sums, [2], "never twice");
}
