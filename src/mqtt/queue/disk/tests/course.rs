//! What may happen to a queue with a spool, step by step, and what came of it.

use super::*;

/// How far it is.
#[derive(Default)]
pub(super) struct Course {
    /// How many events were handed over.
    pub pushed: usize,
    /// Those that went out, in order, again and again if so.
    pub arrived: Vec<usize>,
    /// Those of them that are not acknowledged.
    flying: Vec<Token>,
}

impl Course {
    pub fn push(&mut self, world: &mut World, events: usize) {
        (0..events).for_each(|n| world.push(self.pushed + n));
        self.pushed += events;
    }

    /// Another connection, after a loss or in another life.
    pub fn connect(&mut self, world: &mut World) {
        self.flying.clear();
        world.connect();
    }

    /// One of the steps up to 7, in which nothing breaks but connections.
    pub fn step(&mut self, world: &mut World, step: u8, size: usize) {
        match step {
            0..=2 => self.push(world, size),
            3 => world.commit(),
            4 => world.read(),
            5 => {
                world.disconnected();
                self.connect(world);
            }
            6 => {
                let out: Vec<_> = std::iter::from_fn(|| world.queue.next()).take(size).collect();
                self.arrived.extend(out.iter().map(|out| text(&out.message).parse::<usize>().unwrap()));
                self.flying.extend(out.iter().map(|out| out.token));
            }
            _ => {
                // The broker answers some, in another order.
                let rest = self.flying.split_off(self.flying.len().min(size));
                self.flying.drain(..).rev().for_each(|token| world.acked(token));
                self.flying = rest;
            }
        }
    }

    /// To the end, with a broker that answers: each event that arrived, where it did so first.
    pub fn first_arrivals(&mut self, world: &mut World) -> Vec<usize> {
        self.arrived.extend(world.drain().iter().map(|text| text.parse::<usize>().unwrap()));
        let mut seen = BTreeSet::new();
        self.arrived.iter().copied().filter(|n| seen.insert(*n)).collect()
    }
}
