//! Shares a step's result out among the threads of the pool that runs it: each gets a band of rows, and scratch of its own.

use super::kernels::buffer::Buffer;

/// Work (multiplications, or bytes moved ×8) below which a band isn't worth waking a thread for: some ten microseconds.
const GRAIN: u64 = 400_000;

/// A result that can be cut between elements.
pub trait Cut: Send + Sized {
    /// Elements.
    fn len(&self) -> usize;
    /// The first `at` elements, and the rest.
    fn cut(self, at: usize) -> (Self, Self);
}

impl<T: Send> Cut for &mut [T] {
    fn len(&self) -> usize {
        <[T]>::len(self)
    }

    fn cut(self, at: usize) -> (Self, Self) {
        self.split_at_mut(at)
    }
}

/// How many threads run what is called here: those of the pool that called, or this one alone.
pub fn threads() -> usize {
    rayon::current_thread_index().map_or(1, |_| rayon::current_num_threads())
}

/// As many of the scratch buffers as so much work is worth.
pub fn worth(work: u64, scratch: &mut [Buffer]) -> &mut [Buffer] {
    let parts = usize::try_from(work / GRAIN).unwrap_or(usize::MAX).clamp(1, scratch.len());
    &mut scratch[..parts]
}

/// Calls `run(offset, band, scratch)` for bands of `out`, one a scratch buffer, in parallel; a band begins at a multiple of
/// `row` elements. Allocates nothing.
pub fn share<C: Cut>(
    out: C,
    row: usize,
    scratch: &mut [Buffer],
    run: &(impl Fn(usize, C, &mut Buffer) + Sync),
) {
    band(0, out, row.max(1), scratch, run);
}

fn band<C: Cut>(
    offset: usize,
    out: C,
    row: usize,
    scratch: &mut [Buffer],
    run: &(impl Fn(usize, C, &mut Buffer) + Sync),
) {
    let rows = out.len().div_ceil(row);
    match scratch {
        [] => unreachable!("there is scratch for at least one band"),
        [one] => run(offset, out, one),
        [one, ..] if rows < 2 => run(offset, out, one),
        _ => {
            let (left, right) = scratch.split_at_mut(scratch.len() / 2);
            let rows = (rows * left.len() / (left.len() + right.len())).max(1);
            let at = (rows * row).min(out.len());
            let (first, rest) = out.cut(at);
            rayon::join(|| band(offset, first, row, left, run), || band(offset + at, rest, row, right, run));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Every element is in exactly one band, bands begin at rows, and each has scratch of its own.
        #[test]
        fn everything_is_done_once(len in 0usize..300, row in 1usize..40, parts in 1usize..9, threads in 1usize..4) {
            let mut out = vec![0u32; len];
            let mut scratch = vec![Buffer::new(1); parts];
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                share(&mut out[..], row, &mut scratch, &|offset, band: &mut [u32], scratch| {
                    assert_eq!(offset % row, 0);
                    scratch.bytes_mut()[0] += 1;
                    for (i, o) in band.iter_mut().enumerate() {
                        *o += (offset + i) as u32 + 1;
                    }
                });
            });
            prop_assert!(out.iter().enumerate().all(|(i, &o)| o == i as u32 + 1));
            prop_assert!(scratch.iter().all(|s| s.bytes()[0] <= 1));
            prop_assert!(scratch.iter().map(|s| usize::from(s.bytes()[0])).sum::<usize>() <= len.div_ceil(row).max(1));
        }
    }

    #[test]
    fn little_work_stays_on_one_thread() {
        let mut scratch = vec![Buffer::new(1); 4];
        assert_eq!(worth(GRAIN - 1, &mut scratch).len(), 1);
        assert_eq!(worth(3 * GRAIN, &mut scratch).len(), 3);
        assert_eq!(worth(u64::MAX, &mut scratch).len(), 4);
        assert_eq!(threads(), 1, "outside a pool");
    }
}
