//! What nearly every structure could have and hardly any has.

/// A value in memory of its own, if it is there.
///
/// One pointer wide. What differs from `Option<Box<T>>` is that to drop one that is not there is a
/// test and no call, which a structure of several of them notices.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rare<T>(Option<Box<T>>);

impl<T> Rare<T> {
    pub(super) const fn none() -> Self {
        Self(None)
    }

    pub(super) fn new(value: T) -> Self {
        Self(Some(Box::new(value)))
    }

    #[inline]
    pub(super) fn get(&self) -> Option<&T> {
        self.0.as_deref()
    }
}

impl<T: Default> Rare<T> {
    pub(super) fn get_or_insert_default(&mut self) -> &mut T {
        self.0.get_or_insert_default()
    }
}

impl<T> Default for Rare<T> {
    fn default() -> Self {
        Self::none()
    }
}

impl<T> Drop for Rare<T> {
    #[inline]
    fn drop(&mut self) {
        if let Some(value) = self.0.take() {
            free(value);
        }
    }
}

#[cold]
#[inline(never)]
fn free<T>(_: Box<T>) {}
