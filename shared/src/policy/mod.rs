//! What this host permits: the built-in lists, what the configuration adds to them, and who may call at all.
pub mod lists;

use crate::approved::{Caller, Permit};
use crate::error::Error;
use crate::name::{PackageName, PhpExtension, PhpSetting, PhpVersion, Repository, ServiceName};
use crate::path::{AbsolutePath, PathPrefix};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// The configuration's `[whitelists]`: each list adds to a built-in one and takes nothing away.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Whitelists {
    /// More services.
    pub additional_services: BTreeSet<ServiceName>,
    /// More packages.
    pub additional_packages: BTreeSet<PackageName>,
    /// More PHP versions.
    pub additional_php_versions: BTreeSet<PhpVersion>,
    /// More PHP extensions.
    pub additional_php_extensions: BTreeSet<PhpExtension>,
    /// More repositories.
    pub additional_repositories: BTreeSet<Repository>,
    /// More path prefixes.
    pub additional_path_prefixes: BTreeSet<PathPrefix>,
    /// More settings for `php.write_ini`.
    pub additional_php_settings: BTreeSet<PhpSetting>,
}

impl Whitelists {
    /// What both add.
    fn and(&self, other: &Self) -> Self {
        macro_rules! both {
            ($($key:ident),*) => { Self { $($key: &self.$key & &other.$key),* } };
        }
        both!(
            additional_services,
            additional_packages,
            additional_php_versions,
            additional_php_extensions,
            additional_repositories,
            additional_path_prefixes,
            additional_php_settings
        )
    }
}

/// The policy of one host. The executor makes it from the configuration; the frontend gets a copy over the link.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    allowed_uids: BTreeSet<u32>,
    whitelists: Whitelists,
    own_paths: Vec<AbsolutePath>,
}

impl Policy {
    /// A policy for these callers, with these additions. `own_paths` is what Reeve itself stands on: its configuration,
    /// secrets, audit trail, state and binaries, which become protected.
    ///
    /// # Errors
    /// An additional PHP setting that would have PHP load or run something.
    pub fn new(
        allowed_uids: BTreeSet<u32>,
        whitelists: Whitelists,
        own_paths: Vec<AbsolutePath>,
    ) -> Result<Self, Error> {
        for setting in &whitelists.additional_php_settings {
            if lists::names_code(setting.as_str()) {
                return Err(Error::UnsafePhpSetting(setting.as_str().to_owned()));
            }
        }
        Ok(Self { allowed_uids, whitelists, own_paths })
    }

    /// The policy that allows what both allow.
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        let mut own_paths = self.own_paths.clone();
        own_paths.extend(other.own_paths.iter().filter(|path| !self.own_paths.contains(path)).cloned());
        let allowed_uids = &self.allowed_uids & &other.allowed_uids;
        Self { allowed_uids, whitelists: self.whitelists.and(&other.whitelists), own_paths }
    }

    /// # Errors
    /// [`Error::CallerNotAllowed`] unless the caller's uid is in `allowed_uids`.
    pub fn permit_caller(&self, caller: &Caller) -> Result<(), Error> {
        if self.allowed_uids.contains(&caller.uid) { Ok(()) } else { Err(Error::CallerNotAllowed(caller.uid)) }
    }

    /// The uids that may call.
    #[must_use]
    pub fn allowed_uids(&self) -> &BTreeSet<u32> {
        &self.allowed_uids
    }

    /// Every prefix, the built-in ones first; each with whether it is built in.
    fn prefixes(&self) -> impl Iterator<Item = (PathPrefix, bool)> + '_ {
        let built_in = lists::PATH_PREFIXES.iter().filter_map(|folder| PathPrefix::try_from((*folder).to_owned()).ok());
        let additional = self.whitelists.additional_path_prefixes.iter().cloned();
        built_in.map(|prefix| (prefix, true)).chain(additional.map(|prefix| (prefix, false)))
    }

    /// The prefixes that `path` lies beneath, the built-in ones first; each with whether it is built in.
    pub fn prefixes_of<'a>(&'a self, path: &'a AbsolutePath) -> impl Iterator<Item = (PathPrefix, bool)> + 'a {
        self.prefixes().filter(|(prefix, _)| prefix.strip(path).is_some())
    }

    /// Every protected path: the built-in ones and what Reeve stands on.
    pub fn protected_paths(&self) -> impl Iterator<Item = AbsolutePath> + '_ {
        let built_in = lists::PROTECTED_PATHS.iter().filter_map(|path| AbsolutePath::try_from(*path).ok());
        built_in.chain(self.own_paths.iter().cloned())
    }
}

/// Each name type that is governed by a list: the list, and the configuration's key that adds to it.
macro_rules! listed {
    ($($Name:ident in $list:path, $key:ident;)*) => {$(
        impl Permit for $Name {
            fn permit(&self, policy: &Policy, _caller: &Caller) -> Result<(), Error> {
                if $list.contains(&self.as_str()) || policy.whitelists.$key.contains(self) {
                    return Ok(());
                }
                Err(Error::NotListed { kind: $Name::KIND, value: self.to_string(), key: stringify!($key) })
            }
        }
    )*};
}

listed! {
    ServiceName in lists::SERVICES, additional_services;
    PhpVersion in lists::PHP_VERSIONS, additional_php_versions;
    PhpExtension in lists::PHP_EXTENSIONS, additional_php_extensions;
    PhpSetting in lists::PHP_SETTINGS, additional_php_settings;
    Repository in lists::REPOSITORIES, additional_repositories;
}

/// Listed by name, or `php{version}-{extension}` of an allowed version and extension.
impl Permit for PackageName {
    fn permit(&self, policy: &Policy, caller: &Caller) -> Result<(), Error> {
        let of_php = || {
            let (version, extension) = self.as_str().strip_prefix("php")?.split_once('-')?;
            let version = PhpVersion::try_from(version).ok()?.permit(policy, caller);
            version.and(PhpExtension::try_from(extension).ok()?.permit(policy, caller)).ok()
        };
        let listed = lists::PACKAGES.contains(&self.as_str()) || policy.whitelists.additional_packages.contains(self);
        if listed || of_php().is_some() {
            return Ok(());
        }
        Err(Error::NotListed { kind: Self::KIND, value: self.to_string(), key: "additional_packages" })
    }
}

/// Beneath an allowed prefix, and neither a protected path nor beneath one, by its spelling. What lies behind the spelling is
/// looked up by the executor, by device and inode.
impl Permit for AbsolutePath {
    fn permit(&self, policy: &Policy, _caller: &Caller) -> Result<(), Error> {
        // A prefix's own folder is no target, even where it lies beneath another prefix.
        let is_a_prefix = policy.prefixes().any(|(prefix, _)| prefix.folder() == self);
        if is_a_prefix || policy.prefixes_of(self).next().is_none() {
            return Err(Error::NotListed { kind: "path", value: self.to_string(), key: "additional_path_prefixes" });
        }
        let protected = policy.protected_paths().find(|protected| self.is_within(protected)).map(String::from);
        let component = || self.components().find(|c| lists::PROTECTED_COMPONENTS.contains(c)).map(str::to_owned);
        match protected.or_else(component) {
            Some(protected) => Err(Error::Protected { path: self.to_string(), protected }),
            None => Ok(()),
        }
    }
}

/// Types whose grammar is all there is to check.
macro_rules! permitted {
    ($($Type:ty),*) => {$(
        impl Permit for $Type {
            fn permit(&self, _policy: &Policy, _caller: &Caller) -> Result<(), Error> {
                Ok(())
            }
        }
    )*};
}
permitted!(bool, u64, crate::Content, crate::FileMode, crate::Owner, crate::Group, crate::TemplateName);

#[cfg(test)]
mod tests {
    use super::*;

    const CALLER: Caller = Caller { uid: 1000, gid: 1000, pid: 1 };

    fn policy(whitelists: Whitelists) -> Policy {
        let own = vec![AbsolutePath::try_from("/home/reeve/state").unwrap()];
        Policy::new(BTreeSet::from([1000]), whitelists, own).unwrap()
    }

    /// Each key of [whitelists]: what it adds is allowed, what stands beside it is still refused.
    macro_rules! adds {
        ($($test:ident: $Name:ident, $key:ident, $listed:literal, $added:literal, $beside:literal;)*) => {$(
            #[test]
            fn $test() {
                let value = |text: &str| $Name::try_from(text.to_owned()).unwrap();
                let (plain, more) = (policy(Whitelists::default()), policy(Whitelists {
                    $key: BTreeSet::from([value($added).into_key()]), ..Whitelists::default()
                }));
                assert!(value($listed).permit(&plain, &CALLER).is_ok());
                assert!(value($added).permit(&plain, &CALLER).is_err());
                assert!(value($added).permit(&more, &CALLER).is_ok());
                assert!(value($listed).permit(&more, &CALLER).is_ok());
                assert!(value($beside).permit(&more, &CALLER).is_err());
            }
        )*};
    }
    trait IntoKey: Sized {
        fn into_key(self) -> Self {
            self
        }
    }
    impl<T> IntoKey for T {}
    adds! {
        additional_services: ServiceName, additional_services, "nginx", "haproxy", "ssh";
        additional_packages: PackageName, additional_packages, "php8.3-gd", "tree", "openssh-server";
        additional_php_versions: PhpVersion, additional_php_versions, "8.3", "8.5", "7.4";
        additional_php_extensions: PhpExtension, additional_php_extensions, "gd", "yaml", "ffi";
        additional_php_settings: PhpSetting, additional_php_settings, "memory_limit", "mysqli.max_links", "user_ini.filename";
        additional_repositories: Repository, additional_repositories, "ppa:ondrej/php", "ppa:a/b", "ppa:a/c";
    }

    #[test]
    fn additional_path_prefixes() {
        let path = |text: &str| AbsolutePath::try_from(text).unwrap();
        let prefix = PathPrefix::try_from("/srv/www/".to_owned()).unwrap();
        let (plain, more) = (
            policy(Whitelists::default()),
            policy(Whitelists { additional_path_prefixes: BTreeSet::from([prefix]), ..Whitelists::default() }),
        );
        assert!(path("/home/a").permit(&plain, &CALLER).is_ok());
        assert!(path("/srv/www/a").permit(&plain, &CALLER).is_err());
        assert!(path("/srv/www/a").permit(&more, &CALLER).is_ok());
        for beside in ["/srv/www", "/srv/wwwa/b", "/srv/a", "/etc/passwd", "/home"] {
            assert!(path(beside).permit(&more, &CALLER).is_err(), "{beside}");
        }
    }

    #[test]
    fn a_prefix_folder_is_no_target_even_beneath_another_prefix() {
        let prefix = PathPrefix::try_from("/etc/".to_owned()).unwrap();
        let policy = policy(Whitelists { additional_path_prefixes: BTreeSet::from([prefix]), ..Whitelists::default() });
        let permit = |text: &str| AbsolutePath::try_from(text).unwrap().permit(&policy, &CALLER).is_ok();
        assert!(permit("/etc/nginx/nginx.conf") && permit("/etc/motd"));
        assert!(!permit("/etc/nginx") && !permit("/etc"));
    }

    #[test]
    fn protected_paths_stay_so_whatever_the_prefix() {
        let all = Whitelists {
            additional_path_prefixes: ["/etc/", "/root/", "/var/", "/home/"]
                .map(|p| PathPrefix::try_from(p.to_owned()).unwrap())
                .into(),
            ..Whitelists::default()
        };
        let policy = policy(all);
        let permit = |text: &str| AbsolutePath::try_from(text).unwrap().permit(&policy, &CALLER);
        for good in ["/etc/motd", "/etc/sshd", "/var/lib/x", "/home/a/ssh", "/home/a/.sshx", "/home/reeve/statement"] {
            assert_eq!(permit(good), Ok(()), "{good}");
        }
        for bad in [
            "/etc/passwd",
            "/etc/shadow",
            "/etc/sudoers.d/x",
            "/etc/ssh/sshd_config",
            "/etc/systemd/system/x.service",
            "/root/x",
            "/etc/letsencrypt/renewal/x.conf",
            "/etc/letsencrypt/cli.ini",
            "/etc/nginx/modules-enabled/x",
            "/var/log/wtmp",
            "/home/a/.ssh",
            "/home/a/.ssh/authorized_keys",
            "/home/reeve/state",
            "/home/reeve/state/journal",
        ] {
            assert!(matches!(permit(bad), Err(Error::Protected { .. })), "{bad}");
        }
    }

    #[test]
    fn php_settings_that_load_or_run_something_can_not_be_added() {
        for bad in [
            "extension",
            "zend_extension",
            "ffi.preload",
            "opcache.preload",
            "auto_prepend_file",
            "sendmail_path",
            "extension_dir",
        ] {
            let list = BTreeSet::from([PhpSetting::try_from(bad).unwrap()]);
            let whitelists = Whitelists { additional_php_settings: list, ..Whitelists::default() };
            assert!(Policy::new(BTreeSet::new(), whitelists, vec![]).is_err(), "{bad}");
        }
        assert!(lists::PHP_SETTINGS.iter().all(|setting| !lists::names_code(setting)));
    }

    #[test]
    fn a_package_of_php_is_allowed_by_version_and_extension() {
        let policy = policy(Whitelists::default());
        let permit = |text: &str| PackageName::try_from(text).unwrap().permit(&policy, &CALLER).is_ok();
        assert!(permit("php8.1-xml") && permit("php8.4-fpm"));
        assert!(!permit("php7.4-xml") && !permit("php8.1-ffi") && !permit("php8.1") && !permit("php-xml"));
    }

    #[test]
    fn two_policies_together_allow_what_both_allow() {
        let list = |names: &[&str]| names.iter().map(|name| ServiceName::try_from(*name).unwrap()).collect();
        let whitelists = |names| Whitelists { additional_services: list(names), ..Whitelists::default() };
        let path = |path: &str| AbsolutePath::try_from(path).unwrap();
        let one = Policy::new(BTreeSet::from([1, 2]), whitelists(&["a", "b"]), vec![path("/x"), path("/y")]).unwrap();
        let other = Policy::new(BTreeSet::from([2, 3]), whitelists(&["b", "c"]), vec![path("/y"), path("/z")]).unwrap();
        let both =
            Policy::new(BTreeSet::from([2]), whitelists(&["b"]), vec![path("/x"), path("/y"), path("/z")]).unwrap();
        assert_eq!(one.and(&other), both);
    }

    #[test]
    fn an_unlisted_uid_is_refused() {
        let policy = policy(Whitelists::default());
        assert!(policy.permit_caller(&CALLER).is_ok());
        assert_eq!(policy.permit_caller(&Caller { uid: 0, ..CALLER }), Err(Error::CallerNotAllowed(0)));
    }
}
