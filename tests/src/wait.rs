//! Waiting for what another process does.
use std::thread::sleep;
use std::time::Duration;

/// Waits until something is so, for a minute at most.
///
/// # Panics
/// If it never is.
pub fn eventually(what: &str, mut so: impl FnMut() -> bool) {
    for _ in 0..6000 {
        if so() {
            return;
        }
        sleep(Duration::from_millis(10));
    }
    panic!("never: {what}");
}
