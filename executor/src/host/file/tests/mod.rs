//! The file commands on real file systems, as root where that matters, against real attackers.
#![allow(clippy::arithmetic_side_effects, reason = "a test")]
mod attacks;
mod chmod;
mod make;
mod mounts;
mod put;
