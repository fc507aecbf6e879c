//! Calls whose lengths contradict each other are refused before any loop runs, on every kernel.

use super::pack::{Order, Requant, pack, pack_depthwise};
use super::portable::Portable;
use super::tests::{plain, stage};
use super::{Attention, Kernels, Out, Staged, available};

/// What a call that contradicts itself says before any loop runs.
fn refused(call: impl FnOnce()) -> String {
    let words = std::panic::catch_unwind(std::panic::AssertUnwindSafe(call)).expect_err("it is refused");
    words.downcast_ref::<String>().cloned().unwrap_or_else(|| (*words.downcast_ref::<&str>().unwrap()).into())
}

#[test]
fn lengths_that_wrap_around_are_refused() {
    for kernels in available() {
        let packed = pack(kernels.layout(), &[1; 16], 16, 1, 1, &plain(16, 1.0, 0));
        let staged = stage(kernels, &[1; 64]);
        let half = usize::MAX / 2 + 1;
        for (segment, stride, rows) in
            [(usize::MAX, 0, 1), (0, half, 3), (0, 4, 1 << 62), (usize::MAX - 9, 3, 4)]
        {
            let input = Staged { data: staged.bytes(), segments: &[segment], stride, rows };
            let mut to = vec![0; 64];
            let words =
                refused(|| kernels.gemm(&packed, &input, Out::S8 { to: &mut to, stride: 0, skip: None }));
            assert!(words.starts_with("staged input of"), "{words}");
        }
        let input = Staged { data: staged.bytes(), segments: &[0], stride: 0, rows: 3 };
        let mut to = vec![0; 64];
        let words =
            refused(|| kernels.gemm(&packed, &input, Out::S8 { to: &mut to, stride: half, skip: None }));
        assert!(words.starts_with("3 rows of 16 in 64 results"), "{words}");

        let shape = Attention { tokens: 1, heads: 1 << 61, dim: 8, scale: 1.0 };
        let words = refused(|| kernels.attention(&shape, &[], &mut [], &mut [0.0; 128]));
        assert!(words.contains("results of Attention"), "{words}");
        let shape = Attention { tokens: 0, heads: 1, dim: usize::MAX / 2, scale: 1.0 };
        assert!(Attention { tokens: 9, ..shape }.scratch() == usize::MAX && shape.scratch() < 1000);
    }
}

#[test]
fn weights_that_contradict_themselves_are_not_packed() {
    let layout = Portable.layout();
    let requant = plain(4, 1.0, 0);
    for (n, segments, seg_len) in [(4, 1, 3), (0, 1, 1), (4, 0, 1), (4, 1, 0), (1 << 32, 1 << 32, 8)] {
        let words = refused(|| drop(pack(layout, &[1; 8], n, segments, seg_len, &requant)));
        assert!(words.contains(&format!("weights of {n} x {segments} x {seg_len}")), "{words}");
    }
    let short = Requant { bias: vec![0; 3], ..requant.clone() };
    let shorter = Requant { offset: vec![], ..requant.clone() };
    let longer = Requant { post: vec![1.0; 5], ..requant.clone() };
    for requant in [&short, &shorter, &longer] {
        let words = refused(|| drop(pack(layout, &[1; 8], 4, 1, 2, requant)));
        assert!(words.contains("a bias, an offset and a factor behind them a channel"), "{words}");
        let words = refused(|| drop(pack_depthwise(Order::Plain, &[1; 36], requant)));
        assert!(words.contains("a bias, an offset and a factor behind them a channel"), "{words}");
    }
    assert!(refused(|| drop(pack_depthwise(Order::Plain, &[1; 35], &requant))).contains("nine taps"));
}

#[test]
fn weights_of_another_kernel_are_refused() {
    let requant = plain(16, 1.0, 0);
    for kernels in available() {
        let own = kernels.depthwise_order();
        let other = if own == Order::Plain { Order::Avx2 } else { Order::Plain };
        let staged = stage(kernels, &[1; 160]);
        let input = Staged { data: staged.bytes(), segments: &[0, 0, 0], stride: 0, rows: 1 };
        let packed = pack_depthwise(other, &[1; 144], &requant);
        let words = refused(|| kernels.depthwise(&packed, &input, &mut [0; 16], 16));
        assert!(words.contains("another kernel"), "{words}");
    }
}
