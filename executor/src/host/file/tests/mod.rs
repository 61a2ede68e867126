//! The file commands on real file systems, as root where that matters, against real attackers.
mod attacks;
mod chmod;
mod make;
mod mounts;
mod put;
