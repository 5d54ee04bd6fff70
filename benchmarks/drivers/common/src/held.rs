//! What a process holds in memory.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// Bytes that live on the heap, where the runner counts them; otherwise those that are resident.
#[must_use]
pub fn held_bytes() -> u64 {
    live_heap().or_else(resident).unwrap_or(0)
}

/// The second of the three numbers in the file that the runner's counter writes.
fn live_heap() -> Option<u64> {
    let counts = std::fs::read(PathBuf::from(std::env::var_os("BENCH_HEAP")?)).ok()?;
    Some(u64::from_le_bytes(*counts.get(8..)?.first_chunk()?))
}

fn resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib << 10)
}

/// For a report.
#[must_use]
pub fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

/// Looks twenty times a second at what is held, from its making to its [`end`](Self::end).
#[derive(Debug)]
pub struct Held {
    before: u64,
    most: Arc<AtomicU64>,
    over: Arc<AtomicBool>,
    watcher: JoinHandle<()>,
}

impl Held {
    /// Begins to look.
    #[must_use]
    pub fn watch() -> Self {
        let before = held_bytes();
        let (most, over) = (Arc::new(AtomicU64::new(before)), Arc::new(AtomicBool::new(false)));
        let watcher = std::thread::spawn({
            let (most, over) = (Arc::clone(&most), Arc::clone(&over));
            move || {
                while !over.load(Ordering::Relaxed) {
                    most.fetch_max(held_bytes(), Ordering::Relaxed);
                    std::thread::sleep(Duration::from_millis(50));
                }
            }
        });
        Self { before, most, over, watcher }
    }

    /// The most that was held in all that time, and by how much more is held now than at first.
    #[must_use]
    pub fn end(self) -> (u64, u64) {
        self.over.store(true, Ordering::Relaxed);
        // A watcher that panicked has nothing more to say.
        drop(self.watcher.join());
        (self.most.load(Ordering::Relaxed), held_bytes().saturating_sub(self.before))
    }
}
