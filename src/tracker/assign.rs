//! Which track gets which detection: the assignment whose costs are least in sum, where leaving a track alone has a
//! price.
//!
//! Shortest augmenting paths over potentials (Kuhn 1955, Munkres 1957; Jonker and Volgenant 1987), one row after the
//! other. The crates that solve this allocate at each call; this keeps its memory, and knows the price of no match,
//! which would otherwise want as many columns again as there are rows.

/// No row, no column.
const NONE: usize = usize::MAX;

/// Solves assignments, one after the other, in the same memory.
#[derive(Clone, Debug, Default)]
pub(super) struct Assignment {
    /// Potentials of rows and columns: no cost is less than the sum of its two, and that of a chosen pair is the sum.
    u: Vec<f32>,
    v: Vec<f32>,
    column_of: Vec<usize>,
    row_of: Vec<usize>,
    /// Of the search for one row: how far each column is, from which row, and whether that is final.
    distance: Vec<f32>,
    from: Vec<usize>,
    is_final: Vec<bool>,
    /// The rows that it has reached, each with its distance.
    reached: Vec<(usize, f32)>,
}

impl Assignment {
    /// Gives each row a column of its own, or none where that would cost `limit` or more; `costs` are at least 0, row by
    /// row.
    pub(super) fn solve(&mut self, costs: &[f32], rows: usize, columns: usize, limit: f32) {
        debug_assert_eq!(costs.len(), rows * columns);
        refill(&mut self.u, rows, 0.0);
        refill(&mut self.v, columns, 0.0);
        refill(&mut self.column_of, rows, NONE);
        refill(&mut self.row_of, columns, NONE);
        for row in 0..rows {
            self.place(costs, columns, limit, row);
        }
    }

    /// The column of a row.
    pub(super) fn column(&self, row: usize) -> Option<usize> {
        self.column_of.get(row).copied().filter(|&column| column != NONE)
    }

    /// Whether no row has the column.
    pub(super) fn is_free(&self, column: usize) -> bool {
        self.row_of.get(column).is_none_or(|&row| row == NONE)
    }

    /// Finds a column for `row`, moving others if that is cheaper in sum.
    fn place(&mut self, costs: &[f32], columns: usize, limit: f32, row: usize) {
        refill(&mut self.distance, columns, f32::INFINITY);
        refill(&mut self.from, columns, NONE);
        refill(&mut self.is_final, columns, false);
        self.reached.clear();
        // The cheapest way that ends with a row that goes without.
        let (mut without, mut dropped) = (f32::INFINITY, row);
        let (mut at, mut so_far) = (row, 0.0);
        let (end, length) = loop {
            self.reached.push((at, so_far));
            let price = so_far + limit - self.u[at];
            if price < without {
                (without, dropped) = (price, at);
            }
            let mut nearest = NONE;
            for column in 0..columns {
                if self.is_final[column] {
                    continue;
                }
                let way = so_far + costs[at * columns + column] - self.u[at] - self.v[column];
                if way < self.distance[column] {
                    (self.distance[column], self.from[column]) = (way, at);
                }
                if nearest == NONE || self.distance[column] < self.distance[nearest] {
                    nearest = column;
                }
            }
            if nearest == NONE || without <= self.distance[nearest] {
                break (NONE, without);
            }
            self.is_final[nearest] = true;
            if self.row_of[nearest] == NONE {
                break (nearest, self.distance[nearest]);
            }
            (at, so_far) = (self.row_of[nearest], self.distance[nearest]);
        };
        for &(reached, distance) in &self.reached {
            self.u[reached] += length - distance;
        }
        for column in (0..columns).filter(|&column| self.is_final[column]) {
            self.v[column] -= length - self.distance[column];
        }
        let free = if end == NONE { std::mem::replace(&mut self.column_of[dropped], NONE) } else { end };
        self.shift(free, row);
    }

    /// Hands `free` to the row from which it was reached, that one's to the next, until `row` has one.
    fn shift(&mut self, mut free: usize, row: usize) {
        while free != NONE {
            let to = self.from[free];
            self.row_of[free] = to;
            let before = std::mem::replace(&mut self.column_of[to], free);
            if to == row {
                return;
            }
            free = before;
        }
    }
}

/// As many of the same; allocates only when there were never so many.
fn refill<T: Copy>(list: &mut Vec<T>, len: usize, value: T) {
    list.clear();
    list.resize(len, value);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The least sum by trying everything.
    fn least(costs: &[f32], rows: usize, columns: usize, limit: f32, taken: u32) -> f32 {
        let Some(left) = rows.checked_sub(1) else { return 0.0 };
        let row = &costs[left * columns..][..columns];
        let mut best = limit + least(costs, left, columns, limit, taken);
        for (column, &cost) in row.iter().enumerate().filter(|(c, _)| taken & (1 << c) == 0) {
            best = best.min(cost + least(costs, left, columns, limit, taken | 1 << column));
        }
        best
    }

    proptest! {
        #[test]
        fn no_other_assignment_costs_less(
            rows in 0usize..6,
            columns in 0usize..6,
            grid in prop::collection::vec(prop_oneof![0.0f32..1.0, Just(f32::INFINITY), Just(0.5)], 36),
            limit in 0.1f32..1.5,
        ) {
            let costs = &grid[..rows * columns];
            let mut assignment = Assignment::default();
            // What was left behind by another one does no harm.
            assignment.solve(&grid, 6, 6, limit);
            assignment.solve(costs, rows, columns, limit);
            let (mut sum, mut taken) = (0.0, 0u32);
            for row in 0..rows {
                match assignment.column(row) {
                    None => sum += limit,
                    Some(column) => {
                        prop_assert_eq!(taken & (1 << column), 0, "column {} twice", column);
                        taken |= 1 << column;
                        prop_assert!(costs[row * columns + column] < limit + 1e-5);
                        sum += costs[row * columns + column];
                    }
                }
            }
            prop_assert_eq!(assignment.column(rows), None);
            for column in 0..columns {
                prop_assert_eq!(assignment.is_free(column), taken & (1 << column) == 0);
            }
            let best = least(costs, rows, columns, limit, 0);
            prop_assert!((sum - best).abs() < 1e-4, "{} though {} can be had", sum, best);
        }
    }

    #[test]
    fn the_sum_decides_and_not_who_comes_first() {
        let mut assignment = Assignment::default();
        assignment.solve(&[0.1, 0.2, 0.15, 0.9], 2, 2, 1.0);
        assert_eq!((assignment.column(0), assignment.column(1)), (Some(1), Some(0)));
        assignment.solve(&[0.1, 0.2, 0.15, 0.9], 2, 2, 0.19);
        assert_eq!((assignment.column(0), assignment.column(1)), (Some(0), None));
    }
}
