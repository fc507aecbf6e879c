//! `vigie bench --layers`: where inference spends its time.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Serialize;

use crate::cli::Failure;
use crate::daemon::host;
use crate::detector::{Detector, LayerTime};

/// Rows of the table: layers with a smaller share of the time are summed up.
const LEAST_SHARE: f64 = 0.005;

/// What each layer takes.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub struct Layers(Vec<LayerTime>);

impl Layers {
    /// Measures over so many frames, on the tensor that the detector saw last.
    pub fn measure(detector: &mut Detector, frames: usize) -> Result<Layers, Failure> {
        detector.profile(frames).map(Layers).map_err(Failure::runtime)
    }

    /// For people: the layers that matter in the order in which they run, then sums by operator.
    pub fn table(&self) -> String {
        let mhz = host::clock_mhz();
        let mut table =
            String::from("\n  layer ms      %     MMAC   GMAC/s  MAC/cycle  operator      name\n");
        let mut row = |ms: f64, share: f64, macs: u64, operator: &str, name: &str| {
            let rate = macs as f64 / (ms * 1e6);
            let (mmac, rate, cycle) = if macs == 0 {
                Default::default()
            } else {
                let cycle = mhz.map_or_else(|| "?".into(), |mhz| format!("{:.2}", rate * 1e3 / mhz));
                (format!("{:.2}", macs as f64 / 1e6), format!("{rate:.1}"), cycle)
            };
            let share = share * 100.0;
            let _ = writeln!(
                table,
                "{ms:>10.3} {share:>6.1} {mmac:>8} {rate:>8} {cycle:>10}  {operator:<12}  {name}"
            );
        };
        let (mut rest, mut kinds) = ((0, 0.0), BTreeMap::<_, (f64, f64, u64)>::new());
        for LayerTime { layer, median_ms, share } in &self.0 {
            let kind = kinds.entry((&layer.operator, &layer.engine)).or_default();
            *kind = (kind.0 + median_ms, kind.1 + share, kind.2 + layer.macs);
            if *share < LEAST_SHARE {
                rest = (rest.0 + 1, rest.1 + share);
            } else {
                row(*median_ms, *share, layer.macs, &layer.operator, &layer.name);
            }
        }
        let mut kinds: Vec<_> = kinds.into_iter().collect();
        kinds.sort_by(|a, b| b.1.0.total_cmp(&a.1.0));
        for ((operator, engine), (ms, share, macs)) in kinds {
            row(ms, share, macs, operator, &format!("(all, {engine})"));
        }
        let (count, share) = (rest.0, rest.1 * 100.0);
        let _ =
            writeln!(table, "  not shown: {count} layers of less than half a percent, {share:.1} % in all");
        if mhz.is_none() {
            table.push_str("  cycles: the clock isn't known here\n");
        }
        table
    }
}
