//! One camera's figures: what was processed, what was lost and why, how long the stages take, at which rate lately.

use std::collections::BTreeMap;
use std::time::Duration;

use super::window::Window;
use crate::capture::Health;
use crate::clock::Moment;
use crate::mqtt::messages::Stages;
use crate::mqtt::messages::stats::{CameraStats, StageLatencies};

/// Counts since the start, and marks of the last report so that rates are those of lately.
#[derive(Clone, Debug)]
pub struct Tally {
    /// Frames that could not be decoded.
    pub unreadable: u64,
    processed: u64,
    decode: Window,
    prepare: Window,
    infer: Window,
    post: Window,
    capture_to_publish: Window,
    reported: Reported,
}

/// What the last report said.
#[derive(Clone, Copy, Debug)]
struct Reported {
    at: Duration,
    captured: u64,
    processed: u64,
}

impl Tally {
    /// Nothing yet.
    pub fn new(now: Moment) -> Tally {
        Tally {
            unreadable: 0,
            processed: 0,
            decode: Window::default(),
            prepare: Window::default(),
            infer: Window::default(),
            post: Window::default(),
            capture_to_publish: Window::default(),
            reported: Reported { at: now.monotonic, captured: 0, processed: 0 },
        }
    }

    /// A frame went through the model.
    pub fn processed(&mut self, stages: &Stages, capture_to_publish: Duration) {
        self.processed += 1;
        self.decode.push(stages.decode);
        self.prepare.push(stages.prepare);
        self.infer.push(stages.infer);
        self.post.push(stages.post);
        self.capture_to_publish.push(capture_to_publish);
    }

    /// The figures; rates are those since the last call.
    pub fn stats(&mut self, health: &Health, now: Moment) -> CameraStats<'static> {
        let counters = &health.counters;
        let seconds = now.monotonic.saturating_sub(self.reported.at).as_secs_f64();
        let rate = |now: u64, before: u64| {
            let fps = if seconds > 0.0 { now.saturating_sub(before) as f64 / seconds } else { 0.0 };
            (fps * 100.0).round() / 100.0
        };
        let (capture_fps, process_fps) =
            (rate(counters.frames, self.reported.captured), rate(self.processed, self.reported.processed));
        self.reported = Reported { at: now.monotonic, captured: counters.frames, processed: self.processed };
        CameraStats {
            status: health.state.name().into(),
            reason: health.reason.clone().map(Into::into),
            capture_fps,
            process_fps,
            frames_captured: counters.frames,
            frames_processed: self.processed,
            frames_dropped: BTreeMap::from([
                ("superseded".into(), counters.dropped),
                ("driver_gap".into(), counters.gaps),
                ("error_flag".into(), counters.error_flagged),
                ("truncated".into(), counters.truncated),
                ("unreadable".into(), counters.unreadable + self.unreadable),
            ]),
            reopened: counters.reopened,
            latency_ms: StageLatencies {
                decode: self.decode.quantiles(),
                prepare: self.prepare.quantiles(),
                infer: self.infer.quantiles(),
                post: self.post.quantiles(),
                capture_to_publish: self.capture_to_publish.quantiles(),
            },
        }
    }
}
