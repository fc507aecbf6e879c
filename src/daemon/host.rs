//! Facts about the board: name, boot, temperature, memory, and whether its clock can be trusted.

use std::fs;
use std::path::Path;

/// The host's name, as far as it can be a topic level.
pub fn name() -> String {
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let short = name.split('.').next().unwrap_or_default();
    if short.is_empty() { "vigie".to_owned() } else { short.to_owned() }
}

/// The kernel's id of this boot; monotonic times of different boots can't be compared.
pub fn boot_id() -> String {
    read("/proc/sys/kernel/random/boot_id").unwrap_or_else(|| "unknown".to_owned())
}

/// Whether the wall clock is known to follow a time server, as systemd-timesyncd (or whoever sets its flag) says.
///
/// A board without a battery-backed clock starts years in the past; messages carry this so that nobody trusts their
/// times by mistake. `false` means "not known to be right".
pub fn clock_synced() -> bool {
    Path::new("/run/systemd/timesync/synchronized").exists()
}

/// The temperature of the processor in degrees Celsius: the first thermal zone that has one.
pub fn temperature() -> Option<f32> {
    let milli: f32 = read("/sys/class/thermal/thermal_zone0/temp")?.parse().ok()?;
    Some(milli / 1000.0)
}

/// The model name of the processor, for reports of measurements.
pub fn cpu() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let field = |key: &str| {
        let line = info.lines().find(|line| line.starts_with(key))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    };
    // ARM kernels name the board ("Model") and not the core; x86 kernels the processor ("model name").
    field("model name")
        .or_else(|| field("Model"))
        .or_else(|| field("CPU part"))
        .unwrap_or_else(|| "unknown".to_owned())
}

/// The clock of the first processor in MHz, as it is now.
pub fn clock_mhz() -> Option<f64> {
    let khz = || read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq")?.parse::<f64>().ok();
    let info = || {
        let info = fs::read_to_string("/proc/cpuinfo").ok()?;
        let line = info.lines().find(|line| line.starts_with("cpu MHz"))?;
        line.split_once(':')?.1.trim().parse::<f64>().ok()
    };
    khz().map(|khz| khz / 1e3).or_else(info).filter(|mhz| *mhz > 0.0)
}

/// The memory that this process holds, in MiB: (now, at its peak).
pub fn memory_mib() -> Option<(f32, f32)> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let field = |key: &str| -> Option<f32> {
        let line = status.lines().find(|line| line.starts_with(key))?;
        let kib: f32 = line.split_ascii_whitespace().nth(1)?.parse().ok()?;
        Some(kib / 1024.0)
    };
    Some((field("VmRSS:")?, field("VmHWM:")?))
}

fn read(path: &str) -> Option<String> {
    fs::read_to_string(path).ok().map(|text| text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_knows_its_memory_and_its_boot() {
        let (now, peak) = memory_mib().expect("procfs is there");
        assert!(now > 0.5 && peak >= now * 0.9, "{now} {peak}");
        assert_eq!(boot_id().len(), 36);
        assert!(!name().contains('.'));
    }
}
