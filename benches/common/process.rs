//! What processes used.

use std::time::Duration;

use nix::sys::resource::{UsageWho, getrusage};

/// User and system time.
pub fn cpu(whose: UsageWho) -> Duration {
    let usage = getrusage(whose).expect("the system tells");
    let time = |time: nix::sys::time::TimeVal| {
        Duration::from_secs(time.tv_sec() as u64) + Duration::from_micros(time.tv_usec() as u64)
    };
    time(usage.user_time()) + time(usage.system_time())
}

/// A line of `/proc/PROCESS/status` in kB: `VmRSS` is what it has now, `VmHWM` the most that it ever had. `None` where
/// it has ended.
pub fn memory(process: u32, line: &str) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|own| own.strip_prefix(line)?.strip_prefix(':'))?;
    line.split_whitespace().next()?.parse().ok()
}

/// The same of this process, in MB.
pub fn own_memory(line: &str) -> u64 {
    memory(std::process::id(), line).expect("the system tells") >> 10
}
