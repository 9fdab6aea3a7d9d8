//! The same done to each of many, by as many threads as the machine has.

use std::num::NonZero;
use std::ops::ControlFlow;
use std::sync::mpsc::sync_channel;
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

/// What `make` gives for each item is taken in their order. Few are made ahead of what was taken, so that memory does
/// not grow with their number; `take` may end it early.
pub fn in_order<T: Send, U: Send>(
    items: impl Iterator<Item = T>,
    make: impl Fn(T) -> U + Sync,
    mut take: impl FnMut(U) -> ControlFlow<()>,
) {
    let threads = thread::available_parallelism().map_or(1, NonZero::get).min(MOST);
    let mut items = items.peekable();
    let Some(first) = items.next() else { return };
    if items.peek().is_none() || threads == 1 {
        let _ = std::iter::once(first).chain(items).try_for_each(|item| take(make(item)));
        return;
    }
    let make = &make;
    thread::scope(|scope| {
        // One item waits for each thread while it makes another.
        let start = |()| {
            let (give, given) = sync_channel::<T>(2);
            let (done, made) = sync_channel::<U>(2);
            let work = move || given.into_iter().try_for_each(|item| done.send(make(item)).ok());
            (give, made, scope.spawn(work))
        };
        let workers: Vec<_> = std::iter::repeat_n((), threads).map(start).collect();
        let mut taken = workers.iter().cycle();
        let mut given = workers.iter().cycle();
        let mut ahead = 0;
        let mut items = std::iter::once(first).chain(items);
        loop {
            while ahead < 2 * threads
                && let Some(item) = items.next()
                && let Some((give, ..)) = given.next()
            {
                // A thread that is gone tells why when it is joined.
                let _ = give.send(item);
                ahead += 1;
            }
            let Some((_, made, _)) = taken.next().filter(|_| ahead > 0) else { break };
            let Ok(next) = made.recv() else { break };
            ahead -= 1;
            if take(next).is_break() {
                break;
            }
        }
        for (give, made, worker) in workers {
            drop((give, made));
            if let Err(cause) = worker.join() {
                panic::resume_unwind(cause);
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_made_is_taken_in_order_until_it_is_enough() {
        for number in [0, 1, 2, 3, 1000] {
            for enough in [1, 7, 2000] {
                let mut taken = Vec::new();
                in_order(
                    0..number,
                    |item| item * 2,
                    |made| {
                        taken.push(made);
                        if taken.len() < enough { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
                    },
                );
                let expected: Vec<usize> = (0..number).take(enough).map(|item| item * 2).collect();
                assert_eq!(taken, expected, "{number} {enough}");
            }
        }
    }

    #[test]
    fn the_order_is_kept_whatever_the_number() {
        for number in [0, 1, LEAST, LEAST + 1, 7 * LEAST + 3] {
            let items: Vec<usize> = (0..number).collect();
            let expected: Vec<usize> = items.iter().map(|item| item * 2).collect();
            assert_eq!(each(&items, |item| item * 2), expected, "{number}");
        }
    }
}
