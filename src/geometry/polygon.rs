//! Polygons over a picture: simple ones only, in fractions of its width and height.

/// A simple polygon (its edges meet only at their shared corners) that lies inside the picture.
#[derive(Clone, Debug, PartialEq)]
pub struct Polygon {
    points: Vec<[f32; 2]>,
}

/// Why points make no polygon. The numbers are indices of points; an edge goes by the index of its first point.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PolygonError {
    /// Fewer than three points.
    #[error("a polygon has at least 3 points, this has {0}")]
    TooFew(usize),
    /// More points than anyone draws.
    #[error("a polygon may have {max} points at most, this has {0}", max = Polygon::MAX_POINTS)]
    TooMany(usize),
    /// A point that is not in the picture.
    #[error("point {0} lies outside of the picture")]
    Outside(usize),
    /// Two points at the same place.
    #[error("points {0} and {1} are the same")]
    Repeated(usize, usize),
    /// Points on one line.
    #[error("the points lie on a line: there is nothing inside")]
    Flat,
    /// Edges that cross or touch.
    #[error("the edges after points {0} and {1} cross or touch")]
    Crossing(usize, usize),
}

impl Polygon {
    /// The most points of a polygon; checking takes time with their square.
    pub const MAX_POINTS: usize = 256;

    /// The polygon with these corners, x and y from 0 to 1, in either direction.
    pub fn new(points: Vec<[f32; 2]>) -> Result<Polygon, PolygonError> {
        let n = points.len();
        if n < 3 {
            return Err(PolygonError::TooFew(n));
        }
        if n > Polygon::MAX_POINTS {
            return Err(PolygonError::TooMany(n));
        }
        let inside = |point: &[f32; 2]| point.iter().all(|c| (0.0..=1.0).contains(c));
        if let Some(outside) = points.iter().position(|point| !inside(point)) {
            return Err(PolygonError::Outside(outside));
        }
        let pairs = || (0..n).flat_map(|i| (i + 1..n).map(move |j| (i, j)));
        if let Some((i, j)) = pairs().find(|&(i, j)| points[i] == points[j]) {
            return Err(PolygonError::Repeated(i, j));
        }
        if points.iter().all(|point| turn(points[0], points[1], *point) == 0.0) {
            return Err(PolygonError::Flat);
        }
        let edge = |i: usize| (points[i], points[(i + 1) % n]);
        let wrong = |&(i, j): &(usize, usize)| match (j - i, i + n - j) {
            (1, _) => folds_back(points[i], points[j], points[(j + 1) % n]),
            (_, 1) => folds_back(points[j], points[i], points[i + 1]),
            _ => meet(edge(i), edge(j)),
        };
        match pairs().find(wrong) {
            Some((i, j)) => Err(PolygonError::Crossing(i, j)),
            None => Ok(Polygon { points }),
        }
    }

    /// The corners in their order.
    pub fn points(&self) -> &[[f32; 2]] {
        &self.points
    }

    /// Its part of the picture, 0…1.
    pub fn area(&self) -> f32 {
        let following = self.points.iter().cycle().skip(1);
        let twice: f32 = self.points.iter().zip(following).map(|(a, b)| a[0] * b[1] - b[0] * a[1]).sum();
        twice.abs() / 2.0
    }

    /// Whether a point (in fractions too) lies inside; one on an edge may go either way.
    pub fn contains(&self, [x, y]: [f32; 2]) -> bool {
        let following = self.points.iter().cycle().skip(1);
        let crossed = |(a, b): &(&[f32; 2], &[f32; 2])| {
            (a[1] > y) != (b[1] > y) && x < a[0] + (y - a[1]) / (b[1] - a[1]) * (b[0] - a[0])
        };
        self.points.iter().zip(following).filter(crossed).count() % 2 == 1
    }
}

/// Positive where a → b → c turns one way, negative where it turns the other way, 0 on a line. The products of
/// differences of 24-bit numbers are exact in 64 bits, so 0 means 0 for all that a user writes.
fn turn(a: [f32; 2], b: [f32; 2], c: [f32; 2]) -> f64 {
    let [ax, ay] = a.map(f64::from);
    let ([bx, by], [cx, cy]) = (b.map(f64::from), c.map(f64::from));
    (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
}

/// Whether the way from a over b to c goes back over itself.
fn folds_back(a: [f32; 2], b: [f32; 2], c: [f32; 2]) -> bool {
    let along = |i: usize| (f64::from(b[i]) - f64::from(a[i])) * (f64::from(c[i]) - f64::from(b[i]));
    turn(a, b, c) == 0.0 && along(0) + along(1) < 0.0
}

/// Whether two segments have a point in common.
fn meet((a, b): ([f32; 2], [f32; 2]), (c, d): ([f32; 2], [f32; 2])) -> bool {
    let (c_side, d_side) = (turn(a, b, c), turn(a, b, d));
    let (a_side, b_side) = (turn(c, d, a), turn(c, d, b));
    if c_side == 0.0 && d_side == 0.0 {
        // On one line: they meet where their extents do, in both directions.
        let apart = |i: usize| a[i].max(b[i]) < c[i].min(d[i]) || c[i].max(d[i]) < a[i].min(b[i]);
        return !apart(0) && !apart(1);
    }
    c_side * d_side <= 0.0 && a_side * b_side <= 0.0
}

#[cfg(test)]
mod tests {
    use super::*;

    const SQUARE: [[f32; 2]; 4] = [[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]];

    fn refused(points: &[[f32; 2]]) -> PolygonError {
        Polygon::new(points.to_vec()).expect_err("no polygon")
    }

    #[test]
    fn what_is_no_polygon_is_refused_with_the_reason() {
        assert_eq!(refused(&SQUARE[..2]), PolygonError::TooFew(2));
        assert_eq!(refused(&[[0.5, 0.5]; 300]), PolygonError::TooMany(300));
        assert_eq!(refused(&[[0.0, 0.0], [1.1, 0.0], [0.0, 1.0]]), PolygonError::Outside(1));
        assert_eq!(refused(&[[0.0, 0.0], [f32::NAN, 0.0], [0.0, 1.0]]), PolygonError::Outside(1));
        assert_eq!(refused(&[[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 0.0]]), PolygonError::Repeated(0, 3));
        assert_eq!(refused(&[[0.1, 0.1], [0.2, 0.2], [0.5, 0.5]]), PolygonError::Flat);
        assert_eq!(refused(&[[0.0, 0.0], [1.0, 1.0], [1.0, 0.0], [0.0, 1.0]]), PolygonError::Crossing(0, 2));
    }

    #[test]
    fn spikes_and_touching_corners_are_crossings() {
        let spike = [[0.0, 0.0], [0.5, 0.0], [0.25, 0.0], [0.25, 1.0]];
        assert_eq!(refused(&spike), PolygonError::Crossing(0, 1));
        let spike_at_the_end = [[0.5, 0.0], [0.25, 0.0], [0.25, 1.0], [0.0, 0.0]];
        assert!(matches!(refused(&spike_at_the_end), PolygonError::Crossing(_, 3)));
        let touching = [[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.5, 0.0], [0.0, 1.0]];
        assert!(matches!(refused(&touching), PolygonError::Crossing(0, _)));
    }

    #[test]
    fn corners_on_a_straight_edge_and_hollows_are_fine() {
        let straight = Polygon::new(vec![[0.0, 0.0], [0.5, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]]);
        assert_eq!(straight.expect("a polygon").area(), 1.0);
        let hollow = Polygon::new(vec![[0.0, 0.0], [1.0, 0.0], [0.5, 0.5], [1.0, 1.0], [0.0, 1.0]])
            .expect("a polygon");
        assert_eq!(hollow.area(), 0.75);
        assert!(hollow.contains([0.25, 0.5]) && !hollow.contains([0.9, 0.5]) && !hollow.contains([1.5, 0.5]));
        let mut backwards = SQUARE;
        backwards.reverse();
        assert_eq!(Polygon::new(backwards.to_vec()).expect("a polygon").area(), 1.0);
    }
}
