//! Where a box will be: a Kalman filter with constant velocity, in the frames' own time.
//!
//! Centre and sides are four axes that know nothing of each other, so that the filter of eight states that SORT and
//! ByteTrack use falls apart into four of two, without a matrix (Kalman 1960; Bewley et al., arXiv 1602.00763). What a
//! frame interval is there is a time here: frames may come at 1 or at 30 a second, unevenly, and some never.

use std::time::Duration;

use crate::geometry::BBox;

/// Deviation of a measured edge, in parts of the object's side: how much a detector's box shakes.
const SHAKE: f32 = 0.07;
/// Deviation of the speed that a new object may have, in sides a second: a person walks at about one height a second.
const SPEED: f32 = 2.0;
/// Spectral density of the acceleration, in sides² a second³: how soon an object changes its mind.
const ACCELERATION: f32 = 0.2;
/// Spectral density of what the place changes without a speed, in sides² a second: a body that turns, a box that breathes.
const WANDER: f32 = 0.02;
/// The same of the sides, which change more slowly than the place.
const GROWTH: f32 = 0.1;

/// One coordinate: its value, its speed, and how sure both are.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Axis {
    x: f32,
    v: f32,
    /// Variance of the value, covariance, variance of the speed.
    p: [f32; 3],
}

impl Axis {
    fn new(x: f32, side: f32, pace: f32) -> Axis {
        let (place, speed) = (SHAKE * side, SPEED * pace * side);
        Axis { x, v: 0.0, p: [place * place, 0.0, speed * speed] }
    }

    /// Time passes; `pace` scales how much may change by itself.
    fn predict(&mut self, dt: f32, side: f32, pace: f32) {
        let [xx, xv, vv] = self.p;
        let (acceleration, wander) = (ACCELERATION * side * side * pace, WANDER * side * side * pace);
        self.x += self.v * dt;
        self.p = [
            xx + dt * (2.0 * xv + dt * vv) + acceleration * dt.powi(3) / 3.0 + wander * dt,
            xv + dt * vv + acceleration * dt * dt / 2.0,
            vv + acceleration * dt,
        ];
    }

    /// It was measured, with that variance.
    fn correct(&mut self, measured: f32, variance: f32) {
        let [xx, xv, vv] = self.p;
        let sum = xx + variance;
        let (gain, speed_gain) = (xx / sum, xv / sum);
        let off = measured - self.x;
        self.x += gain * off;
        self.v += speed_gain * off;
        self.p = [(1.0 - gain) * xx, (1.0 - gain) * xv, vv - speed_gain * xv];
    }
}

/// A box that moves.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Motion {
    /// Centre and sides.
    cx: Axis,
    cy: Axis,
    w: Axis,
    h: Axis,
}

/// The least side that is reckoned with, in pixels.
const LEAST: f32 = 1.0;

impl Motion {
    /// It was seen for the first time; its speed is unknown.
    pub(super) fn new(bbox: &BBox) -> Motion {
        let (w, h) = (bbox.width().max(LEAST), bbox.height().max(LEAST));
        let (x, y) = centre(bbox);
        Motion {
            cx: Axis::new(x, w.max(h), 1.0),
            cy: Axis::new(y, w.max(h), 1.0),
            w: Axis::new(w, w, GROWTH),
            h: Axis::new(h, h, GROWTH),
        }
    }

    /// Time passes.
    pub(super) fn predict(&mut self, by: Duration) {
        let dt = by.as_secs_f32();
        let (w, h) = (self.w.x.max(LEAST), self.h.x.max(LEAST));
        let side = w.max(h);
        self.cx.predict(dt, side, 1.0);
        self.cy.predict(dt, side, 1.0);
        self.w.predict(dt, w, GROWTH);
        self.h.predict(dt, h, GROWTH);
    }

    /// It is not seen: a speed is believed less and less, so that who hides behind a tree isn't sought across the street.
    pub(super) fn tire(&mut self, by: Duration, half_life: Duration) {
        let left = (-by.as_secs_f32() / half_life.as_secs_f32()).exp2();
        for axis in [&mut self.cx, &mut self.cy, &mut self.w, &mut self.h] {
            axis.v *= left;
        }
    }

    /// It was seen there. The less sure the detector is, the less its box counts.
    pub(super) fn correct(&mut self, bbox: &BBox, score: f32) {
        let (w, h) = (bbox.width().max(LEAST), bbox.height().max(LEAST));
        let (x, y) = centre(bbox);
        let shake = |side: f32| (SHAKE * side * (1.5 - score.clamp(0.0, 1.0))).powi(2);
        self.cx.correct(x, shake(w));
        self.cy.correct(y, shake(h));
        self.w.correct(w, 2.0 * shake(w));
        self.h.correct(h, 2.0 * shake(h));
    }

    /// Where it is.
    pub(super) fn bbox(&self) -> BBox {
        let (w, h) = (self.w.x.max(LEAST) / 2.0, self.h.x.max(LEAST) / 2.0);
        BBox::new(self.cx.x - w, self.cy.x - h, self.cx.x + w, self.cy.x + h)
    }

    /// The centre's speed, in pixels a second.
    pub(super) fn velocity(&self) -> [f32; 2] {
        [self.cx.v, self.cy.v]
    }

    /// How far the centre may be from where it is reckoned, one deviation, in pixels.
    pub(super) fn doubt(&self) -> [f32; 2] {
        [self.cx.p[0].max(0.0).sqrt(), self.cy.p[0].max(0.0).sqrt()]
    }
}

fn centre(bbox: &BBox) -> (f32, f32) {
    (0.5 * (bbox.x1 + bbox.x2), 0.5 * (bbox.y1 + bbox.y2))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn boxed(x: f32, y: f32) -> BBox {
        BBox::new(x - 20.0, y - 50.0, x + 20.0, y + 50.0)
    }

    /// Walks at 90 pixels a second for a while, seen at these times.
    fn walked(times: &[f32]) -> Motion {
        let mut motion = Motion::new(&boxed(0.0, 100.0));
        let mut before = 0.0;
        for &t in times {
            motion.predict(Duration::from_secs_f32(t - before));
            motion.correct(&boxed(90.0 * t, 100.0), 0.8);
            before = t;
        }
        motion
    }

    #[test]
    fn a_speed_is_learnt_whatever_the_rate_of_the_frames() {
        let even: Vec<f32> = (1..=10).map(|i| 0.2 * i as f32).collect();
        let fast: Vec<f32> = (1..=60).map(|i| i as f32 / 30.0).collect();
        let uneven = [0.1, 0.5, 0.6, 1.3, 1.4, 2.0];
        for times in [&even[..], &fast[..], &uneven[..]] {
            let mut motion = walked(times);
            let [vx, vy] = motion.velocity();
            assert!((vx - 90.0).abs() < 9.0 && vy.abs() < 1.0, "{vx} {vy} of {} frames", times.len());
            motion.predict(Duration::from_millis(500));
            let x = 0.5 * (motion.bbox().x1 + motion.bbox().x2);
            assert!((x - 225.0).abs() < 10.0, "half a second later at {x}");
        }
    }

    #[test]
    fn a_box_that_shakes_does_not_run_away() {
        let mut motion = Motion::new(&boxed(200.0, 100.0));
        for i in 0..50 {
            motion.predict(Duration::from_millis(200));
            let shake = [3.0, -2.0, 1.0, -3.0, 2.0][i % 5];
            motion.correct(&boxed(200.0 + shake, 100.0 - shake), 0.5);
        }
        let (at, [vx, vy]) = (motion.bbox(), motion.velocity());
        assert!(at.iou(&boxed(200.0, 100.0)) > 0.85, "{at:?}");
        assert!(vx.abs() < 10.0 && vy.abs() < 10.0, "{vx} {vy}");
    }

    #[test]
    fn doubt_grows_while_nothing_is_seen_and_the_speed_tires() {
        let mut motion = walked(&[0.2, 0.4, 0.6, 0.8, 1.0]);
        let (before, [speed, _]) = (motion.doubt(), motion.velocity());
        motion.predict(Duration::from_secs(1));
        motion.tire(Duration::from_secs(1), Duration::from_secs(1));
        assert!(motion.doubt()[0] > 3.0 * before[0]);
        assert!((motion.velocity()[0] - 0.5 * speed).abs() < 1e-3);
    }

    #[test]
    fn empty_boxes_and_no_time_are_no_trouble() {
        let mut motion = Motion::new(&BBox::default());
        motion.predict(Duration::ZERO);
        motion.correct(&BBox::default(), 0.0);
        motion.predict(Duration::from_secs(3600));
        let at = motion.bbox();
        assert!(at.x1.is_finite() && at.width() >= LEAST && motion.doubt()[0].is_finite());
    }
}
