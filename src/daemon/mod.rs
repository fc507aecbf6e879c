//! Wires the rooms into a running system.
