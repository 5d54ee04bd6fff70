//! Gives a test its cluster.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::LazyLock;

use tokio::runtime::{Builder, Runtime};
use tokio::sync::{RwLock, RwLockReadGuard};

use crate::{Backend, TestCluster};

/// What a test does to its cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// It uses topics and groups of its own, and leaves the brokers alone: other tests may run
    /// beside it.
    Shared,
    /// It kills, freezes or moves. It has the cluster alone, and the harness heals it afterwards.
    Exclusive,
}

/// Runs a test on a cluster of that backend; returns without it where there can be none, which
/// [`Backend::start`] says.
///
/// An embedded cluster is the test's own. Any other is shared by the tests of this process, and
/// only one lives at a time: where a test wants another kind, the one before is stopped first.
///
/// # Panics
///
/// When the test does.
pub fn run(backend: Backend, access: Access, test: impl AsyncFnOnce(&TestCluster)) {
    if backend == Backend::Embedded {
        return RUNTIME.block_on(async {
            let cluster = backend.start().await.expect("the embedded cluster needs nothing");
            test(&cluster).await;
        });
    }
    match access {
        Access::Shared => RUNTIME.block_on(async {
            if let Some(cluster) = shared(backend).await {
                test(cluster.as_ref().expect("it was just looked at")).await;
            }
        }),
        Access::Exclusive => exclusive(backend, test),
    }
}

/// A cluster of that backend that is not changed for as long as the guard lives.
async fn shared(backend: Backend) -> Option<RwLockReadGuard<'static, Option<TestCluster>>> {
    loop {
        let cluster = CLUSTER.read().await;
        if is(cluster.as_ref(), backend) {
            return Some(cluster);
        }
        drop(cluster);
        let mut cluster = CLUSTER.write().await;
        if !is(cluster.as_ref(), backend) && !replace(&mut cluster, backend).await {
            return None;
        }
    }
}

fn exclusive(backend: Backend, test: impl AsyncFnOnce(&TestCluster)) {
    let mut guard = RUNTIME.block_on(CLUSTER.write());
    if !is(guard.as_ref(), backend) && !RUNTIME.block_on(replace(&mut guard, backend)) {
        return;
    }
    let cluster = guard.as_ref().expect("it is there now");
    let outcome = catch_unwind(AssertUnwindSafe(|| RUNTIME.block_on(test(cluster))));
    RUNTIME.block_on(cluster.heal());
    drop(guard);
    if let Err(panic) = outcome {
        resume_unwind(panic);
    }
}

fn is(cluster: Option<&TestCluster>, backend: Backend) -> bool {
    cluster.is_some_and(|cluster| cluster.backend() == backend)
}

/// Whether there is a cluster of that backend now.
async fn replace(cluster: &mut Option<TestCluster>, backend: Backend) -> bool {
    *cluster = None;
    *cluster = backend.start().await;
    cluster.is_some()
}

static CLUSTER: RwLock<Option<TestCluster>> = RwLock::const_new(None);

/// One for all tests of a process: a shared cluster outlives the test that it was started for.
static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(2).enable_all().build().expect("threads can be started")
});
