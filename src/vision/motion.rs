//! Motion on the small picture: which part of it looks other than it did. Cheap beside a look with the model: one sum over
//! the tensor's green bytes.

use super::{Letterbox, Tensor};

/// Cells across and down.
const SIDE: usize = 32;
/// How fast the ground follows what is seen: in so many frames it is half there.
const FOLLOWS: f32 = 0.2;

/// What a camera's picture usually looks like.
#[derive(Clone, Debug)]
pub struct Motion {
    /// A cell is other than it was from this difference on, 0…255.
    contrast: f32,
    /// The mean of each cell, as it usually is; empty before the first frame.
    ground: Vec<f32>,
    seen: Vec<f32>,
    sorted: Vec<f32>,
    letterbox: Option<Letterbox>,
}

impl Motion {
    /// Motion is what differs by so much, 0…255.
    pub fn new(contrast: f32) -> Motion {
        let cells = || Vec::with_capacity(SIDE * SIDE);
        Motion { contrast, ground: cells(), seen: cells(), sorted: cells(), letterbox: None }
    }

    /// The part of the picture, 0…1, that looks other than it usually does. All of it does in the first frame, and in the
    /// first of another size. Light that changes everywhere at once is no motion.
    pub fn look(&mut self, tensor: &Tensor, letterbox: &Letterbox) -> f32 {
        self.measure(tensor, letterbox);
        if self.letterbox != Some(*letterbox) {
            self.letterbox = Some(*letterbox);
            self.ground.clone_from(&self.seen);
            return 1.0;
        }
        self.sorted.clear();
        self.sorted.extend(self.seen.iter().zip(&self.ground).map(|(seen, ground)| seen - ground));
        let middle = self.sorted.len() / 2;
        let light = *self.sorted.select_nth_unstable_by(middle, f32::total_cmp).1;
        let mut moved = 0;
        for (seen, ground) in self.seen.iter().zip(&mut self.ground) {
            let difference = seen - *ground;
            moved += usize::from((difference - light).abs() > self.contrast);
            *ground += FOLLOWS * difference;
        }
        moved as f32 / self.seen.len() as f32
    }

    /// The mean of each cell.
    fn measure(&mut self, tensor: &Tensor, letterbox: &Letterbox) {
        let (width, height) = (letterbox.inner.width as usize, letterbox.inner.height as usize);
        let (across, down) = (SIDE.min(width), SIDE.min(height));
        let stride = 3 * tensor.size.width as usize;
        self.seen.clear();
        for row in 0..down {
            let rows = row * height / down..(row + 1) * height / down;
            for column in 0..across {
                let columns = column * width / across..(column + 1) * width / across;
                let mut sum = 0u32;
                for y in rows.clone() {
                    let from =
                        (letterbox.top as usize + y) * stride + 3 * (letterbox.left as usize + columns.start);
                    let line = &tensor.data[from..from + 3 * columns.len()];
                    sum += line.iter().skip(1).step_by(3).map(|&green| u32::from(green)).sum::<u32>();
                }
                self.seen.push(sum as f32 / (rows.len() * columns.len()) as f32);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::Size;

    const SIZE: Size = Size::new(320, 320);

    /// A wide picture with a square somewhere.
    fn picture(light: u8, x: usize) -> (Tensor, Letterbox) {
        let mut tensor = Tensor::new(SIZE);
        let letterbox = Letterbox::new(Size::new(1280, 720), SIZE);
        for y in 70..250 {
            for column in 0..320 {
                let square = (100..140).contains(&y) && (x..x + 40).contains(&column);
                tensor.data[(y * 320 + column) * 3..][..3].fill(if square { 250 } else { light });
            }
        }
        (tensor, letterbox)
    }

    fn look(motion: &mut Motion, light: u8, x: usize) -> f32 {
        let (tensor, letterbox) = picture(light, x);
        motion.look(&tensor, &letterbox)
    }

    #[test]
    fn what_moves_is_motion_and_what_stays_is_none() {
        let mut motion = Motion::new(12.0);
        assert_eq!(look(&mut motion, 90, 40), 1.0, "all is new");
        assert_eq!(look(&mut motion, 90, 40), 0.0);
        let moved = look(&mut motion, 90, 80);
        // 40 × 40 of 320 × 180 twice, where it was and where it is.
        assert!((0.04..0.08).contains(&moved), "{moved}");
        for _ in 0..40 {
            look(&mut motion, 90, 80);
        }
        assert_eq!(look(&mut motion, 90, 80), 0.0, "it is part of the ground now");
    }

    #[test]
    fn light_is_no_motion() {
        let mut motion = Motion::new(12.0);
        look(&mut motion, 90, 40);
        let lamp = look(&mut motion, 130, 40);
        assert!(lamp < 0.05, "only the square stayed as it was: {lamp}");
    }

    #[test]
    fn a_picture_smaller_than_the_grid_is_measured_too() {
        let letterbox = Letterbox::new(Size::new(10, 3), Size::new(10, 10));
        let mut motion = Motion::new(12.0);
        assert_eq!(motion.look(&Tensor::new(Size::new(10, 10)), &letterbox), 1.0);
        assert_eq!(motion.look(&Tensor::new(Size::new(10, 10)), &letterbox), 0.0);
    }
}
