//! **Vigie** watches cameras: frames in, facts out.
//!
//! The library is the daemon's rooms, in the order in which a frame walks through them:
//! [`capture`] → [`frame::Frame`] → [`vision`] → [`vision::Tensor`] → [`detector`] → [`detector::Detection`] →
//! [`scene`] → [`mqtt`]. [`config`] turns the TOML file into what each room wants, [`daemon`] wires the rooms and
//! supervises them, and [`cli`] is the thin layer above. `ARCHITECTURE.md` has the map and the invariants.

pub mod capture;
pub mod cli;
pub mod clock;
pub mod config;
pub mod daemon;
pub mod detector;
pub mod frame;
pub mod geometry;
pub mod hours;
pub mod mqtt;
pub mod scene;
pub mod timezone;
pub mod tracker;
pub mod turn;
pub mod vision;
