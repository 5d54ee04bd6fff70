//! One result for each item.

use std::borrow::Borrow;
use std::collections::{BTreeMap, btree_map};

use crate::AdminError;

/// What a call came to for each of its items, in the items' order. An item that was named twice is
/// there once.
#[derive(Debug, Clone)]
#[must_use = "each item has a result of its own; `into_result` gives all values or the first error"]
pub struct Results<K, V>(BTreeMap<K, Result<V, AdminError>>);

impl<K: Ord, V> Results<K, V> {
    pub(crate) fn new(results: BTreeMap<K, Result<V, AdminError>>) -> Self {
        Self(results)
    }

    /// What became of one item; `None` if the call was not about it.
    pub fn get<Q>(&self, item: &Q) -> Option<&Result<V, AdminError>>
    where
        K: Borrow<Q>,
        Q: Ord + ?Sized,
    {
        self.0.get(item)
    }

    /// All items with what became of them, in the items' order.
    pub fn iter(&self) -> btree_map::Iter<'_, K, Result<V, AdminError>> {
        self.0.iter()
    }

    /// The items that succeeded, in their order.
    pub fn successes(&self) -> impl Iterator<Item = (&K, &V)> {
        self.0.iter().filter_map(|(item, result)| Some((item, result.as_ref().ok()?)))
    }

    /// The items that failed, in their order.
    pub fn failures(&self) -> impl Iterator<Item = (&K, &AdminError)> {
        self.0.iter().filter_map(|(item, result)| Some((item, result.as_ref().err()?)))
    }

    /// How many items there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether the call was about nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Every value, by item.
    ///
    /// # Errors
    ///
    /// The first error in the items' order, if any item failed; the other items may have succeeded.
    pub fn into_result(self) -> Result<BTreeMap<K, V>, AdminError> {
        self.0.into_iter().map(|(item, result)| Ok((item, result?))).collect()
    }

    /// Adds items that were decided elsewhere.
    pub(crate) fn extend(&mut self, more: impl IntoIterator<Item = (K, Result<V, AdminError>)>) {
        self.0.extend(more);
    }

    /// The result of a call about one item.
    pub(crate) fn only(self) -> Option<Result<V, AdminError>> {
        self.0.into_values().next()
    }
}

impl<K, V> IntoIterator for Results<K, V> {
    type Item = (K, Result<V, AdminError>);
    type IntoIter = btree_map::IntoIter<K, Result<V, AdminError>>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'a, K, V> IntoIterator for &'a Results<K, V> {
    type Item = (&'a K, &'a Result<V, AdminError>);
    type IntoIter = btree_map::Iter<'a, K, Result<V, AdminError>>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}
