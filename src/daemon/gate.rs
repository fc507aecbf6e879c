//! The motion gate: whether a prepared frame is worth a look with the model.

use std::time::Duration;

use crate::config::MotionGate;
use crate::vision::{Letterbox, Motion, Tensor};

/// After motion every frame is looked at for so long: what has just come to rest is to be seen.
const AFTER: Duration = Duration::from_secs(3);

/// A gate that opens for motion, and now and then without.
#[derive(Clone, Debug)]
pub struct Gate {
    motion: Motion,
    min_area: f32,
    recheck: Duration,
    /// When something last moved; `None`: nothing was seen yet.
    moved: Option<Duration>,
    /// When it was last open.
    open: Option<Duration>,
    /// What was told of the motion.
    told: Option<bool>,
}

impl Gate {
    /// A gate that is set like that.
    pub fn new(options: &MotionGate) -> Gate {
        Gate {
            motion: Motion::new(options.contrast),
            min_area: options.min_area,
            recheck: options.recheck,
            moved: None,
            open: None,
            told: None,
        }
    }

    /// Whether a frame captured at `at` is to be looked at: something moved of late, or nobody has looked for long, or
    /// somebody is `waited` for.
    pub fn opens(&mut self, at: Duration, tensor: &Tensor, letterbox: &Letterbox, waited: bool) -> bool {
        let moves = self.motion.look(tensor, letterbox) >= self.min_area;
        if moves || self.moved.is_none() {
            self.moved = Some(at);
        }
        let since = |then: Option<Duration>| then.map_or(Duration::MAX, |then| at.saturating_sub(then));
        let opens = waited || since(self.moved) <= AFTER || since(self.open) >= self.recheck;
        if opens {
            self.open = Some(at);
        }
        opens
    }

    /// Whether something moves, if that has changed since it was last asked for.
    pub fn news(&mut self, at: Duration) -> Option<bool> {
        let moving = self.moved.is_some_and(|moved| at.saturating_sub(moved) <= AFTER);
        (self.told.replace(moving) != Some(moving)).then_some(moving)
    }

    /// The camera is away: what comes after it is new.
    pub fn lost(&mut self) {
        (self.moved, self.open) = (None, None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::Size;

    const SIZE: Size = Size::new(64, 64);

    fn gate() -> Gate {
        Gate::new(&MotionGate { min_area: 0.002, contrast: 12.0, recheck: Duration::from_secs(10) })
    }

    /// Whether it opens for a picture of one grey with a light square somewhere.
    fn opens(gate: &mut Gate, seconds: f32, x: usize, waited: bool) -> bool {
        let mut tensor = Tensor::new(SIZE);
        for y in 10..20 {
            tensor.data[(y * 64 + x) * 3..][..30].fill(255);
        }
        gate.opens(Duration::from_secs_f32(seconds), &tensor, &Letterbox::new(SIZE, SIZE), waited)
    }

    #[test]
    fn it_opens_for_motion_and_a_while_after_and_now_and_then() {
        let mut gate = gate();
        let open: Vec<u32> = (0..40).filter(|&second| opens(&mut gate, second as f32, 10, false)).collect();
        assert_eq!(
            open,
            [0, 1, 2, 3, 13, 23, 33],
            "all is new at first, then it is looked at again every 10 s"
        );
        assert!(opens(&mut gate, 40.0, 30, false), "something moved");
        assert!(!opens(&mut gate, 49.5, 30, false) || gate.moved > Some(Duration::from_secs(40)));
        assert!(opens(&mut gate, 70.0, 30, true), "somebody is waited for");
        gate.lost();
        assert!(opens(&mut gate, 71.0, 30, false), "after a loss all is new");
    }

    #[test]
    fn motion_is_told_when_it_changes() {
        let mut gate = gate();
        opens(&mut gate, 0.0, 10, false);
        assert_eq!(gate.news(Duration::ZERO), Some(true));
        assert_eq!(gate.news(Duration::from_secs(1)), None);
        assert_eq!(gate.news(Duration::from_secs(4)), Some(false));
        opens(&mut gate, 5.0, 40, false);
        assert_eq!(gate.news(Duration::from_secs(5)), Some(true));
    }
}
