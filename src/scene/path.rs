//! The way that an object went, in as few points as tell it.

/// The most points of a path.
const MOST: usize = 32;
/// A point this near to the one before it, in parts of the picture, is the same place.
const SAME_PLACE: f32 = 0.01;

/// A way through the picture, in fractions of its width and height.
///
/// When there are too many points the one goes that changes the way least: the one that makes the smallest triangle with
/// its neighbours (Visvalingam and Whyatt 1993). The first and the last one stay.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Path {
    points: Vec<[f32; 2]>,
    /// Where it is now, if that is not worth a point yet.
    end: Option<[f32; 2]>,
}

impl Path {
    /// Begins at a point.
    pub fn new(point: [f32; 2]) -> Path {
        let mut points = Vec::with_capacity(MOST + 1);
        points.push(point);
        Path { points, end: None }
    }

    /// It goes on to a point.
    pub fn push(&mut self, point: [f32; 2]) {
        let Some(last) = self.points.last() else {
            self.points.push(point);
            return;
        };
        if (point[0] - last[0]).hypot(point[1] - last[1]) < SAME_PLACE {
            self.end = Some(point);
            return;
        }
        self.end = None;
        self.points.push(point);
        if self.points.len() > MOST {
            let triangle = |i: &usize| triangle(self.points[i - 1], self.points[*i], self.points[i + 1]);
            let least = (1..self.points.len() - 1).min_by(|a, b| triangle(a).total_cmp(&triangle(b)));
            least.map(|least| self.points.remove(least));
        }
    }

    /// The points, from the first to where it is now.
    pub fn points(&self) -> impl Iterator<Item = [f32; 2]> {
        self.points.iter().copied().chain(self.end)
    }

    /// How far it is from where it began, in parts of the picture.
    pub fn displacement(&self) -> f32 {
        match (self.points.first(), self.end.or(self.points.last().copied())) {
            (Some(first), Some(last)) => (last[0] - first[0]).hypot(last[1] - first[1]),
            _ => 0.0,
        }
    }
}

/// Twice the area between three points.
fn triangle(a: [f32; 2], b: [f32; 2], c: [f32; 2]) -> f32 {
    ((b[0] - a[0]) * (c[1] - a[1]) - (c[0] - a[0]) * (b[1] - a[1])).abs()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gone(points: impl IntoIterator<Item = [f32; 2]>) -> Path {
        let mut points = points.into_iter();
        let mut path = Path::new(points.next().unwrap());
        points.for_each(|point| path.push(point));
        path
    }

    #[test]
    fn a_long_way_keeps_its_corners_and_both_ends() {
        // Along three sides of a square, in 300 steps.
        let step = |n: usize| match (n / 100, 0.1 + 0.008 * (n % 100) as f32) {
            (0, along) => [along, 0.1],
            (1, along) => [0.9, along],
            (_, along) => [1.0 - along, 0.9],
        };
        let path = gone((0..300).map(step));
        let points: Vec<_> = path.points().collect();
        assert!(points.len() <= MOST + 1, "{}", points.len());
        assert_eq!((points[0], *points.last().unwrap()), (step(0), step(299)));
        for corner in [[0.9, 0.1], [0.9, 0.9]] {
            let near = |p: &[f32; 2]| (p[0] - corner[0]).hypot(p[1] - corner[1]) < 0.03;
            assert!(points.iter().any(near), "{corner:?} of {points:?}");
        }
    }

    #[test]
    fn who_stands_about_makes_no_points() {
        let path = gone((0..1000).map(|n| [0.5 + 0.003 * (n % 3) as f32, 0.5]));
        assert!(path.points().count() <= 2);
        assert!(path.displacement() < 0.01);
        let back = gone([[0.1, 0.1], [0.5, 0.5], [0.1, 0.1]]);
        assert_eq!((back.points().count(), back.displacement()), (3, 0.0));
    }
}
