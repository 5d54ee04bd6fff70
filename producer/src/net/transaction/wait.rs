//! Waiting for what the task brings about.

use std::time::Duration;

use ottla_core::retry::Deadline;

use crate::machine::transaction::Transactions;
use crate::net::shared::Shared;

impl Shared {
    /// Looks at the machine, or lets it be told something, and has the task act on it.
    pub(super) fn transact<T>(&self, act: impl FnOnce(&mut Transactions) -> T) -> Option<T> {
        let transaction = self.accumulator.common.transaction.as_ref()?;
        let told = act(&mut transaction.machine());
        self.signals.transaction.notify_one();
        Some(told)
    }

    /// Waits until `known` says something; `None` once `within` is over, or where there are no
    /// transactions.
    pub(super) async fn await_transaction<T>(
        &self,
        within: Duration,
        mut known: impl FnMut(&mut Transactions) -> Option<T>,
    ) -> Option<T> {
        let transaction = self.accumulator.common.transaction.as_ref()?;
        let runtime = self.client.runtime();
        let deadline = Deadline::after(runtime.now(), within);
        let late = runtime.sleep_until(Some(deadline.instant()));
        tokio::pin!(late);
        loop {
            // Waited for before looking, so that no change in between is missed.
            let changed = self.signals.transactions.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let found = known(&mut transaction.machine());
            if found.is_some() {
                self.signals.transaction.notify_one();
                return found;
            }
            tokio::select! {
                biased;
                () = changed => {}
                () = &mut late => return None,
            }
        }
    }

    /// Aborts what is open, and waits until nothing is left to be ended.
    pub(in crate::net) async fn end_transaction(&self) {
        if self.transact(Transactions::close).is_some() {
            let is_idle = |machine: &mut Transactions| machine.is_idle().then_some(());
            self.await_transaction(Duration::MAX, is_idle).await;
        }
    }
}
