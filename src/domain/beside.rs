//! Looking names up in their order, so that nothing is searched for.

use super::instance::DeviceName;

/// What `entries`, in the order of names, have of each name; asked for in that order too, as an inventory is.
pub(super) fn beside<'a, V: Copy>(
    entries: impl IntoIterator<Item = (&'a DeviceName, V)>,
) -> impl FnMut(&DeviceName) -> Option<V> {
    let mut entries = entries.into_iter().peekable();
    move |name| {
        while entries.next_if(|(other, _)| *other < name).is_some() {}
        entries.peek().filter(|(other, _)| *other == name).map(|(_, value)| *value)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn names_are_found_in_their_order() {
        let name = |name: &str| DeviceName::from(name);
        let known: BTreeMap<DeviceName, u8> = [(name("b"), 1), (name("c"), 2), (name("e"), 3)].into();
        let mut of = beside(&known);
        let found: Vec<Option<u8>> = ["a", "b", "b", "d", "e", "f"].map(|asked| of(&name(asked)).copied()).into();
        assert_eq!(found, [None, Some(1), Some(1), None, Some(3), None]);
    }
}
