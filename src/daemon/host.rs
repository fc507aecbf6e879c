//! Facts about the board: boot, temperature, memory and processor.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::clock::Moment;

/// The kernel's id of this boot; monotonic times of different boots can't be compared.
pub fn boot_id() -> String {
    read("/proc/sys/kernel/random/boot_id").unwrap_or_else(|| "unknown".to_owned())
}

/// A name of this run of the program that no other run ever has, on this board or another: the boot's id and when in it the
/// program started, to the millisecond. No wall clock: that may jump, and stand at 1970.
pub fn run_id(started: Moment) -> String {
    run_id_of(&boot_id(), started.monotonic)
}

fn run_id_of(boot_id: &str, started: Duration) -> String {
    let boot: String = boot_id.chars().filter(char::is_ascii_hexdigit).take(12).collect();
    format!("{boot}-{:x}", started.as_millis())
}

/// The temperature of the processor in degrees Celsius.
pub fn temperature() -> Option<f32> {
    temperature_of(Path::new("/sys/class/thermal"))
}

/// Of the thermal zones of a board, the warmest of those that are called after the processor, or, where none is, the
/// first one that can be read. A board may have a dozen, the battery's and the radio's among them, some of them off.
fn temperature_of(zones: &Path) -> Option<f32> {
    let mut zones: Vec<PathBuf> = fs::read_dir(zones).ok()?.flatten().map(|entry| entry.path()).collect();
    // By number: zone 10 does not come before zone 2.
    zones.retain(|zone| {
        zone.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"thermal_zone"))
    });
    zones.sort_by_key(|zone| (zone.as_os_str().len(), zone.clone()));
    let readings: Vec<(bool, f32)> = zones.iter().filter_map(|zone| reading(zone)).collect();
    let cpu = readings.iter().filter(|(is_cpu, _)| *is_cpu).map(|&(_, celsius)| celsius);
    cpu.reduce(f32::max).or_else(|| readings.first().map(|&(_, celsius)| celsius))
}

/// What a thermal zone reads, and whether it is the processor's. A sensor that is off reads an error, or something
/// that no board survives.
fn reading(zone: &Path) -> Option<(bool, f32)> {
    let milli: f32 = fs::read_to_string(zone.join("temp")).ok()?.trim().parse().ok()?;
    let kind = fs::read_to_string(zone.join("type")).unwrap_or_default().to_lowercase();
    let celsius = milli / 1000.0;
    let is_cpu = ["cpu", "soc", "pkg", "package"].iter().any(|word| kind.contains(word));
    (-60.0..200.0).contains(&celsius).then_some((is_cpu, celsius))
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
    }

    #[test]
    fn no_run_has_the_name_of_another() {
        let run = |ms| run_id_of("9d7d917a-bda2-41c8-a60c-123639d615f0", Duration::from_millis(ms));
        assert_eq!(run(70_000), "9d7d917abda2-11170");
        assert_ne!(run(70_000), run(70_001));
        assert!(!run_id_of("unknown", Duration::ZERO).contains('n'), "hexadecimal digits only");
    }

    #[test]
    fn the_temperature_is_the_processors_whichever_zone_that_is() {
        let board = tempfile::tempdir().unwrap();
        let zone = |n: u32, kind: &str, milli: &str| {
            let folder = board.path().join(format!("thermal_zone{n}"));
            fs::create_dir(&folder).unwrap();
            fs::write(folder.join("type"), format!("{kind}\n")).unwrap();
            fs::write(folder.join("temp"), format!("{milli}\n")).unwrap();
        };
        assert_eq!(temperature_of(board.path()), None);
        fs::create_dir(board.path().join("cooling_device0")).unwrap();
        zone(0, "PMIC-Die", "-256000");
        zone(2, "wifi", "41000");
        assert_eq!(temperature_of(board.path()), Some(41.0), "none is the processor's");
        zone(10, "cpu-thermal", "55500");
        zone(11, "CPU-therm", "nonsense");
        zone(12, "soc0-thermal", "57000");
        assert_eq!(temperature_of(board.path()), Some(57.0));
    }
}
