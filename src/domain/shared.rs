//! What many hold at once and nobody holds twice: a copy costs little, and whoever changes his changes only his.

use std::collections::HashSet;
use std::hash::Hash;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Read as what is in it; the first change of one that is shared copies it. Stored as what is in it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Shared<T>(pub(super) Arc<T>);

impl<T: Clone> Shared<T> {
    pub fn into_inner(self) -> T {
        Arc::unwrap_or_clone(self.0)
    }
}

impl<T> From<T> for Shared<T> {
    fn from(record: T) -> Self {
        Shared(Arc::new(record))
    }
}

impl<T> Deref for Shared<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: Clone> DerefMut for Shared<T> {
    fn deref_mut(&mut self) -> &mut T {
        Arc::make_mut(&mut self.0)
    }
}

/// One of each that is in use somewhere: whoever asks for the like of it gets that one.
#[derive(Debug)]
pub struct Alike<T: ?Sized> {
    all: HashSet<Arc<T>>,
    /// Beyond so many, those that nobody holds any more are let go.
    most: usize,
}

impl<T: ?Sized> Alike<T> {
    const FEW: usize = 64;
}

impl<T: ?Sized> Default for Alike<T> {
    fn default() -> Self {
        Alike { all: HashSet::new(), most: Self::FEW }
    }
}

impl<T: Eq + Hash + ?Sized> Alike<T> {
    /// Makes `own` the one that all its like are.
    pub fn settle(&mut self, own: &mut Arc<T>) {
        match self.all.get::<T>(own) {
            Some(one) => own.clone_from(one),
            None => self.add(own.clone()),
        }
    }

    /// The one that is like `what`.
    pub fn one<'a>(&mut self, what: &'a T) -> Arc<T>
    where
        Arc<T>: From<&'a T>,
    {
        if let Some(one) = self.all.get::<T>(what) {
            return one.clone();
        }
        let one = Arc::from(what);
        self.add(Arc::clone(&one));
        one
    }

    fn add(&mut self, new: Arc<T>) {
        if self.all.len() >= self.most {
            self.all.retain(|one| Arc::strong_count(one) > 1);
            self.most = Self::FEW.max(self.all.len() * 2);
        }
        self.all.insert(new);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_share_until_one_changes() {
        let mut own = Shared::from(vec![1]);
        let copy = own.clone();
        assert!(std::ptr::eq(&*own, &*copy));
        own.push(2);
        assert_eq!((own.into_inner(), copy.into_inner()), (vec![1, 2], vec![1]));
    }

    #[test]
    fn those_that_are_alike_are_one() {
        let mut alike = Alike::<str>::default();
        let [mut first, mut second, mut other] = ["a", "a", "b"].map(Arc::from);
        for one in [&mut first, &mut second, &mut other] {
            alike.settle(one);
        }
        assert!(std::ptr::eq(&*first, &*second));
        assert!(!std::ptr::eq(&*first, &*other));
    }

    #[test]
    fn what_nobody_holds_is_let_go() {
        let mut alike = Alike::default();
        let mut kept = Arc::new(0);
        alike.settle(&mut kept);
        for number in 1..10_000 {
            alike.settle(&mut Arc::new(number));
        }
        assert!(alike.all.len() <= 2 * Alike::<i32>::FEW, "{} are held", alike.all.len());
        let mut again = Arc::new(0);
        alike.settle(&mut again);
        assert!(std::ptr::eq(&*kept, &*again));
    }
}
