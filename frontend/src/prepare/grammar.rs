//! The types of the values of shipped templates. Each has one way in, [`Grammar::read`], and writes only what is harmless in
//! nginx's, php-fpm's and redis's files.
use reeve_shared::command::Value;
use reeve_shared::policy::lists::is_reserved_user;
use reeve_shared::{AbsolutePath, PathPrefix, PhpVersion, SiteName, UserName};
use serde::Serialize;

/// A type of value.
pub(super) trait Grammar: Sized {
    /// The grammar, in words.
    const EXPECTED: &'static str;
    /// Whether values must not reach the log.
    const SECRET: bool = false;
    /// The value, if it is one.
    fn read(value: &Value) -> Option<Self>;
}

pub(super) fn as_text(value: &Value) -> Option<&str> {
    match value {
        Value::Text(text) => Some(text),
        Value::Bool(_)
        | Value::Unsigned(_)
        | Value::Signed(_)
        | Value::Float(_)
        | Value::List(_)
        | Value::Object(_) => None,
    }
}

fn as_number(value: &Value) -> Option<u64> {
    match value {
        Value::Unsigned(number) => Some(*number),
        Value::Bool(_) | Value::Signed(_) | Value::Float(_) | Value::Text(_) | Value::List(_) | Value::Object(_) => {
            None
        }
    }
}

/// Whether `text` has one to `most` characters of those that mean nothing in any of the files.
fn plain(text: &str, most: usize) -> bool {
    (1..=most).contains(&text.len()) && text.bytes().all(|c| c.is_ascii_alphanumeric() || b"._,:/-".contains(&c))
}

impl Grammar for bool {
    const EXPECTED: &'static str = "true or false";
    fn read(value: &Value) -> Option<Self> {
        match value {
            Value::Bool(value) => Some(*value),
            Value::Unsigned(_)
            | Value::Signed(_)
            | Value::Float(_)
            | Value::Text(_)
            | Value::List(_)
            | Value::Object(_) => None,
        }
    }
}

/// Texts with a check of their own: `Name("grammar in words", check);`.
macro_rules! texts {
    ($( $(#[$meta:meta])* $Name:ident($expected:literal, $check:expr); )*) => {$(
        $(#[$meta])*
        #[derive(Debug, Serialize)]
        pub(super) struct $Name(String);
        impl Grammar for $Name {
            const EXPECTED: &'static str = $expected;
            fn read(value: &Value) -> Option<Self> {
                let check: fn(&str) -> bool = $check;
                as_text(value).filter(|text| check(text)).map(|text| Self(text.to_owned()))
            }
        }
    )*};
}

texts! {
    /// The name of a pool. php-fpm takes `[global]` for its own section, in any case.
    PoolName("a letter or digit, then letters, digits and ._-, 64 at most, without ..; not global",
        |s| SiteName::try_from(s).is_ok() && !s.eq_ignore_ascii_case("global"));
    /// An account or a group that a pool may run as.
    SystemName("a user name that is not reserved, or www-data",
        |s| s == "www-data" || UserName::try_from(s).is_ok() && !is_reserved_user(s));
    /// When, or by what, the file was made: it stands in a comment.
    Stamp("1 to 64 letters, digits and ._,:/-", |s| plain(s, 64));
    /// Where a site's files are.
    DocumentRoot("a path of letters, digits and ._@+~- beneath /home/ or /var/www/", |s| path(s, &["/home/", "/var/www/"], ""));
    /// A Unix socket (unix(7): 108 bytes with the final NUL).
    SocketPath("a path of letters, digits and ._@+~- beneath /run/ or /var/run/ that ends in .sock, 107 at most",
        |s| path(s, &["/run/", "/var/run/"], ".sock") && s.len() <= 107);
    /// A certificate or a key.
    CertificatePath("a path of letters, digits and ._@+~- beneath /etc/ssl/ or /etc/letsencrypt/",
        |s| path(s, &["/etc/ssl/", "/etc/letsencrypt/"], ""));
    /// A file that nginx includes, and not a pattern for several.
    NginxInclude("a path of letters, digits and ._@+~- beneath /etc/nginx/ that ends in .conf", |s| path(s, &["/etc/nginx/"], ".conf"));
    /// A size for redis (redis.conf, "units").
    RedisSize("digits, 12 at most, then nothing or b, k, kb, m, mb, g or gb",
        |s| suffixed(s, 12, &["", "b", "k", "kb", "m", "mb", "g", "gb"]));
    /// PHP's memory_limit: -1 is none.
    MemoryLimit("digits, 9 at most, then nothing or K, M or G; or -1", |s| s == "-1" || php_bytes(s).is_some());
}

/// A path in normal form beneath one of `folders`, of characters that stand for themselves everywhere: `*` and `[` are
/// patterns to nginx's include, `:` parts php-fpm's addresses and PHP's lists, and the rest needs quotes somewhere.
fn path(text: &str, folders: &[&str], end: &str) -> bool {
    let beneath = |path: &AbsolutePath| {
        let mut prefixes = folders.iter().filter_map(|folder| PathPrefix::try_from((*folder).to_owned()).ok());
        prefixes.any(|prefix| prefix.strip(path).is_some())
    };
    plain_path(text) && AbsolutePath::try_from(text).is_ok_and(|path| beneath(&path)) && text.ends_with(end)
}

pub(super) fn plain_path(text: &str) -> bool {
    text.bytes().all(|c| c.is_ascii_alphanumeric() || b"/._@+~-".contains(&c))
}

/// Whether `text` is digits, `most` at most, and then one of `suffixes` in any case.
fn suffixed(text: &str, most: usize, suffixes: &[&str]) -> bool {
    let (digits, suffix) = text.split_at(text.bytes().take_while(u8::is_ascii_digit).count());
    (1..=most).contains(&digits.len()) && suffixes.contains(&suffix.to_ascii_lowercase().as_str())
}

/// The bytes of a size as PHP writes it (php.net, "shorthand byte values").
fn php_bytes(text: &str) -> Option<u64> {
    if !suffixed(text, 9, &["", "k", "m", "g"]) {
        return None;
    }
    let (digits, suffix) = text.split_at(text.bytes().take_while(u8::is_ascii_digit).count());
    let shift = match suffix {
        "" => 0,
        "k" | "K" => 10,
        "m" | "M" => 20,
        _ => 30,
    };
    digits.parse::<u64>().ok()?.checked_mul(1 << shift)
}

/// What a file that is sent to PHP may have.
#[derive(Debug, Serialize)]
pub(super) struct UploadSize(String);

impl UploadSize {
    /// The size for the whole form, in K: the file and a MiB for what surrounds it.
    pub(super) fn post_max_size(&self) -> String {
        format!("{}K", php_bytes(&self.0).unwrap_or(0).div_ceil(1 << 10).saturating_add(1 << 10))
    }
}
impl Grammar for UploadSize {
    const EXPECTED: &'static str = "digits, 9 at most, then nothing or K, M or G";
    fn read(value: &Value) -> Option<Self> {
        as_text(value).filter(|text| php_bytes(text).is_some()).map(|text| Self(text.to_owned()))
    }
}

/// A password of redis. It stands in quotes; the log never has it.
#[derive(Serialize)]
pub(super) struct Password(String);

impl std::fmt::Debug for Password {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Password(redacted)")
    }
}
impl Grammar for Password {
    const EXPECTED: &'static str = "1 to 512 letters, digits and ._,:/-";
    const SECRET: bool = true;
    fn read(value: &Value) -> Option<Self> {
        as_text(value).filter(|text| plain(text, 512)).map(|text| Self(text.to_owned()))
    }
}

/// Shared names, by their own grammar.
macro_rules! names {
    ($($Name:ident: $expected:literal;)*) => {$(
        impl Grammar for $Name {
            const EXPECTED: &'static str = $expected;
            fn read(value: &Value) -> Option<Self> {
                as_text(value).and_then(|text| Self::try_from(text).ok())
            }
        }
    )*};
}
names! {
    SiteName: "a letter or digit, then letters, digits and ._-, 64 at most, without ..";
    PhpVersion: "a digit, a dot, one to three digits";
}

/// Whole numbers with bounds: `Name(least, most);`. A text of digits is not a number.
macro_rules! numbers {
    ($( $(#[$meta:meta])* $Name:ident($least:literal, $most:literal); )*) => {$(
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, Serialize)]
        pub(super) struct $Name(u64);
        impl $Name {
            #[allow(dead_code, reason = "not every number is computed with")]
            pub(super) fn get(self) -> u64 {
                self.0
            }
        }
        impl Grammar for $Name {
            const EXPECTED: &'static str = concat!("a whole number from ", $least, " to ", $most);
            fn read(value: &Value) -> Option<Self> {
                as_number(value).filter(|number| ($least..=$most).contains(number)).map(Self)
            }
        }
    )*};
}
numbers! {
    /// A time limit that there must be.
    Timeout(1, 86_400);
    /// A time limit, in seconds; 0 is none.
    Seconds(0, 86_400);
    /// A number of processes.
    Processes(1, 32_768);
    /// Requests until a process is replaced; 0 is never.
    Requests(0, 1_000_000_000);
    /// A TCP port.
    Port(1, 65_535);
    /// Databases of a redis server.
    Databases(1, 65_536);
    /// Clients of a redis server at once.
    Clients(1, 1_000_000);
}

/// Words of a list.
macro_rules! choices {
    ($( $(#[$meta:meta])* $Name:ident($expected:literal, [$($word:literal),*]); )*) => {$(
        $(#[$meta])*
        #[derive(Debug, Serialize)]
        pub(super) struct $Name(&'static str);
        impl Grammar for $Name {
            const EXPECTED: &'static str = $expected;
            fn read(value: &Value) -> Option<Self> {
                let text = as_text(value)?;
                [$($word),*].into_iter().find(|word| *word == text).map(Self)
            }
        }
    )*};
}
choices! {
    /// How php-fpm keeps processes.
    PmType("static, dynamic or ondemand", ["static", "dynamic", "ondemand"]);
    /// How much redis logs.
    LogLevel("debug, verbose, notice or warning", ["debug", "verbose", "notice", "warning"]);
    /// What redis gives up when its memory is full.
    EvictionPolicy("one of redis's maxmemory-policy values", [
        "noeviction", "allkeys-lru", "allkeys-lfu", "allkeys-random", "volatile-lru", "volatile-lfu", "volatile-random",
        "volatile-ttl"
    ]);
}
