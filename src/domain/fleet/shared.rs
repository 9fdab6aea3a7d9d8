//! A record that copies of a fold share until one of them changes it: a copy of a whole fold costs little memory and time,
//! and whoever goes on writing copies only what he changes meanwhile.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Read as what is in it; the first change of one that is shared copies it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Shared<T>(Arc<T>);

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
}
