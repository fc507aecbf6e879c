//! Which format, size and rate to ask of a device: the cheapest to turn into a tensor that does what is wanted.
//!
//! The order of importance: colour over grey, a size that serves, a rate that is reached, then the cost of a frame.
//! So YUYV at a small size beats MJPEG at a large one, and MJPEG is taken when nothing else reaches the size or rate.

use super::{Error, ErrorKind, Request};
use crate::frame::PixelFormat;
use crate::geometry::Size;

/// One thing that a device can give.
#[derive(Clone, Debug, PartialEq)]
pub struct Offer {
    /// The pixel format.
    pub format: PixelFormat,
    /// The sizes.
    pub sizes: Sizes,
    /// The rates at those sizes.
    pub rates: Rates,
}

/// The sizes of an [`Offer`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sizes {
    /// One size.
    One(Size),
    /// Any size between two, in steps from the smallest.
    Range {
        /// The smallest.
        min: Size,
        /// The largest.
        max: Size,
        /// The steps of width and height.
        step: Size,
    },
}

/// The rates of an [`Offer`], in frames a second.
#[derive(Clone, Debug, PartialEq)]
pub enum Rates {
    /// The driver doesn't say.
    Unknown,
    /// These.
    List(Vec<f32>),
    /// Anything between two.
    Range(f32, f32),
}

/// What to ask a device for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Choice {
    /// The pixel format.
    pub format: PixelFormat,
    /// The size.
    pub size: Size,
    /// The rate; `None`: leave the device its own.
    pub fps: Option<f32>,
}

/// A rate that detection can live with, where none is asked for.
const ENOUGH_FPS: f32 = 10.0;

/// Which offer serves `request` best; `model` is the detector's input size.
///
/// # Errors
/// Nothing is on offer that Vigie understands, or not in the format that `request` insists on.
pub fn choose(offers: &[Offer], request: &Request, model: Size) -> Result<Choice, Error> {
    let wanted = |offer: &&Offer| request.format.is_none_or(|format| format == offer.format);
    let ranked = offers.iter().filter(wanted).map(|offer| rank(offer, request, model));
    match ranked.min_by(|(a, _), (b, _)| a.compare(b)) {
        Some((_, choice)) => Ok(choice),
        None => Err(nothing(offers, request)),
    }
}

/// How well a choice serves; less is better, field by field.
#[derive(Debug)]
struct Rank {
    /// Grey where colour could be had.
    grey: bool,
    /// How far the size is from serving.
    size: u64,
    /// The rate that is missing, in frames a second.
    slow: f32,
    /// Nanoseconds a frame, about.
    cost: f64,
}

impl Rank {
    fn compare(&self, other: &Rank) -> std::cmp::Ordering {
        (self.grey.cmp(&other.grey))
            .then(self.size.cmp(&other.size))
            .then(self.slow.total_cmp(&other.slow))
            .then(self.cost.total_cmp(&other.cost))
    }
}

fn rank(offer: &Offer, request: &Request, model: Size) -> (Rank, Choice) {
    let target = request.size.unwrap_or(model);
    let size = offer.sizes.nearest(request.size.unwrap_or_else(|| offer.sizes.covering(model)));
    let misfit = if size.width < target.width || size.height < target.height {
        // Too small: the larger the better, and always worse than one that is large enough.
        u64::MAX - size.area()
    } else if request.size.is_some_and(|wanted| wanted != size) {
        // Larger than asked for: the nearer the better. Where nothing was asked for, the cost decides.
        size.area()
    } else {
        0
    };
    let (fps, reached) = offer.rates.nearest(request.fps);
    let slow = (request.fps.unwrap_or(ENOUGH_FPS) - reached).max(0.0);
    // A tenth of a frame a second is the difference between 30 and 29.97, which nobody means.
    let slow = if slow < 0.1 { 0.0 } else { slow };
    let grey = offer.format == PixelFormat::Grey;
    let cost = cost(offer.format, size, model);
    (Rank { grey, size: misfit, slow, cost }, Choice { format: offer.format, size, fps })
}

/// About how many nanoseconds it takes to turn a frame into a tensor of the model's size on a Cortex-A72.
///
/// Only the order matters. Raw formats cost what their bytes cost to be copied out of the driver's buffer and read
/// again; JPEG costs the entropy decoding of every block, and the inverse DCT of as much as is needed.
pub fn cost(format: PixelFormat, size: Size, model: Size) -> f64 {
    let pixels = size.area() as f64;
    let per_pixel = match format {
        PixelFormat::Grey => 0.6,
        PixelFormat::Nv12 | PixelFormat::Nv21 | PixelFormat::Yu12 => 1.0,
        PixelFormat::Yuyv | PixelFormat::Uyvy => 1.2,
        PixelFormat::Rgb3 | PixelFormat::Bgr3 => 1.8,
        // Scaled decoding halves the picture as long as it stays larger than the tensor.
        PixelFormat::Mjpeg if size.width >= 2 * model.width && size.height >= 2 * model.height => 6.0,
        PixelFormat::Mjpeg => 10.0,
    };
    pixels * per_pixel
}

impl Sizes {
    /// The smallest size that covers `model` in the shape of the device's picture: where any size can be had, asking
    /// for the model's own would have the picture cut or squeezed.
    fn covering(&self, model: Size) -> Size {
        let Sizes::Range { max, .. } = *self else { return model };
        if max.area() == 0 {
            return model;
        }
        let scale = (f64::from(model.width) / f64::from(max.width))
            .max(f64::from(model.height) / f64::from(max.height))
            .min(1.0);
        let side = |n: u32| (f64::from(n) * scale).round() as u32;
        Size::new(side(max.width).max(model.width), side(max.height).max(model.height))
    }

    /// The size on offer that is nearest to `target` and not smaller, or else the largest.
    pub(super) fn nearest(&self, target: Size) -> Size {
        let along = |min: u32, max: u32, step: u32, target: u32| {
            let target = target.clamp(min.min(max), max);
            let up = min + (target - min).div_ceil(step.max(1)) * step.max(1);
            if up <= max { up } else { up - step.max(1) }
        };
        match *self {
            Sizes::One(size) => size,
            Sizes::Range { min, max, step } => Size::new(
                along(min.width, max.width.max(min.width), step.width, target.width),
                along(min.height, max.height.max(min.height), step.height, target.height),
            ),
        }
    }
}

impl Rates {
    /// What to ask for, and what is reached then: the slowest rate that is fast enough, or else the fastest.
    fn nearest(&self, wanted: Option<f32>) -> (Option<f32>, f32) {
        let fastest = match self {
            // Drivers that name no rates (v4l2loopback, many CSI receivers) give what the sensor gives.
            Rates::Unknown => return (wanted, wanted.unwrap_or(ENOUGH_FPS)),
            Rates::List(rates) => rates.iter().copied().fold(0.0, f32::max),
            Rates::Range(_, max) => *max,
        };
        let Some(wanted) = wanted else { return (None, fastest) };
        let reached = match self {
            Rates::List(rates) => rates
                .iter()
                .copied()
                .filter(|&rate| rate > wanted - 0.1)
                .fold(f32::INFINITY, f32::min)
                .min(fastest),
            Rates::Range(min, max) => wanted.max(*min).min(*max),
            Rates::Unknown => wanted,
        };
        (Some(reached), reached)
    }
}

fn nothing(offers: &[Offer], request: &Request) -> Error {
    let mut names: Vec<&str> = offers.iter().map(|offer| offer.format.name()).collect();
    names.sort_unstable();
    names.dedup();
    match request.format {
        Some(format) if !names.is_empty() => Error::new(
            ErrorKind::Unsupported,
            format!("the device has no {format}; it offers {}", names.join(", ")),
        )
        .with_hint("leave `format` out, and the cheapest one is taken"),
        _ => {
            let known: Vec<&str> = PixelFormat::ALL.iter().map(|format| format.name()).collect();
            Error::new(ErrorKind::Unsupported, "the device offers no pixel format that Vigie understands")
                .with_hint(format!("it understands {}", known.join(", ")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const MODEL: Size = Size::new(320, 320);
    const HD: Size = Size::new(1280, 720);
    const VGA: Size = Size::new(640, 480);

    fn request(size: Option<Size>, fps: Option<f32>) -> Request {
        Request { size, fps, format: None, stall_after: Duration::from_secs(5) }
    }

    fn offer(format: PixelFormat, size: Size, fps: &[f32]) -> Offer {
        Offer { format, sizes: Sizes::One(size), rates: Rates::List(fps.to_vec()) }
    }

    /// What a usual webcam offers: YUYV that gets slow as it gets large, MJPEG that is always fast.
    fn webcam() -> Vec<Offer> {
        use PixelFormat::{Mjpeg, Yuyv};
        let fast = [30.0, 24.0, 15.0, 5.0];
        vec![
            offer(Mjpeg, Size::new(320, 240), &fast),
            offer(Mjpeg, VGA, &fast),
            offer(Mjpeg, HD, &fast),
            offer(Mjpeg, Size::new(1920, 1080), &fast),
            offer(Yuyv, Size::new(320, 240), &fast),
            offer(Yuyv, VGA, &fast),
            offer(Yuyv, Size::new(640, 360), &fast),
            offer(Yuyv, HD, &[10.0, 5.0]),
            offer(Yuyv, Size::new(1920, 1080), &[5.0]),
        ]
    }

    fn chosen(offers: &[Offer], size: Option<Size>, fps: Option<f32>) -> (PixelFormat, Size, Option<f32>) {
        let choice = choose(offers, &request(size, fps), MODEL).unwrap();
        (choice.format, choice.size, choice.fps)
    }

    #[test]
    fn by_itself_the_smallest_raw_size_that_covers_the_model() {
        assert_eq!(chosen(&webcam(), None, None), (PixelFormat::Yuyv, Size::new(640, 360), None));
    }

    #[test]
    fn raw_at_the_asked_size_if_it_is_fast_enough_and_mjpeg_if_not() {
        assert_eq!(chosen(&webcam(), Some(HD), Some(5.0)), (PixelFormat::Yuyv, HD, Some(5.0)));
        assert_eq!(chosen(&webcam(), Some(HD), Some(10.0)), (PixelFormat::Yuyv, HD, Some(10.0)));
        assert_eq!(chosen(&webcam(), Some(HD), Some(12.0)), (PixelFormat::Mjpeg, HD, Some(15.0)));
        assert_eq!(
            chosen(&webcam(), Some(Size::new(1920, 1080)), None).0,
            PixelFormat::Mjpeg,
            "5 fps is too slow"
        );
    }

    #[test]
    fn mjpeg_where_only_it_reaches_the_size() {
        let offers = [offer(PixelFormat::Yuyv, VGA, &[30.0]), offer(PixelFormat::Mjpeg, HD, &[30.0])];
        assert_eq!(chosen(&offers, Some(HD), None).0, PixelFormat::Mjpeg);
        assert_eq!(chosen(&offers, None, None).0, PixelFormat::Yuyv);
    }

    #[test]
    fn of_raw_formats_the_one_with_the_fewest_bytes_and_grey_only_in_need() {
        use PixelFormat::{Grey, Nv12, Rgb3, Yu12, Yuyv};
        let all = |formats: &[PixelFormat]| -> Vec<Offer> {
            formats.iter().map(|&f| offer(f, VGA, &[30.0])).collect()
        };
        assert_eq!(chosen(&all(&[Rgb3, Yuyv, Nv12, Grey]), None, None).0, Nv12);
        assert_eq!(chosen(&all(&[Rgb3, Grey, Yuyv]), None, None).0, Yuyv);
        assert_eq!(chosen(&all(&[Rgb3, Yu12]), None, None).0, Yu12);
        assert_eq!(chosen(&all(&[Grey, Rgb3]), None, None).0, Rgb3);
        assert_eq!(chosen(&all(&[Grey]), None, None).0, Grey);
        let infrared = [offer(Grey, HD, &[30.0]), offer(Yuyv, Size::new(160, 120), &[30.0])];
        assert_eq!(chosen(&infrared, Some(HD), None).0, Yuyv, "colour, though it is small");
    }

    #[test]
    fn a_size_that_is_not_on_offer_becomes_the_next_larger_or_else_the_largest() {
        assert_eq!(chosen(&webcam(), Some(Size::new(800, 600)), None).1, HD);
        assert_eq!(chosen(&webcam(), Some(Size::new(3840, 2160)), Some(30.0)).1, Size::new(1920, 1080));
        let small = [
            offer(PixelFormat::Yuyv, Size::new(160, 120), &[30.0]),
            offer(PixelFormat::Yuyv, Size::new(176, 144), &[30.0]),
        ];
        assert_eq!(chosen(&small, None, None).1, Size::new(176, 144));
    }

    #[test]
    fn a_range_gives_the_size_itself_or_the_next_step() {
        let range = |min, max, step| Offer {
            format: PixelFormat::Nv12,
            sizes: Sizes::Range { min, max, step },
            rates: Rates::Range(1.0, 60.0),
        };
        let any = [range(Size::new(16, 16), Size::new(4096, 4096), Size::new(1, 1))];
        assert_eq!(chosen(&any, Some(HD), Some(25.0)), (PixelFormat::Nv12, HD, Some(25.0)));
        assert_eq!(chosen(&any, None, Some(90.0)), (PixelFormat::Nv12, MODEL, Some(60.0)));
        let wide = [range(Size::new(64, 64), Size::new(1920, 1080), Size::new(2, 2))];
        assert_eq!(chosen(&wide, None, None).1, Size::new(570, 320), "the shape of the picture stays");
        let steps = [range(Size::new(32, 32), Size::new(1000, 1000), Size::new(32, 16))];
        assert_eq!(chosen(&steps, Some(Size::new(321, 321)), None).1, Size::new(352, 336));
        assert_eq!(chosen(&steps, Some(Size::new(5000, 5000)), None).1, Size::new(992, 992));
        let nonsense = [range(Size::new(640, 480), Size::new(0, 0), Size::new(0, 0))];
        assert_eq!(chosen(&nonsense, None, None).1, VGA, "a driver's nonsense is no panic");
    }

    #[test]
    fn a_rate_is_the_slowest_that_is_fast_enough() {
        let offers = [offer(PixelFormat::Yuyv, VGA, &[30.0, 29.97, 15.0, 7.5])];
        assert_eq!(chosen(&offers, None, Some(10.0)).2, Some(15.0));
        assert_eq!(chosen(&offers, None, Some(30.0)).2, Some(29.97));
        assert_eq!(chosen(&offers, None, Some(60.0)).2, Some(30.0));
        let unknown = [Offer { format: PixelFormat::Yuyv, sizes: Sizes::One(VGA), rates: Rates::Unknown }];
        assert_eq!(chosen(&unknown, None, Some(12.0)).2, Some(12.0));
        assert_eq!(chosen(&unknown, None, None).2, None);
    }

    #[test]
    fn what_can_not_be_had_says_what_can() {
        let mut wish = request(None, None);
        wish.format = Some(PixelFormat::Nv12);
        let e = choose(&webcam(), &wish, MODEL).unwrap_err();
        assert_eq!(e.to_string(), "the device has no NV12; it offers MJPG, YUYV");
        assert!(choose(&[], &wish, MODEL).unwrap_err().hint().unwrap().contains("NV21"));
    }
}
