//! Names that can't be ill formed. A row of `names!` is a type: its kind, its length, its grammar.
use crate::error::Error;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Makes name types: `Name("kind", shortest..=longest, "grammar in words", check);`, where `check` is a `fn(&str) -> bool`
/// that may rely on the length. The only way in is `TryFrom<String>`, which serde uses too.
macro_rules! names {
    ($( $(#[$meta:meta])* $Name:ident($kind:literal, $length:expr, $grammar:literal, $check:expr); )*) => {$(
        $(#[$meta])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $Name(String);

        impl $Name {
            /// What this type is called in messages.
            pub const KIND: &'static str = $kind;

            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl TryFrom<String> for $Name {
            type Error = Error;
            fn try_from(name: String) -> Result<Self, Error> {
                let check: fn(&str) -> bool = $check;
                if $length.contains(&name.len()) && check(&name) {
                    Ok(Self(name))
                } else {
                    Err(Error::malformed($kind, &name, $grammar))
                }
            }
        }
        impl TryFrom<&str> for $Name {
            type Error = Error;
            fn try_from(name: &str) -> Result<Self, Error> {
                Self::try_from(name.to_owned())
            }
        }
        impl From<$Name> for String {
            fn from(name: $Name) -> String {
                name.0
            }
        }
        impl fmt::Display for $Name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl fmt::Debug for $Name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }
    )*};
}

names! {
    /// The stem of a systemd unit: `php8.3-fpm`, without `.service`.
    ServiceName("service name", 1..=64, "a letter or digit, then letters, digits and -._@, 64 at most",
        |s| word(s, alphanumeric, |c| alphanumeric(c) || b"-._@".contains(&c)));
    /// The name of a Debian package (Debian Policy 5.6.1).
    PackageName("package name", 2..=64, "a lower-case letter or digit, then those and +-., 2 to 64",
        |s| word(s, lower_or_digit, |c| lower_or_digit(c) || b"+-.".contains(&c)) && !s.ends_with(['+', '-']));
    /// A PHP release as Debian and Sury name it: `8.3`.
    PhpVersion("PHP version", 3..=5, "a digit, a dot, one to three digits",
        |s| s.split_once('.').is_some_and(|(major, minor)| major.len() == 1 && digits(major) && digits(minor)));
    /// The part of a package name behind `php8.3-`.
    PhpExtension("PHP extension", 1..=32, "a lower-case letter, then lower-case letters, digits and -, 32 at most",
        |s| word(s, |c| c.is_ascii_lowercase(), |c| lower_or_digit(c) || c == b'-') && !s.ends_with('-'));
    /// A key of php.ini, in the lower case in which keys are compared.
    PhpSetting("PHP setting", 1..=64, "a lower-case letter, then lower-case letters, digits, _ and ., 64 at most",
        |s| word(s, |c| c.is_ascii_lowercase(), |c| lower_or_digit(c) || b"_.".contains(&c)));
    /// A personal package archive: `ppa:owner/name`.
    Repository("repository", 7..=128, "ppa:owner/name of lower-case letters, digits and +-.",
        |s| s.strip_prefix("ppa:").and_then(|s| s.split_once('/')).is_some_and(|(owner, name)| [owner, name].iter().all(
            |part| word(part, lower_or_digit, |c| lower_or_digit(c) || b"+-.".contains(&c)))));
    /// A name that a user made by Reeve may have.
    UserName("user name", 1..=32, "a lower-case letter, then lower-case letters, digits, _ and -, 32 at most",
        |s| word(s, |c| c.is_ascii_lowercase(), |c| lower_or_digit(c) || b"_-".contains(&c)));
    /// A name that an account or a group of the host may have already. Never all digits: those are an id.
    AccountName("account name", 1..=32, "a letter or _, then letters, digits and _.-, 32 at most",
        |s| word(s, |c| c.is_ascii_alphabetic() || c == b'_', |c| alphanumeric(c) || b"_.-".contains(&c)));
    /// The name of an nginx site or a php-fpm pool.
    SiteName("site name", 1..=64, "a letter or digit, then letters, digits and ._-, 64 at most, without ..",
        |s| word(s, alphanumeric, |c| alphanumeric(c) || b"._-".contains(&c)) && !s.contains(".."));
    /// A template as clients name it: a relative path, `nginx/site.conf.tera`.
    TemplateName("template name", 1..=128, "components of letters, digits and _.- that start with a letter or digit, with / between",
        |s| s.split('/').all(|part| word(part, alphanumeric, |c| alphanumeric(c) || b"_.-".contains(&c)) && !part.contains("..")));
}

/// A host name with a dot in it (RFC 1123), in lower case, without the trailing dot that one may write.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DomainName(String);

impl DomainName {
    /// What this type is called in messages.
    pub const KIND: &'static str = "domain name";

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for DomainName {
    type Error = Error;
    fn try_from(mut name: String) -> Result<Self, Error> {
        name.make_ascii_lowercase();
        if name.ends_with('.') {
            name.pop();
        }
        let label = |part: &str| {
            (1..=63).contains(&part.len())
                && part.bytes().all(|c| lower_or_digit(c) || c == b'-')
                && !part.starts_with('-')
                && !part.ends_with('-')
        };
        let good = name.len() <= 253
            && name.contains('.')
            && name.split('.').all(label)
            && !name.rsplit('.').next().is_some_and(digits);
        if good {
            Ok(Self(name))
        } else {
            Err(Error::malformed(Self::KIND, &name, "two or more labels of letters, digits and inner hyphens"))
        }
    }
}
impl TryFrom<&str> for DomainName {
    type Error = Error;
    fn try_from(name: &str) -> Result<Self, Error> {
        Self::try_from(name.to_owned())
    }
}
impl From<DomainName> for String {
    fn from(name: DomainName) -> String {
        name.0
    }
}
impl fmt::Display for DomainName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
impl fmt::Debug for DomainName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// Whether `text` has a first byte that `first` takes and only such that `rest` takes behind it.
fn word(text: &str, first: fn(u8) -> bool, rest: fn(u8) -> bool) -> bool {
    text.as_bytes().split_first().is_some_and(|(head, tail)| first(*head) && tail.iter().all(|c| rest(*c)))
}

fn alphanumeric(c: u8) -> bool {
    c.is_ascii_alphanumeric()
}

fn lower_or_digit(c: u8) -> bool {
    c.is_ascii_lowercase() || c.is_ascii_digit()
}

fn digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|c| c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check<T: TryFrom<String>>(good: &[&str], bad: &[&str]) {
        for name in good {
            assert!(T::try_from((*name).to_owned()).is_ok(), "{name:?} should be accepted");
        }
        for name in bad {
            assert!(T::try_from((*name).to_owned()).is_err(), "{name:?} should be refused");
        }
    }

    #[test]
    fn service_names() {
        let long = "a".repeat(65);
        check::<ServiceName>(
            &["nginx", "php8.3-fpm", "postgresql@15-main", "a"],
            &["", "-nginx", ".x", "a b", "a/b", "a\n", "a;b", "é", &long],
        );
    }

    #[test]
    fn package_names() {
        check::<PackageName>(
            &["nginx", "libmemcached-tools", "g++x", "php8.1-xml"],
            &["", "a", "-y", "Nginx", "curl-", "curl+", "a*", "a=1", "a/b", "a b"],
        );
    }

    #[test]
    fn php_names() {
        check::<PhpVersion>(&["8.1", "8.10"], &["", "8", "8.", ".1", "8.1.2", "8.x", "88.1", "8,1"]);
        check::<PhpExtension>(&["gd", "sqlite3", "a-b"], &["", "-gd", "gd-", "GD", "8", "a_b", "a.b"]);
        check::<PhpSetting>(&["memory_limit", "opcache.jit"], &["", "Memory", "a=b", "a b", "1a", "a;", "a\n"]);
    }

    #[test]
    fn repositories() {
        check::<Repository>(
            &["ppa:ondrej/php", "ppa:ondrej/nginx-mainline"],
            &["", "ondrej/php", "ppa:ondrej", "ppa:/php", "ppa:a/", "ppa:a/b/c", "ppa:a/b;c", "ppa:-a/b", "ppa:a/../b"],
        );
    }

    #[test]
    fn account_and_site_names() {
        check::<UserName>(&["web1", "a-b_c"], &["", "Web", "1a", "_a", "-a", "a.b", "a b", "root\n"]);
        check::<AccountName>(
            &["www-data", "_apt", "Debian-exim", "a.b"],
            &["", "1000", "-a", "a:b", "a b", "a/b", "é"],
        );
        check::<SiteName>(&["example.com", "a_b-c", "0"], &["", ".a", "-a", "a..b", "a/b", "a b", "a\0"]);
    }

    #[test]
    fn template_path_with_dotdot_is_refused() {
        check::<TemplateName>(
            &["nginx/site.conf.tera", "a", "a/b/c.tera"],
            &["", "/etc/shadow", "../a", "a/../b", "a//b", "a/", ".a", "a/.b", "a..b", "a\\b", "a b", "a\0"],
        );
    }

    #[test]
    fn domain_names() {
        let longest = format!("{0}.{0}.{0}.{1}", "a".repeat(63), "b".repeat(61));
        let too_long = format!("{longest}c");
        check::<DomainName>(
            &["example.com", "EXAMPLE.com.", "a-b.c1.de", "1.a", "xn--bcher-kva.ch", &longest],
            &[
                "", ".", "com", "a..b", ".a.b", "-a.b", "a-.b", "*.a.b", "a_b.c", "a.b..", "10.0.0.1", "a.1", "a b.c",
                &too_long,
            ],
        );
        assert_eq!(DomainName::try_from("Example.COM.").unwrap().as_str(), "example.com");
    }

    #[test]
    fn a_refusal_names_the_beginning_of_the_value_escaped() {
        let text = UserName::try_from(format!("\u{202e}{}", "x".repeat(100))).unwrap_err().to_string();
        assert!(
            text.is_ascii() && text.contains("\\u{202e}") && text.contains("...") && text.contains("user name"),
            "{text}"
        );
    }
}
