//! Names of things that are not in their place yet.
use super::object::Object;
use nix::unistd::{UnlinkatFlags, unlinkat};
use serde::{Deserialize, Serialize};
use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;

/// `.reeve-{16 hex digits}.tmp`, minted by the executor for one command. The journal keeps the digits, so that whatever it gives
/// back is such a name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TemporaryName(u64);

impl TemporaryName {
    /// A name of 8 random bytes.
    #[must_use]
    pub fn from_random(bytes: [u8; 8]) -> Self {
        Self(u64::from_be_bytes(bytes))
    }

    /// Whether a name is of this form.
    pub(crate) fn is_one(name: &OsStr) -> bool {
        let digits = name.as_bytes().strip_prefix(b".reeve-").and_then(|rest| rest.strip_suffix(b".tmp"));
        digits.is_some_and(|digits| digits.len() == 16 && digits.iter().all(u8::is_ascii_hexdigit))
    }
}

impl fmt::Display for TemporaryName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, ".reeve-{:016x}.tmp", self.0)
    }
}

/// Takes a temporary file or folder away again, unless it was kept.
#[derive(Debug)]
pub(crate) struct Temporary<'a> {
    folder: &'a Object,
    name: &'a str,
    flag: Option<UnlinkatFlags>,
}

impl<'a> Temporary<'a> {
    /// Stands guard over a file, or an empty folder: `flag` says which.
    pub(crate) fn new(folder: &'a Object, name: &'a str, flag: UnlinkatFlags) -> Self {
        Self { folder, name, flag: Some(flag) }
    }

    /// It is in its place.
    pub(crate) fn keep(mut self) {
        self.flag = None;
    }
}

impl Drop for Temporary<'_> {
    fn drop(&mut self) {
        // It may be gone: it was renamed, and then found not to be in its place.
        match self.flag.map_or(Ok(()), |flag| unlinkat(self.folder, self.name, flag)) {
            Ok(()) | Err(nix::Error::ENOENT) => {}
            Err(error) => {
                tracing::warn!(folder = ?self.folder.path, name = self.name, %error, "a temporary object stays");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use reeve_ipc::frame;

    #[test]
    fn other_names_are_none() {
        for other in [
            "",
            ".reeve-.tmp",
            ".reeve-0011223344556677",
            "x.reeve-0011223344556677.tmp",
            ".reeve-001122334455667g.tmp",
        ] {
            assert!(!TemporaryName::is_one(other.as_ref()), "{other}");
        }
    }

    #[test]
    fn a_journal_gives_back_only_names_of_this_form() {
        let name = TemporaryName::from_random([0, 1, 2, 3, 4, 5, 6, 0xff]);
        assert_eq!(name.to_string(), ".reeve-00010203040506ff.tmp");
        let mut bytes = Vec::new();
        frame::append(&mut bytes, &name).unwrap();
        assert_eq!(frame::decode::<TemporaryName>(&bytes[4..]).unwrap(), name);
        for bytes in [[0; 8], *b"../../..", *b"/passwd\0", [0xff; 8]] {
            let text = frame::decode::<TemporaryName>(&bytes).unwrap().to_string();
            let digits = text.strip_prefix(".reeve-").and_then(|rest| rest.strip_suffix(".tmp")).unwrap();
            assert_eq!(digits.len(), 16);
            assert!(TemporaryName::is_one(text.as_ref()));
            assert!(digits.bytes().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f')), "{text}");
        }
    }
}
