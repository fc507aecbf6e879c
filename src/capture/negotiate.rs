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
    /// Which of the offers it is of.
    pub offer: usize,
    /// The pixel format.
    pub format: PixelFormat,
    /// The size.
    pub size: Size,
    /// The rate; `None`: leave the device its own.
    pub fps: Option<f32>,
}

impl std::fmt::Display for Choice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.format, self.size)?;
        self.fps.map_or(Ok(()), |fps| write!(f, " at {} fps", (fps * 100.0).round() / 100.0))
    }
}

/// The slowest rate that is asked for unasked: slower saves little, and a picture would be old when it is looked at.
const SLOWEST_FPS: f32 = 5.0;

/// The best choice, and those to fall back upon.
#[derive(Clone, Debug, PartialEq)]
pub struct Choices {
    /// What serves best.
    pub best: Choice,
    /// What else does what was asked for, the better before the worse.
    pub others: Vec<Choice>,
}

/// Which offers serve `request`, and in which order; `model` is the detector's input size.
///
/// # Errors
/// Nothing is on offer that Vigie understands, or not in the format that `request` insists on.
pub fn choose(offers: &[Offer], request: &Request, model: Size) -> Result<Choices, Error> {
    let wanted = |offer: &&Offer| request.format.is_none_or(|format| format == offer.format);
    let mut ranked: Vec<(Rank, Choice)> = (offers.iter().enumerate().filter(|(_, offer)| wanted(offer)))
        .map(|(i, offer)| rank(i, offer, request, model))
        .collect();
    ranked.sort_by(|(a, _), (b, _)| a.compare(b));
    let mut ranked = ranked.into_iter();
    let Some((first, best)) = ranked.next() else { return Err(nothing(offers, request)) };
    // A size or a rate that was asked for is not given up.
    let keeps = |rank: &Rank| {
        (request.size.is_none() || rank.size == first.size)
            && (request.fps.is_none() || rank.slow <= first.slow)
    };
    let others = ranked.filter(|(rank, _)| keeps(rank)).map(|(_, choice)| choice).collect();
    Ok(Choices { best, others })
}

/// A choice is worth a try on a bus that had no room for another if it needs no more than this part of that one's room.
const LIGHTER: f64 = 0.75;

impl Choices {
    /// Makes `attempt` with the best; where the bus has no room for it (`ENOSPC`), with the next that needs markedly less.
    ///
    /// # Errors
    /// That of the best, if there is room for none; else the first that is of another kind.
    pub fn settle<T>(&self, mut attempt: impl FnMut(&Choice) -> Result<T, Error>) -> Result<T, Error> {
        let full = |e: &Error| e.raw_os_error() == Some(libc::ENOSPC);
        let refused = match attempt(&self.best) {
            Err(e) if full(&e) => e,
            done => return done,
        };
        let mut room = LIGHTER * self.best.bandwidth();
        for choice in &self.others {
            if choice.bandwidth() > room {
                continue;
            }
            log::info!("{refused}: trying {choice} in place of {}", self.best);
            match attempt(choice) {
                Err(e) if full(&e) => room = LIGHTER * choice.bandwidth(),
                done => return done,
            }
        }
        Err(refused)
    }
}

impl Choice {
    /// About how many bytes a second it puts on a bus; only the order matters.
    fn bandwidth(&self) -> f64 {
        let bytes = match self.format {
            PixelFormat::Grey => 1.0,
            PixelFormat::Nv12 | PixelFormat::Nv21 | PixelFormat::Yu12 => 1.5,
            PixelFormat::Yuyv | PixelFormat::Uyvy => 2.0,
            PixelFormat::Rgb3 | PixelFormat::Bgr3 => 3.0,
            PixelFormat::Mjpeg => 0.25,
        };
        bytes * self.size.area() as f64 * f64::from(self.fps.unwrap_or(30.0))
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

fn rank(index: usize, offer: &Offer, request: &Request, model: Size) -> (Rank, Choice) {
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
    let enough = request.fps.unwrap_or(request.enough_fps);
    let offered = offer.rates.nearest(request.fps.unwrap_or(enough.max(SLOWEST_FPS)));
    let slow = (enough - offered.unwrap_or(enough)).max(0.0);
    // A tenth of a frame a second is the difference between 30 and 29.97, which nobody means.
    let slow = if slow < 0.1 { 0.0 } else { slow };
    let grey = offer.format == PixelFormat::Grey;
    let cost = cost(offer.format, size, model);
    (
        Rank { grey, size: misfit, slow, cost },
        Choice { offer: index, format: offer.format, size, fps: offered.or(request.fps) },
    )
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
    fn nearest(&self, target: Size) -> Size {
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
    /// The slowest rate on offer that is fast enough, or else the fastest; `None`: the driver doesn't say.
    fn nearest(&self, wanted: f32) -> Option<f32> {
        let rate = match self {
            // Drivers that name no rates (v4l2loopback, many CSI receivers) give what the sensor gives.
            Rates::Unknown => return None,
            Rates::List(rates) => {
                let fastest = rates.iter().copied().fold(0.0, f32::max);
                let enough = rates.iter().copied().filter(|&rate| rate > wanted - 0.1);
                enough.fold(f32::INFINITY, f32::min).min(fastest)
            }
            Rates::Range(min, max) => wanted.max(*min).min(*max),
        };
        // A driver's nonsense is no rate.
        (rate > 0.0).then_some(rate)
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
        Request { size, fps, enough_fps: 10.0, format: None, stall_after: Duration::from_secs(5) }
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
        let choice = choose(offers, &request(size, fps), MODEL).unwrap().best;
        (choice.format, choice.size, choice.fps)
    }

    #[test]
    fn by_itself_the_smallest_raw_size_that_covers_the_model() {
        assert_eq!(chosen(&webcam(), None, None), (PixelFormat::Yuyv, Size::new(640, 360), Some(15.0)));
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
    fn unasked_no_more_frames_than_are_looked_at() {
        let with = |rates: Rates, enough_fps| {
            let offers = [Offer { format: PixelFormat::Yuyv, sizes: Sizes::One(VGA), rates }];
            let request = Request { enough_fps, ..request(None, None) };
            choose(&offers, &request, MODEL).unwrap().best.fps
        };
        let list = || Rates::List(vec![30.0, 15.0, 10.0, 5.0, 1.0]);
        assert_eq!(with(list(), 5.0), Some(5.0));
        assert_eq!(with(list(), 5.5), Some(10.0));
        assert_eq!(with(list(), 0.1), Some(5.0), "a picture of a second ago is old");
        assert_eq!(with(list(), 60.0), Some(30.0));
        assert_eq!(with(Rates::Range(1.0, 90.0), 8.0), Some(8.0));
        assert_eq!(with(Rates::Range(1.0, 2.0), 8.0), Some(2.0));
        assert_eq!(with(Rates::Unknown, 5.0), None, "the device keeps its own");
        assert_eq!(with(Rates::List(vec![0.0]), 5.0), None, "a driver's nonsense");
        let hd = Request { enough_fps: 5.0, ..request(Some(HD), None) };
        let best = choose(&webcam(), &hd, MODEL).unwrap().best;
        assert_eq!(best.to_string(), "YUYV 1280x720 at 5 fps", "raw will do where few frames are looked at");
    }

    /// What is tried on a bus with room for `room` bytes a second, and how that ends.
    fn on_a_bus(room: f64, request: &Request) -> (Vec<String>, Result<Choice, Error>) {
        let mut tried = Vec::new();
        let settled = choose(&webcam(), request, MODEL).unwrap().settle(|choice| {
            tried.push(choice.to_string());
            if choice.bandwidth() <= room {
                return Ok(*choice);
            }
            Err(Error::io(format!("no {choice}"), std::io::Error::from_raw_os_error(libc::ENOSPC)))
        });
        (tried, settled)
    }

    #[test]
    fn a_bus_without_room_is_asked_for_less() {
        let (tried, settled) = on_a_bus(1e9, &request(None, None));
        assert_eq!((tried.len(), settled.unwrap().size), (1, Size::new(640, 360)));
        let (tried, settled) = on_a_bus(2e6, &request(None, None));
        assert_eq!(tried, ["YUYV 640x360 at 15 fps", "MJPG 640x480 at 15 fps"]);
        assert_eq!(settled.unwrap().format, PixelFormat::Mjpeg);
        let (tried, settled) = on_a_bus(0.0, &request(None, None));
        let e = settled.unwrap_err();
        assert_eq!((e.kind(), tried.len()), (ErrorKind::Busy, 3), "{tried:?}");
        assert!(e.to_string().starts_with("no YUYV 640x360 at 15 fps: "), "the best is what was wanted: {e}");
    }

    #[test]
    fn what_was_asked_for_is_not_given_up_for_room() {
        let (tried, _) = on_a_bus(0.0, &request(Some(VGA), Some(30.0)));
        assert_eq!(tried, ["YUYV 640x480 at 30 fps", "MJPG 640x480 at 30 fps"]);
        let mut raw = request(Some(VGA), None);
        raw.format = Some(PixelFormat::Yuyv);
        assert_eq!(on_a_bus(0.0, &raw).0, ["YUYV 640x480 at 15 fps"]);
    }

    #[test]
    fn another_failure_is_no_reason_to_ask_for_less() {
        let mut tried = 0;
        let settled = choose(&webcam(), &request(None, None), MODEL).unwrap().settle(|_| {
            tried += 1;
            Err::<(), _>(Error::new(ErrorKind::Io, "broken"))
        });
        assert_eq!((tried, settled.unwrap_err().kind()), (1, ErrorKind::Io));
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
