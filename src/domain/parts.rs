//! The same done to each of many, by as many threads as the machine has.

use std::num::NonZero;
use std::{panic, thread};

/// Fewer than this for a thread, and starting it costs more than it saves.
const LEAST: usize = 1_000;
/// More threads than this only wait for memory.
const MOST: usize = 8;

/// What `make` gives for each item, in their order.
pub fn each<'a, T: Sync, U: Send>(items: &'a [T], make: impl Fn(&'a T) -> U + Sync) -> Vec<U> {
    let threads = thread::available_parallelism().map_or(1, NonZero::get).min(MOST);
    let share = items.len().div_ceil(threads).max(LEAST);
    if items.len() <= share {
        return items.iter().map(make).collect();
    }
    let make = &|part: &'a [T]| part.iter().map(&make).collect::<Vec<U>>();
    thread::scope(|scope| {
        let parts: Vec<_> = items.chunks(share).map(|part| scope.spawn(move || make(part))).collect();
        let mut made = Vec::with_capacity(items.len());
        for part in parts {
            made.append(&mut part.join().unwrap_or_else(|cause| panic::resume_unwind(cause)));
        }
        made
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_is_kept_whatever_the_number() {
        for number in [0, 1, LEAST, LEAST + 1, 7 * LEAST + 3] {
            let items: Vec<usize> = (0..number).collect();
            let expected: Vec<usize> = items.iter().map(|item| item * 2).collect();
            assert_eq!(each(&items, |item| item * 2), expected, "{number}");
        }
    }
}
