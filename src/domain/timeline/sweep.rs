//! Overlapping pieces made into pieces that do not overlap: at every instant the highest rank counts.

use std::collections::BTreeSet;

use super::Seconds;

/// A time with a value, and who says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    pub start: Seconds,
    pub end: Seconds,
    pub value: u64,
    pub rank: Rank,
}

/// Who is believed, the higher the more. No two pieces that overlap have the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rank {
    /// When the report ended.
    pub closed: Seconds,
    pub report: u64,
    pub chassis: u32,
}

/// The pieces as they count, in the order of time. Each has lasted.
pub(super) fn settle(pieces: &[Piece]) -> Vec<Piece> {
    let ordered = |pair: &[Piece]| matches!(pair, [before, after] if before.end <= after.start);
    if pieces.windows(2).all(ordered) {
        return pieces.to_vec();
    }
    let mut turns: Vec<(Seconds, usize)> = Vec::with_capacity(pieces.len() * 2);
    for (at, piece) in pieces.iter().enumerate() {
        turns.extend([(piece.start, at), (piece.end, at)]);
    }
    turns.sort_unstable();
    let mut settled: Vec<Piece> = Vec::with_capacity(pieces.len());
    let mut holding: BTreeSet<(Rank, usize)> = BTreeSet::new();
    let mut since = Seconds::MIN;
    for (now, at) in turns {
        if let Some((_, top)) = holding.last()
            && let Some(piece) = pieces.get(*top)
            && since < now
        {
            match settled.last_mut() {
                Some(last) if last.end == since && last.rank == piece.rank && last.value == piece.value => {
                    last.end = now;
                }
                Some(_) | None => settled.push(Piece { start: since, end: now, ..*piece }),
            }
        }
        since = now;
        if let Some(piece) = pieces.get(at)
            && !holding.remove(&(piece.rank, at))
        {
            holding.insert((piece.rank, at));
        }
    }
    settled
}
