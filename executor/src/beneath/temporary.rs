//! Names of things that are not in their place yet.
use super::object::Object;
use crate::error::Error;
use nix::unistd::{UnlinkatFlags, unlinkat};
use serde::{Deserialize, Serialize};
use std::ffi::OsStr;

/// `.reeve-{16 hex digits}.tmp`, minted by the executor for one command. The journal keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TemporaryName(String);

impl TemporaryName {
    /// A name of 8 random bytes.
    #[must_use]
    pub fn from_random(bytes: [u8; 8]) -> Self {
        Self(format!(".reeve-{:016x}.tmp", u64::from_be_bytes(bytes)))
    }

    pub(crate) fn as_os_str(&self) -> &OsStr {
        self.0.as_ref()
    }
}

impl TryFrom<String> for TemporaryName {
    type Error = Error;
    fn try_from(text: String) -> Result<Self, Error> {
        let random = text.strip_prefix(".reeve-").and_then(|rest| rest.strip_suffix(".tmp")).unwrap_or_default();
        if random.len() == 16 && random.bytes().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f')) {
            Ok(Self(text))
        } else {
            Err(Error::NotATemporaryName(text))
        }
    }
}
impl From<TemporaryName> for String {
    fn from(name: TemporaryName) -> String {
        name.0
    }
}

/// Takes a temporary file or folder away again, unless it was kept.
#[derive(Debug)]
pub(crate) struct Temporary<'a> {
    folder: &'a Object,
    name: &'a TemporaryName,
    flag: Option<UnlinkatFlags>,
}

impl<'a> Temporary<'a> {
    /// Stands guard over a file, or an empty folder: `flag` says which.
    pub(crate) fn new(folder: &'a Object, name: &'a TemporaryName, flag: UnlinkatFlags) -> Self {
        Self { folder, name, flag: Some(flag) }
    }

    /// It is in its place.
    pub(crate) fn keep(mut self) {
        self.flag = None;
    }
}

impl Drop for Temporary<'_> {
    fn drop(&mut self) {
        if let Some(flag) = self.flag {
            // It may be gone: it was renamed, and then found not to be in its place.
            match unlinkat(self.folder, self.name.as_os_str(), flag) {
                Ok(()) | Err(nix::Error::ENOENT) => {}
                Err(error) => {
                    tracing::warn!(folder = ?self.folder.path, name = %self.name.0, %error, "a temporary object stays");
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_journal_gives_back_only_names_of_this_form() {
        let name = TemporaryName::from_random([0, 1, 2, 3, 4, 5, 6, 0xff]);
        assert_eq!(String::from(name.clone()), ".reeve-00010203040506ff.tmp");
        assert_eq!(TemporaryName::try_from(String::from(name.clone())).unwrap(), name);
        for bad in [
            "",
            "passwd",
            ".reeve-.tmp",
            ".reeve-00010203040506FF.tmp",
            ".reeve-00010203040506f/.tmp",
            ".reeve-00010203040506ff.tmp/x",
            "../.reeve-00010203040506ff.tmp",
            ".reeve-00010203040506ff0.tmp",
        ] {
            assert!(TemporaryName::try_from(bad.to_owned()).is_err(), "{bad:?}");
        }
    }
}
