//! What a machine can't show is said, with the reason; where CI is set nothing may be skipped.

/// Says that a test is skipped, and why.
///
/// # Panics
/// Where CI is set.
pub fn skip(why: &str) {
    let name = std::thread::current().name().unwrap_or("a test").to_owned();
    assert!(std::env::var_os("CI").is_none(), "{name} would be skipped, which CI does not allow: {why}");
    // Not captured, so that it is seen after a run that passes.
    let line = format!("skipped: {name}: {why}\n");
    let _ = std::io::Write::write_all(&mut std::io::stderr(), line.as_bytes());
}

/// Whether this process is root.
#[must_use]
pub fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}
