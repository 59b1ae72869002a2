//! What a run took of the machine: time by the clock, processor time, memory at its peak.
//!
//! Linux tells in `/proc`; elsewhere processor and memory are not measured, and a receipt says so. The peak of memory is
//! that of the process: where one process does more than one run, of all of them so far.

use std::time::Instant;

use serde::{Deserialize, Serialize};

/// Ticks in a second of `/proc`: 100 on every Linux that Rust has a compiler for, by the kernel's promise to user space.
const TICKS: f64 = 100.0;

/// What was taken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Used {
    /// Seconds by the clock.
    pub seconds: f64,
    /// Seconds of all processors together; none if not measured.
    pub cpu_seconds: Option<f64>,
    /// Bytes of memory at the peak; none if not measured.
    pub peak_memory: Option<u64>,
}

/// Measures from when it is made.
#[derive(Debug)]
pub struct Meter {
    begun: Instant,
    cpu: Option<f64>,
}

impl Meter {
    /// Begins.
    pub fn begin() -> Self {
        Self { begun: Instant::now(), cpu: cpu() }
    }

    /// What was taken until now.
    pub fn read(&self) -> Used {
        let cpu_seconds = self.cpu.zip(cpu()).map(|(then, now)| (now - then).max(0.0));
        Used { seconds: self.begun.elapsed().as_secs_f64(), cpu_seconds, peak_memory: peak() }
    }
}

/// Processor seconds of this process, in user space and in the kernel.
fn cpu() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/stat").ok()?;
    // Fields 14 and 15 of proc(5); the second field, the name in parentheses, may hold spaces and parentheses.
    let mut fields = status.rsplit_once(')')?.1.split_whitespace().skip(11);
    let (user, system): (f64, f64) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    Some((user + system) / TICKS)
}

/// Bytes of memory that this process held at its peak.
fn peak() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_os = "linux")]
    fn work_is_measured() {
        let meter = Meter::begin();
        let begun = Instant::now();
        let mut sum = 0u64;
        while meter.read().cpu_seconds == Some(0.0) {
            assert!(begun.elapsed().as_secs() < 60, "no processor time in a minute of work");
            sum = (0..100_000u64).fold(sum, |sum, n| std::hint::black_box(sum.wrapping_mul(31).wrapping_add(n)));
        }
        let used = meter.read();
        assert!(used.seconds > 0.0 && used.cpu_seconds.unwrap() > 0.0, "{used:?}");
        assert!(used.peak_memory.unwrap() > 1 << 20, "{used:?}");
    }
}
