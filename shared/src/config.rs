//! The configuration file: what may stand in it, a line a setting. Reading the file is its reader's affair.
mod word;

use crate::{AbsolutePath, Content, Error, FileMode, Group, Owner, Policy, Whitelists};
use serde::Deserialize;
use std::{collections::BTreeSet, fmt::Display, path::Path};

pub use word::{Format, Level};

/// Makes the configuration's types. A row is a setting: `key (or "another name"): Type = default, smallest..=largest;`.
///
/// Beside each section's struct stands one of what the file says, where everything may be absent: serde reads that.
macro_rules! settings {
    ($( $(#[$about:meta])* $section:ident: $Section:ident {
        $( $(#[$doc:meta])* $key:ident $((or $other:literal))?: $Type:ty = $default:expr $(, $bounds:expr)?; )*
    } )*) => {
        /// What the configuration says, with the defaults for what it doesn't.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct Config {
            $( $(#[$about])* pub $section: $Section, )*
            /// `[whitelists]`: what is allowed beside the built-in lists.
            pub whitelists: Whitelists,
        }
        $(
            $(#[$about])*
            #[derive(Clone, Debug, PartialEq, Eq)]
            pub struct $Section { $( $(#[$doc])* pub $key: $Type, )* }
        )*

        mod written {
            use super::*;
            #[derive(Default, Deserialize)]
            #[serde(deny_unknown_fields, default)]
            pub(super) struct Config { $( $section: $Section, )* whitelists: Whitelists }
            $(
                #[derive(Default, Deserialize)]
                #[serde(deny_unknown_fields, default)]
                struct $Section { $( $(#[serde(alias = $other)])? $key: Option<$Type>, )* }
            )*
            impl Config {
                /// With the defaults, and within the bounds.
                pub(super) fn complete(self) -> Result<super::Config, String> {
                    $( let $section = super::$Section { $( $key: match self.$section.$key {
                        Some(value) => value,
                        None => default(|| Ok($default))?,
                    }, )* }; )*
                    $( $( $( within(concat!(stringify!($section), ".", stringify!($key)), $section.$key, $bounds)?; )? )* )*
                    Ok(super::Config { $( $section, )* whitelists: self.whitelists })
                }
            }
        }
    };
}

settings! {
    /// `[socket]`: the public socket.
    socket: Socket {
        /// Where it stands.
        path: AbsolutePath = "/run/reeve/reeve.sock".try_into()?;
        /// Who may connect.
        permissions: FileMode = "0660".try_into()?;
        /// Its owner.
        owner: Owner = "root".try_into()?;
        /// Its group.
        group: Group = "root".try_into()?;
    }
    /// `[security]`: who may call, and what makes a request authentic.
    security: Security {
        /// The file that holds the secret.
        hmac_secret_path: AbsolutePath = "/etc/reeve/hmac.secret".try_into()?;
        /// The uids that may call.
        allowed_uids (or "allowed_peer_uids"): BTreeSet<u32> = BTreeSet::new();
        /// The age above which a request is refused, in seconds.
        max_request_age_seconds: u64 = 60, 1..=86_400;
        /// How long a nonce is kept at least, in seconds.
        nonce_ttl_seconds: u64 = 300, 62..=604_800;
        /// How many requests a uid may send in a window.
        rate_limit_requests: u32 = 100, 1..=1_000_000;
        /// The window, in seconds.
        rate_limit_window_seconds: u64 = 60, 1..=86_400;
    }
    /// `[limits]`: how much at once, how large, how long.
    limits: Limits {
        /// Commands at work at once.
        max_concurrent_requests: u32 = 10, 1..=256;
        /// Connections at once.
        max_connections: u32 = 128, 2..=16_384;
        /// The longest message of a client, in bytes.
        max_message_size: u32 = 1 << 20, 1 << 10..=u32::try_from(Content::MAX).unwrap_or(u32::MAX);
        /// The time for a whole message, for an idle connection, for a client to read its answers; in seconds.
        socket_timeout_seconds: u64 = 30, 1..=3_600;
        /// The time limit of a command whose row names none, in seconds.
        default_timeout_seconds: u64 = 60, 1..=86_400;
    }
    /// `[frontend]`: the unprivileged process.
    frontend: Frontend {
        /// Whom it runs as: a name, or a number that no account needs to have.
        user: Owner = "reeve".try_into()?;
    }
    /// `[paths]`: the daemon's own folders, and the operator's templates.
    paths: Paths {
        /// What outlives a restart.
        state_dir: AbsolutePath = "/var/lib/reeve".try_into()?;
        /// What doesn't outlive a boot.
        run_dir: AbsolutePath = "/run/reeve/private".try_into()?;
        /// Templates of packages.
        templates_dir: AbsolutePath = "/usr/share/reeve/templates".try_into()?;
        /// Templates of the operator's, which come first.
        custom_templates_dir: AbsolutePath = "/etc/reeve/templates".try_into()?;
    }
    /// `[audit]`: the audit trail.
    audit: Audit {
        /// Whether there is one.
        enabled: bool = true;
        /// Where it is written.
        log_path: AbsolutePath = "/var/log/reeve/audit.log".try_into()?;
    }
    /// `[logging]`: the log on standard error.
    logging: Logging {
        /// The least severe level that is logged.
        level: Level = Level::Info;
        /// How a line looks.
        format: Format = Format::Pretty;
    }
    /// `[ssl]`: certificates.
    ssl: Ssl {
        /// The ACME server's directory; empty for certbot's own.
        acme_server: String = String::new();
    }
}

/// Where units of Reeve's may stand, beside /etc/systemd, which is protected wholly.
const UNITS: [&str; 4] = [
    "/lib/systemd/system/reeve.service",
    "/lib/systemd/system/reeve.socket",
    "/usr/lib/systemd/system/reeve.service",
    "/usr/lib/systemd/system/reeve.socket",
];

/// A default. Those of a type with a grammar go through its constructor.
fn default<T>(make: impl FnOnce() -> Result<T, Error>) -> Result<T, String> {
    make().map_err(|error| error.to_string())
}

fn within<T: PartialOrd + Display>(key: &str, value: T, bounds: std::ops::RangeInclusive<T>) -> Result<(), String> {
    if bounds.contains(&value) {
        return Ok(());
    }
    Err(format!("{key} = {value} is out of bounds: set it to {} to {}", bounds.start(), bounds.end()))
}

impl Config {
    /// Reads the text of the configuration file at `path`.
    ///
    /// # Errors
    /// [`Error::Setting`]: the key, its line or its value, and what it should be.
    pub fn parse(path: &Path, text: &str) -> Result<Self, Error> {
        let written: written::Config = toml::from_str(text).map_err(|error| {
            let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
            let line = before.matches('\n').count().saturating_add(1);
            Error::setting(path, format!("line {line}: {}", error.message()))
        })?;
        let config = written.complete().map_err(|why| Error::setting(path, why))?;
        config.check().map_err(|why| Error::setting(path, why))?;
        Ok(config)
    }

    /// What no setting can be checked for by itself.
    fn check(&self) -> Result<(), String> {
        let Self { socket, security, paths, .. } = self;
        let least = security.max_request_age_seconds.saturating_add(61);
        if security.nonce_ttl_seconds < least {
            return Err(format!(
                "security.nonce_ttl_seconds = {} is too short: a nonce must outlive the request that it guards; set it to \
                 max_request_age_seconds + 61 = {least} or more",
                security.nonce_ttl_seconds
            ));
        }
        if security.allowed_uids.contains(&u32::MAX) {
            return Err(format!("security.allowed_uids: {} is nobody's uid; take it out", u32::MAX));
        }
        // sun_path, with its final NUL (unix(7)).
        if socket.path.as_str().len() > 107 {
            return Err(format!("socket.path = {} is longer than 107 bytes, which the system allows", socket.path));
        }
        for (key, folder) in [("state_dir", &paths.state_dir), ("run_dir", &paths.run_dir)] {
            if socket.path.is_within(folder) {
                return Err(format!(
                    "socket.path = {} lies in paths.{key}, which clients can't enter; move it",
                    socket.path
                ));
            }
        }
        if paths.state_dir.is_within(&paths.run_dir) || paths.run_dir.is_within(&paths.state_dir) {
            return Err(format!(
                "paths.run_dir = {} and paths.state_dir must be two folders, side by side",
                paths.run_dir
            ));
        }
        let server = &self.ssl.acme_server;
        let address = |rest: &str| !rest.is_empty() && rest.len() < 1024 && rest.bytes().all(|c| c.is_ascii_graphic());
        if !server.is_empty() && !server.strip_prefix("https://").is_some_and(address) {
            return Err(
                "ssl.acme_server is no address of the form https://...; leave it empty for certbot's own".to_owned()
            );
        }
        Ok(())
    }

    /// What a host with this configuration permits. Protected is what Reeve stands on: the configuration's own `file`, the
    /// `binaries` of the two processes, and all that is named here.
    ///
    /// # Errors
    /// A setting of PHP's that can't be added.
    pub fn policy(&self, file: &AbsolutePath, binaries: &[AbsolutePath]) -> Result<Policy, Error> {
        let Self { socket, security, paths, audit, whitelists, .. } = self;
        let trail = audit.log_path.parent().unwrap_or_else(|| audit.log_path.clone());
        let own = [
            file,
            &socket.path,
            &security.hmac_secret_path,
            &paths.state_dir,
            &paths.run_dir,
            &paths.templates_dir,
            &paths.custom_templates_dir,
            &trail,
        ];
        let mut own: Vec<AbsolutePath> = own.into_iter().chain(binaries).cloned().collect();
        for unit in UNITS {
            own.push(unit.try_into()?);
        }
        Policy::new(security.allowed_uids.clone(), whitelists.clone(), own)
    }
}

#[cfg(test)]
mod tests;
