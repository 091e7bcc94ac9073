//! What this process has used of the machine, and what it may use: CPU time, memory, descriptors.

use std::fs;
use std::time::Duration;

use nix::sys::resource::{Resource, UsageWho, getrlimit, getrusage, setrlimit};
use nix::sys::time::TimeVal;

use crate::Outcome;

/// CPU time of all threads so far, in user and kernel.
pub(crate) fn cpu_time() -> Duration {
    let part = |time: TimeVal| {
        let [seconds, micros] = [time.tv_sec(), time.tv_usec()].map(|part| u64::try_from(part).unwrap_or(0));
        Duration::from_secs(seconds) + Duration::from_micros(micros)
    };
    // It fails for a wrong argument only.
    getrusage(UsageWho::RUSAGE_SELF)
        .map_or(Duration::ZERO, |usage| part(usage.user_time()) + part(usage.system_time()))
}

/// Resident memory in KiB. Summed up page by page: the counter in `/proc/self/status` lags by thread.
pub(crate) fn resident_kib() -> Outcome<f64> {
    let text = fs::read_to_string("/proc/self/smaps_rollup")?;
    let line = text.lines().find_map(|line| line.strip_prefix("Rss:")).ok_or("no resident size in /proc")?;
    Ok(line.trim().trim_end_matches("kB").trim_end().parse()?)
}

/// Lets this process, and those it starts, open as many descriptors as the system allows.
pub(crate) fn raise_descriptor_limit(needed: u64) -> Outcome<()> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    if soft < hard {
        setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
    }
    if hard < needed {
        return Err(
            format!("a process may open {hard} files here, these cells need {needed}: `ulimit -Hn`").into()
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_and_memory_show() {
        let (cpu, before) = (cpu_time(), resident_kib().unwrap());
        let mut block = vec![0_u8; 64 << 20];
        block.fill(1);
        while cpu_time() < cpu + Duration::from_millis(5) {
            block.fill(2);
        }
        assert!(resident_kib().unwrap() > before + 32.0 * 1024.0, "{}", block.len());
    }

    #[test]
    fn too_few_descriptors_are_an_error_that_says_so() {
        let error = raise_descriptor_limit(u64::MAX).unwrap_err().to_string();
        assert!(error.contains("ulimit"), "{error}");
    }
}
