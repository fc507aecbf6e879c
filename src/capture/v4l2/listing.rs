//! What a node offers: pixel formats, each with its sizes and rates.

use std::os::fd::BorrowedFd;

use v4l::FourCC;

use super::layout::meaning;
use super::sys::{self, Family};
use crate::capture::negotiate::{Offer, Rates, Sizes};
use crate::frame::PixelFormat;

/// A pixel format that a node offers.
#[derive(Clone, Debug, PartialEq)]
pub struct Listing {
    /// V4L2's code.
    pub fourcc: String,
    /// The driver's words.
    pub description: String,
    /// Which of ours it is; `None`: not understood.
    pub format: Option<PixelFormat>,
    /// The sizes, each with its rates.
    pub sizes: Vec<(Sizes, Rates)>,
}

/// All that a node offers.
pub(super) fn listings(fd: BorrowedFd<'_>, family: Family) -> Vec<Listing> {
    let sizes = |fourcc: FourCC| -> Vec<(Sizes, Rates)> {
        let mut sizes = sys::sizes(fd, fourcc);
        // A driver that doesn't say is taken at the size that it stands at.
        if sizes.is_empty()
            && let Ok(now) = sys::format(fd, family)
        {
            sizes.push(Sizes::One(now.size));
        }
        let with_rates = |sizes: Sizes| {
            let at = match sizes {
                Sizes::One(size) => size,
                Sizes::Range { max, .. } => max,
            };
            (sizes, sys::rates(fd, fourcc, at))
        };
        sizes.into_iter().map(with_rates).collect()
    };
    let listing = |(fourcc, description): (FourCC, String)| {
        let format = meaning(fourcc).map(|m| m.format);
        Listing { fourcc: code(fourcc), description, format, sizes: sizes(fourcc) }
    };
    sys::formats(fd, family).into_iter().map(listing).collect()
}

/// V4L2's code as people write it; what can't be printed becomes a dot.
pub(super) fn code(fourcc: FourCC) -> String {
    let printable = |b: &u8| if b.is_ascii_graphic() { char::from(*b) } else { '.' };
    let trimmed: &[u8] = fourcc.repr.strip_suffix(b" ").unwrap_or(&fourcc.repr);
    trimmed.iter().map(printable).collect()
}

/// What can be negotiated for, each with the code that the device has for it: a format may have several (in one memory
/// plane, or in one each).
pub(super) fn offers(listings: &[Listing]) -> (Vec<FourCC>, Vec<Offer>) {
    let mut offers = (Vec::new(), Vec::new());
    for listing in listings {
        let (Some(format), Ok(repr)) = (listing.format, listing.fourcc.as_bytes().try_into()) else {
            continue;
        };
        for (sizes, rates) in &listing.sizes {
            offers.0.push(FourCC { repr });
            offers.1.push(Offer { format, sizes: *sizes, rates: rates.clone() });
        }
    }
    offers
}
