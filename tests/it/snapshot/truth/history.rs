//! Stretches of time with a value, reckoned slowly and plainly.

/// A time with a value, from its start until just before its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stretch {
    pub start: i64,
    pub end: i64,
    pub value: u64,
}

impl Stretch {
    pub fn new(start: i64, end: i64, value: u64) -> Stretch {
        Stretch { start, end, value }
    }
}

/// In order; neighbours with the same value are one, and what did not last is left out.
pub fn joined(mut stretches: Vec<Stretch>) -> Vec<Stretch> {
    stretches.retain(|one| one.start < one.end);
    stretches.sort_unstable();
    let mut joined: Vec<Stretch> = Vec::new();
    for one in stretches {
        match joined.last_mut() {
            Some(last) if last.end == one.start && last.value == one.value => last.end = one.end,
            Some(_) | None => joined.push(one),
        }
    }
    joined
}

pub fn within(stretches: &[Stretch], from: i64, to: i64) -> Vec<Stretch> {
    let cut = |one: &Stretch| Stretch { start: one.start.max(from), end: one.end.min(to), ..*one };
    joined(stretches.iter().map(cut).collect())
}

/// Each also where it is no farther than so many seconds.
pub fn widened(stretches: &[Stretch], seconds: i64) -> Vec<Stretch> {
    stretches.iter().map(|one| Stretch::new(one.start - seconds, one.end + seconds + 1, one.value)).collect()
}

/// Is all of it in stretches of its value?
pub fn covers(stretches: &[Stretch], all: &Stretch) -> bool {
    let mut at = all.start;
    while at < all.end {
        let next = stretches.iter().filter(|one| one.value == all.value && one.start <= at).map(|one| one.end).max();
        match next.filter(|next| *next > at) {
            Some(next) => at = next,
            None => return false,
        }
    }
    true
}
