//! Paths: absolute, in normal form, bounded. What they name is the kernel's to say, not ours.
use crate::error::Error;
use serde::{Deserialize, Serialize};
use std::{fmt, path::Path};

/// The longest path, in bytes: Linux's PATH_MAX less the final NUL (path_resolution(7)).
const MAX_PATH: usize = 4095;
/// The longest component, in bytes: NAME_MAX.
const MAX_COMPONENT: usize = 255;

/// An absolute path in normal form: at least one component, none of them empty, `.` or `..`, no control character.
///
/// Nothing is decoded: `%2e` is three bytes.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AbsolutePath(String);

impl AbsolutePath {
    /// The path as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its components, from the root down.
    pub fn components(&self) -> impl Iterator<Item = &str> {
        self.0.split('/').skip(1)
    }

    /// Whether it is `other`, or lies beneath it.
    #[must_use]
    pub fn is_within(&self, other: &AbsolutePath) -> bool {
        self.0.strip_prefix(&other.0).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// The folder that holds it; `None` for a child of `/`.
    #[must_use]
    pub fn parent(&self) -> Option<AbsolutePath> {
        match self.0.rsplit_once('/') {
            Some((folder, _)) if !folder.is_empty() => Some(Self(folder.to_owned())),
            _ => None,
        }
    }
}

impl TryFrom<String> for AbsolutePath {
    type Error = Error;
    fn try_from(path: String) -> Result<Self, Error> {
        let component = |c: &str| !c.is_empty() && c.len() <= MAX_COMPONENT && c != "." && c != "..";
        let good = path.len() <= MAX_PATH
            && path.strip_prefix('/').is_some_and(|rest| rest.split('/').all(component))
            && !path.chars().any(char::is_control);
        if good {
            Ok(Self(path))
        } else {
            Err(Error::malformed(
                "path",
                &path,
                "an absolute path without empty, . or .. components and control characters",
            ))
        }
    }
}
impl TryFrom<&str> for AbsolutePath {
    type Error = Error;
    fn try_from(path: &str) -> Result<Self, Error> {
        Self::try_from(path.to_owned())
    }
}
impl From<AbsolutePath> for String {
    fn from(path: AbsolutePath) -> String {
        path.0
    }
}
impl AsRef<Path> for AbsolutePath {
    fn as_ref(&self) -> &Path {
        self.0.as_ref()
    }
}
impl fmt::Display for AbsolutePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
impl fmt::Debug for AbsolutePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// A folder beneath which Reeve may work. Written with or without the final slash; never `/` itself.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PathPrefix(AbsolutePath);

impl PathPrefix {
    /// The folder.
    #[must_use]
    pub fn folder(&self) -> &AbsolutePath {
        &self.0
    }

    /// The components of `path` below this folder; `None` if it is not beneath it. The folder is not beneath itself.
    #[must_use]
    pub fn strip<'a>(&self, path: &'a AbsolutePath) -> Option<&'a str> {
        path.as_str().strip_prefix(self.0.as_str())?.strip_prefix('/')
    }
}

impl TryFrom<String> for PathPrefix {
    type Error = Error;
    fn try_from(path: String) -> Result<Self, Error> {
        AbsolutePath::try_from(path.strip_suffix('/').unwrap_or(&path)).map(Self)
    }
}
impl From<PathPrefix> for String {
    fn from(prefix: PathPrefix) -> String {
        format!("{}/", prefix.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> AbsolutePath {
        AbsolutePath::try_from(text).unwrap()
    }

    #[test]
    fn good_and_bad_paths() {
        let long = format!("/{}", "a".repeat(256));
        let longer = "/aa".repeat(1366);
        for good in ["/a", "/home/x/.htaccess", "/a/%2e%2e/b", "/a/...", "/a b/ü", &long[..256]] {
            assert!(AbsolutePath::try_from(good).is_ok(), "{good:?}");
        }
        for bad in [
            "",
            "/",
            "a",
            "a/b",
            "//a",
            "/a//b",
            "/a/",
            "/.",
            "/a/..",
            "/a/../b",
            "/a\0",
            "/a\nb",
            "/a/\u{9b}",
            &long,
            &longer,
        ] {
            assert!(AbsolutePath::try_from(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn within_goes_by_components() {
        assert!(path("/etc/ssh/x").is_within(&path("/etc/ssh")));
        assert!(path("/etc/ssh").is_within(&path("/etc/ssh")));
        assert!(!path("/etc/sshd").is_within(&path("/etc/ssh")));
        assert!(!path("/etc").is_within(&path("/etc/ssh")));
        assert_eq!(path("/etc/ssh").parent(), Some(path("/etc")));
        assert_eq!(path("/etc").parent(), None);
    }

    #[test]
    fn a_prefix_is_not_beneath_itself() {
        for spelling in ["/home", "/home/"] {
            let prefix = PathPrefix::try_from(spelling.to_owned()).unwrap();
            assert_eq!(prefix.strip(&path("/home/a/b")), Some("a/b"));
            assert_eq!(prefix.strip(&path("/home")), None);
            assert_eq!(prefix.strip(&path("/homes/a")), None);
        }
        for bad in ["", "/", "home/", "/home//", "/a/../b/"] {
            assert!(PathPrefix::try_from(bad.to_owned()).is_err(), "{bad:?}");
        }
    }
}
