//! The configuration together with what it names: the secret, the templates, the frontend's account.
use crate::{Error, error::OrFailed, inputs};
use nix::unistd::{User, geteuid};
use reeve_ipc::message::{self, Security, Setup, Template};
use reeve_shared::{AbsolutePath, Owner, Policy, Secret};
use std::path::Path;

pub use reeve_shared::config::{Audit, Config, Format, Level, Limits, Socket};

/// Whom the frontend runs as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Account {
    /// Its uid.
    pub uid: u32,
    /// Its gid.
    pub gid: u32,
}

/// All that is read from files at start and at a reload.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// Where it was read.
    pub file: AbsolutePath,
    /// The secrets that sign requests.
    pub secrets: Vec<Secret>,
    /// Operators' templates.
    pub templates: Vec<Template>,
    /// Whom the frontend runs as; `None` in a trial run as an ordinary user, where `frontend.user` is not applied.
    pub account: Option<Account>,
}

/// The uid that the kernel shows for those it can't name, and that daemons share.
const NOBODY: u32 = 65534;

impl Loaded {
    /// Reads the configuration at `path` and everything that it names.
    ///
    /// # Errors
    /// The first thing that is wrong, with its mend.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let config = Config::parse(path, &inputs::read_config(path)?)?;
        let account = if geteuid().is_root() { Some(account(path, &config)?) } else { None };
        Self::with_files(config, inputs::absolute(path)?, account)
    }

    /// Reads everything again. What only a restart changes stays as it is: the socket, the paths, the audit trail, the frontend's
    /// user, the number of connections.
    ///
    /// # Errors
    /// As [`Loaded::read`]; this value is still good then.
    pub fn read_again(&self) -> Result<Self, Error> {
        let path = self.file.as_ref();
        let written = Config::parse(path, &inputs::read_config(path)?)?;
        let Config { socket, frontend, paths, audit, limits, .. } = self.config.clone();
        let mut config = Config { socket, frontend, paths, audit, ..written.clone() };
        config.limits.max_connections = limits.max_connections;
        if config != written {
            tracing::warn!(
                "[socket], [frontend], [paths], [audit] or limits.max_connections changed; a restart puts that in force"
            );
        }
        if let Some(account) = self.account {
            check_account(path, &config, account)?;
        }
        Self::with_files(config, self.file.clone(), self.account)
    }

    fn with_files(config: Config, file: AbsolutePath, account: Option<Account>) -> Result<Self, Error> {
        let secrets = vec![inputs::read_secret(config.security.hmac_secret_path.as_ref())?];
        let mut templates = inputs::Templates::default();
        for folder in [&config.paths.custom_templates_dir, &config.paths.templates_dir] {
            templates.read_folder(folder.as_ref())?;
        }
        Ok(Self { config, file, secrets, templates: templates.finish(), account })
    }

    /// What the frontend is told. `chroot`: whether it was given the capability to enclose itself.
    #[must_use]
    pub fn setup(&self, policy: Policy, chroot: bool) -> Setup {
        let Config { security, limits, logging, .. } = &self.config;
        Setup {
            policy,
            security: Security {
                max_request_age_seconds: security.max_request_age_seconds,
                nonce_ttl_seconds: security.nonce_ttl_seconds,
                rate_limit_requests: security.rate_limit_requests,
                rate_limit_window_seconds: security.rate_limit_window_seconds,
            },
            limits: message::Limits {
                max_connections: limits.max_connections,
                max_message_size: limits.max_message_size,
                socket_timeout_seconds: limits.socket_timeout_seconds,
            },
            secrets: self.secrets.clone(),
            templates: self.templates.clone(),
            log_level: logging.level.as_str().to_owned(),
            chroot,
        }
    }
}

/// The account of `frontend.user`. A number stands for itself, as uid and gid, whether an account has it or not.
fn account(path: &Path, config: &Config) -> Result<Account, Error> {
    let account = match &config.frontend.user {
        Owner::Id(id) => Account { uid: *id, gid: *id },
        Owner::Name(name) => {
            let user = User::from_name(name.as_str()).or_failed(name.as_str(), "looking the account up")?;
            let user = user.ok_or_else(|| {
                let mend = format!("`useradd --system --shell /usr/sbin/nologin {name}` makes it");
                reeve_shared::Error::setting(path, format!("frontend.user: there is no account {name}: {mend}"))
            })?;
            Account { uid: user.uid.as_raw(), gid: user.gid.as_raw() }
        }
    };
    check_account(path, config, account)?;
    Ok(account)
}

/// That the account is the frontend's alone.
fn check_account(path: &Path, config: &Config, account: Account) -> Result<(), Error> {
    let user = &config.frontend.user;
    let web = User::from_name("www-data").ok().flatten().map(|web| web.uid.as_raw());
    let why = if account.uid == 0 || account.gid == 0 {
        "is root's, or in root's group"
    } else if account.uid == NOBODY || account.gid == NOBODY {
        "is nobody, whom other daemons share"
    } else if user.to_string() == "www-data" || web == Some(account.uid) {
        "is the web server's"
    } else if config.security.allowed_uids.contains(&account.uid) {
        "is in security.allowed_uids, so that the frontend could ask in its own name"
    } else {
        return Ok(());
    };
    let mend = "name an account of its own (reeve), or a number that none has";
    Err(reeve_shared::Error::setting(path, format!("frontend.user = {user} {why}; {mend}")).into())
}

#[cfg(test)]
mod tests;
