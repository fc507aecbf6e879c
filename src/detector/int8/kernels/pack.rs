//! Weights in the order in which an instruction set's inner loop reads them, with what its epilogue needs beside them.

use super::buffer::Buffer;
use super::portable::{LIMIT, UNIT};

/// How a kernel wants activations and weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Bytes of a staged activation: 1, or 2 where the kernel multiplies 16-bit numbers.
    pub elem: usize,
    /// Bytes of a packed weight: 1 or 2.
    pub weight: usize,
    /// Consecutive `k` that one instruction multiplies for one channel.
    pub unit: usize,
    /// Channels of a full panel; the last panel may be narrower.
    pub panel: usize,
    /// Channels of the narrowest panel; it divides `panel`.
    pub narrow: usize,
    /// What staging adds to an activation (128 where the instruction wants unsigned bytes).
    pub shift: i32,
    /// Where channel `i` of a panel of a given width stands inside the panel.
    pub order: Order,
}

/// Where a channel stands inside its panel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Where it is counted.
    Plain,
    /// Of 16: 0–3, 8–11, then 4–7, 12–15, so that packing two vectors of 32-bit lanes with AVX2 gives channels in order.
    /// Panels of another width keep their order.
    Avx2,
}

impl Order {
    /// The place of channel `i` in a panel of `width`.
    pub fn place(self, width: usize, i: usize) -> usize {
        match (self, width, i / 4) {
            (Order::Avx2, 16, 1) => i + 4,
            (Order::Avx2, 16, 2) => i - 4,
            _ => i,
        }
    }
}

/// What becomes of an accumulator, in single precision: `x = fma(acc + bias, scale, offset)`, SiLU where asked for, then
/// `x = fma(skip - skip_zero, skip_scale, x)` where a shortcut is added, and to bytes
/// `clamp(round(x · post[c]) + zero_point)`, half to even.
#[derive(Clone, Debug, PartialEq)]
pub struct Requant {
    /// One factor a channel.
    pub scale: Vec<f32>,
    /// One addend a channel, before scaling: the layer's bias and what the input's zero point comes to.
    pub bias: Vec<i32>,
    /// One addend a channel, after scaling.
    pub offset: Vec<f32>,
    /// One factor a channel, from what came of it all to the output's steps.
    pub post: Vec<f32>,
    /// The rest, the same for every channel.
    pub tail: Tail,
}

/// The part of [`Requant`] that all channels share.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tail {
    /// Whether `x · sigmoid(x)` follows.
    pub silu: bool,
    /// Scale of a shortcut of bytes.
    pub skip_scale: f32,
    /// Zero point of a shortcut of bytes.
    pub skip_zero: i8,
    /// The output's zero point.
    pub zero_point: i8,
}

impl Default for Tail {
    fn default() -> Tail {
        Tail { silu: false, skip_scale: 0.0, skip_zero: 0, zero_point: 0 }
    }
}

impl Requant {
    /// # Panics
    /// When there are not as many constants as channels.
    fn check(&self, channels: usize) {
        let found = [self.scale.len(), self.bias.len(), self.offset.len(), self.post.len()];
        assert_eq!(found, [channels; 4], "a scale, a bias, an offset and a factor behind them a channel");
    }

    /// The same with SiLU's constants multiplied in: sums are scaled to the `t` of [`super::portable::sigmoid_times`],
    /// shortcut and output take what that makes of it. A multiplication less for every value.
    fn folded(&self) -> Requant {
        let mut new = self.clone();
        if self.tail.silu {
            for x in new.scale.iter_mut().chain(&mut new.offset) {
                *x *= -std::f32::consts::LOG2_E;
            }
            new.post.iter_mut().for_each(|x| *x *= UNIT);
            new.tail.skip_scale /= UNIT;
        }
        new
    }

    /// Of folded constants: whether a channel with these weights stays inside ±[`LIMIT`], whatever bytes come in, so that
    /// SiLU's exponential needs no clamps.
    fn bounded(&self, channel: usize, weights: &[i8]) -> bool {
        let bias = i64::from(self.bias[channel]);
        [[-128, 127], [127, -128]].iter().all(|[plus, minus]| {
            let product = |&w: &i8| i64::from(w) * if w > 0 { plus } else { minus };
            let sum = bias + weights.iter().map(product).sum::<i64>();
            let t = sum as f64 * f64::from(self.scale[channel]) + f64::from(self.offset[channel]);
            // Not for a NaN, nor for a sum that wraps; a little less than the limit for the rounding.
            i32::try_from(sum).is_ok() && t.abs() <= f64::from(LIMIT) - 0.01
        })
    }
}

/// A run of channels that are computed together.
#[derive(Clone, Copy, Debug)]
pub(super) struct Panel {
    /// The first channel.
    pub(super) first: usize,
    /// Channels computed.
    pub(super) width: usize,
    /// Channels that exist; the others are padding.
    pub(super) valid: usize,
    /// Where its weights begin, in bytes.
    pub(super) offset: usize,
    /// Where its scales and biases begin.
    pub(super) lane: usize,
    /// Whether SiLU needs no clamps in any of its channels.
    #[cfg_attr(not(target_arch = "aarch64"), allow(dead_code, reason = "NEON kernels make use of it"))]
    pub(super) bounded: bool,
}

/// The packed weights of a convolution or a linear layer. The loops read them without asking again how long they are, so
/// only [`pack`] makes them, and nothing outside the kernels sees or changes what is inside.
///
/// ```compile_fail
/// fn longer(packed: &mut vigie::detector::int8::kernels::pack::Packed) {
///     packed.groups += 1;
/// }
/// ```
#[derive(Clone, Debug)]
pub struct Packed {
    /// For which kernel.
    pub(super) layout: Layout,
    /// Output channels.
    pub(super) n: usize,
    /// Runs of consecutive activations of one output pixel: the kernel's height for a convolution.
    pub(super) segments: usize,
    /// Units in a segment, the last one filled up with zero weights.
    pub(super) groups: usize,
    /// The panels, in channel order.
    pub(super) panels: Vec<Panel>,
    /// The weights: panel, segment, unit, channel, `k`.
    pub(super) data: Buffer,
    /// Scales in panel order; SiLU's constants are in these four.
    pub(super) scale: Vec<f32>,
    /// Biases in panel order.
    pub(super) bias: Vec<i32>,
    /// Offsets in panel order.
    pub(super) offset: Vec<f32>,
    /// Factors behind it all in panel order.
    pub(super) post: Vec<f32>,
    /// What all channels share.
    pub(super) tail: Tail,
}

impl Packed {
    /// Output channels.
    pub fn channels(&self) -> usize {
        self.n
    }

    /// Bytes that the weights take.
    pub fn bytes(&self) -> usize {
        self.data.len()
    }
}

/// Packs `weights` (channel, segment, `k`; `seg_len` each, `n` channels) for `layout`.
///
/// # Panics
/// When a length is zero, or the lengths contradict each other; the importer has checked them.
pub fn pack(
    layout: Layout,
    weights: &[i8],
    n: usize,
    segments: usize,
    seg_len: usize,
    requant: &Requant,
) -> Packed {
    let count = n.checked_mul(segments).and_then(|rows| rows.checked_mul(seg_len)).filter(|&count| count > 0);
    assert_eq!(count, Some(weights.len()), "weights of {n} x {segments} x {seg_len}");
    requant.check(n);
    let requant = requant.folded();
    let groups = seg_len.div_ceil(layout.unit);
    let mut panels = Vec::new();
    let (mut first, mut lanes, mut bytes) = (0, 0, 0);
    while first < n {
        let valid = (n - first).min(layout.panel);
        let width = if valid == layout.panel { valid } else { valid.div_ceil(layout.narrow) * layout.narrow };
        let width = if width > layout.narrow && width < layout.panel { layout.narrow } else { width };
        let valid = valid.min(width);
        let own = weights[first * segments * seg_len..].chunks_exact(segments * seg_len).take(valid);
        let bounded = own.enumerate().all(|(i, own)| requant.bounded(first + i, own));
        panels.push(Panel { first, width, valid, offset: bytes, lane: lanes, bounded });
        first += valid;
        lanes += width;
        bytes += segments * groups * width * layout.unit * layout.weight;
    }
    let mut data = Buffer::new(bytes);
    let [mut scale, mut offset, mut post] = [0; 3].map(|_| vec![0.0; lanes]);
    let mut bias = vec![0; lanes];
    for p in &panels {
        for i in 0..p.valid {
            let channel = p.first + i;
            let at = layout.order.place(p.width, i);
            let own = &weights[channel * segments * seg_len..][..segments * seg_len];
            let sum: i32 = own.iter().map(|&w| i32::from(w)).sum();
            scale[p.lane + at] = requant.scale[channel];
            offset[p.lane + at] = requant.offset[channel];
            post[p.lane + at] = requant.post[channel];
            bias[p.lane + at] = requant.bias[channel].wrapping_sub(layout.shift.wrapping_mul(sum));
            for (s, segment) in own.chunks_exact(seg_len).enumerate() {
                for (k, &w) in segment.iter().enumerate() {
                    let unit = s * groups + k / layout.unit;
                    let index = (unit * p.width + at) * layout.unit + k % layout.unit;
                    let byte = p.offset + index * layout.weight;
                    match layout.weight {
                        1 => data.s8_mut()[byte] = w,
                        _ => data.bytes_mut()[byte..byte + 2].copy_from_slice(&i16::from(w).to_ne_bytes()),
                    }
                }
            }
        }
    }
    Packed { layout, n, segments, groups, panels, data, scale, bias, offset, post, tail: requant.tail }
}

/// A depthwise 3×3 convolution's weights, packed by blocks of channels. As with [`Packed`], only [`pack_depthwise`] makes
/// them.
///
/// ```compile_fail
/// fn wider(packed: &mut vigie::detector::int8::kernels::pack::PackedDepthwise) {
///     packed.channels += 1;
/// }
/// ```
#[derive(Clone, Debug)]
#[cfg_attr(not(target_arch = "x86_64"), allow(dead_code, reason = "blocks are for x86's vectors"))]
pub struct PackedDepthwise {
    /// Where a channel stands inside its block.
    pub(super) order: Order,
    /// Channels.
    pub(super) channels: usize,
    /// Where each block of [`DW_BLOCK`] channels starts; the last may overlap the one before.
    pub(super) blocks: Vec<usize>,
    /// Channels from here on fill no block and are computed one by one.
    pub(super) tail: usize,
    /// `i16` weights as ten taps (the tenth is zero) of a block: pair, half, 8 channels × 2 taps.
    pub(super) pairs: Vec<i16>,
    /// Scales and biases of the blocks, in the kernel's order.
    pub(super) scale: Vec<f32>,
    /// See `scale`.
    pub(super) bias: Vec<i32>,
    /// See `scale`.
    pub(super) offset: Vec<f32>,
    /// See `scale`.
    pub(super) post: Vec<f32>,
    /// Plain weights: tap, channel.
    pub(super) taps: Vec<i8>,
    /// The requantization, folded, otherwise plain.
    pub(super) requant: Requant,
    /// Whether SiLU needs no clamps in a channel.
    #[cfg_attr(not(target_arch = "aarch64"), allow(dead_code, reason = "NEON kernels make use of it"))]
    pub(super) bounded: Vec<bool>,
}

impl PackedDepthwise {
    /// Channels.
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// Bytes that the weights take.
    pub fn bytes(&self) -> usize {
        size_of_val(&self.pairs[..]) + self.taps.len()
    }
}

/// Channels in a depthwise block.
pub const DW_BLOCK: usize = 16;

/// Packs depthwise `weights` (channel, 9 taps).
///
/// # Panics
/// When there are no channels, or the lengths contradict each other; the importer has checked them.
pub fn pack_depthwise(order: Order, weights: &[i8], requant: &Requant) -> PackedDepthwise {
    let channels = requant.scale.len();
    assert!(
        channels > 0 && weights.len() == channels * 9,
        "nine taps a channel, {} of {channels}",
        weights.len()
    );
    requant.check(channels);
    let requant = requant.folded();
    let mut blocks: Vec<usize> = (0..channels / DW_BLOCK).map(|b| b * DW_BLOCK).collect();
    let mut tail = channels / DW_BLOCK * DW_BLOCK;
    if tail < channels && channels >= DW_BLOCK {
        blocks.push(channels - DW_BLOCK);
        tail = channels;
    }
    let lanes = blocks.len() * DW_BLOCK;
    let (mut pairs, mut bias) = (vec![0; blocks.len() * 160], vec![0; lanes]);
    let [mut scale, mut offset, mut post] = [0; 3].map(|_| vec![0.0; lanes]);
    for (b, &start) in blocks.iter().enumerate() {
        for i in 0..DW_BLOCK {
            let at = order.place(16, i);
            scale[b * 16 + at] = requant.scale[start + i];
            bias[b * 16 + at] = requant.bias[start + i];
            offset[b * 16 + at] = requant.offset[start + i];
            post[b * 16 + at] = requant.post[start + i];
            for tap in 0..9 {
                pairs[b * 160 + (tap / 2) * 32 + at * 2 + tap % 2] =
                    i16::from(weights[(start + i) * 9 + tap]);
            }
        }
    }
    let taps = (0..9 * channels).map(|i| weights[i % channels * 9 + i / channels]).collect();
    let bounded = (0..channels).map(|c| requant.bounded(c, &weights[c * 9..][..9])).collect();
    PackedDepthwise {
        order,
        channels,
        blocks,
        tail,
        pairs,
        scale,
        bias,
        offset,
        post,
        taps,
        requant,
        bounded,
    }
}
