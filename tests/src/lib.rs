//! Whole-system tests and benchmarks: what starts the two real processes and speaks to them.
#![forbid(unsafe_code)]
