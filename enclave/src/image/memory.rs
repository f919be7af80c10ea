//! What the machine's memory is used for, for whoever has to choose how much an enclave gets.

use crate::log::{Event, log};
use std::fs;
use std::time::Duration;

/// Between two looks.
const LOOK: Duration = Duration::from_secs(20);
/// A peak that is higher by less is not told again, KiB.
const NEWS: u64 = 8 * 1024;

/// Looks at the memory, and tells of a new peak of the worker's; ends where the kernel does not say.
pub async fn watch_memory() {
    let mut told = 0;
    while let Some(found) = Memory::now() {
        if found.peak >= NEWS.saturating_add(told) {
            told = found.peak;
            log(Event::Memory(found));
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// KiB, as the kernel counts (proc(5)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Memory {
    /// The most that the worker had at once (`VmHWM`).
    pub(crate) peak: u64,
    /// What could still be had (`MemAvailable`).
    pub(crate) available: u64,
    /// What the machine has beside the kernel itself (`MemTotal`).
    pub(crate) total: u64,
}

impl Memory {
    fn now() -> Option<Self> {
        let of_worker = fs::read_to_string("/proc/self/status").ok()?;
        let of_machine = fs::read_to_string("/proc/meminfo").ok()?;
        Self::read(&of_worker, &of_machine)
    }

    fn read(of_worker: &str, of_machine: &str) -> Option<Self> {
        Some(Self {
            peak: kibibytes(of_worker, "VmHWM:")?,
            available: kibibytes(of_machine, "MemAvailable:")?,
            total: kibibytes(of_machine, "MemTotal:")?,
        })
    }
}

/// The number in the line `name  1234 kB`.
fn kibibytes(lines: &str, name: &str) -> Option<u64> {
    let line = lines.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_says_it() {
        let worker = "Name:\tinit\nVmPeak:\t  9000 kB\nVmHWM:\t   41234 kB\n";
        let machine = "MemTotal:         201234 kB\nMemFree:  1 kB\nMemAvailable:     150000 kB\n";
        let wanted = Memory { peak: 41_234, available: 150_000, total: 201_234 };
        assert_eq!(Memory::read(worker, machine), Some(wanted));
        assert_eq!(Memory::read(machine, worker), None);
        let here = Memory::now().unwrap();
        assert!(here.peak > 0 && here.available <= here.total, "{here:?}");
    }
}
