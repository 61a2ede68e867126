//! The built-in lists. The configuration's `[whitelists]` adds to the first seven; nothing adds to or takes from the others.

/// systemd units that `service.*` may act on.
pub const SERVICES: &[&str] = &[
    "nginx",
    "php8.1-fpm",
    "php8.2-fpm",
    "php8.3-fpm",
    "php8.4-fpm",
    "mysql",
    "mariadb",
    "postgresql",
    "redis-server",
    "memcached",
    "supervisor",
    "supervisord",
];

/// Debian packages; `php{version}-{extension}` for every allowed version and extension beside them.
#[rustfmt::skip]
pub const PACKAGES: &[&str] = &[
    "nginx", "nginx-extras", "nginx-full",
    "redis-server", "redis-tools", "memcached", "libmemcached-tools",
    "postgresql", "postgresql-client", "postgresql-14", "postgresql-15", "postgresql-16", "postgresql-17",
    "mariadb-server", "mariadb-client", "mysql-server", "mysql-client",
    "supervisor",
    "nodejs", "npm",
    "certbot", "python3-certbot-nginx",
    "git", "unzip", "zip", "curl", "wget",
];

/// PHP versions.
pub const PHP_VERSIONS: &[&str] = &["8.1", "8.2", "8.3", "8.4"];

/// PHP extensions, and the parts of PHP that are packaged like one.
#[rustfmt::skip]
pub const PHP_EXTENSIONS: &[&str] = &[
    "fpm", "cli", "common", "mysql", "pgsql", "sqlite3", "redis", "memcached", "mongodb", "curl", "gd", "imagick", "intl",
    "mbstring", "xml", "zip", "bcmath", "soap", "opcache", "readline", "ldap", "imap", "gmp", "xdebug", "dev", "apcu", "igbinary",
    "msgpack",
];

/// Settings of `php.write_ini`. None names a file, a library, a command or a handler.
#[rustfmt::skip]
pub const PHP_SETTINGS: &[&str] = &[
    "memory_limit", "upload_max_filesize", "post_max_size", "max_file_uploads", "file_uploads", "max_execution_time",
    "max_input_time", "max_input_vars", "max_input_nesting_level", "default_socket_timeout", "display_errors",
    "display_startup_errors", "error_reporting", "log_errors", "html_errors", "ignore_repeated_errors", "date.timezone",
    "default_charset", "default_mimetype", "short_open_tag", "output_buffering", "zlib.output_compression",
    "zlib.output_compression_level", "expose_php", "allow_url_fopen", "precision", "serialize_precision", "realpath_cache_size",
    "realpath_cache_ttl", "variables_order", "request_order", "session.gc_maxlifetime", "session.gc_probability",
    "session.gc_divisor", "session.name", "session.cookie_lifetime", "session.cookie_secure", "session.cookie_httponly",
    "session.cookie_samesite", "session.use_strict_mode", "opcache.enable", "opcache.memory_consumption",
    "opcache.interned_strings_buffer", "opcache.max_accelerated_files", "opcache.validate_timestamps", "opcache.revalidate_freq",
    "opcache.jit", "opcache.jit_buffer_size", "pcre.backtrack_limit", "pcre.recursion_limit", "disable_functions",
];

/// Package archives.
pub const REPOSITORIES: &[&str] = &[
    "ppa:ondrej/php",
    "ppa:ondrej/nginx",
    "ppa:ondrej/nginx-mainline",
    "ppa:redislabs/redis",
    "ppa:certbot/certbot",
    "ppa:git-core/ppa",
];

/// Folders beneath which files may be written.
pub const PATH_PREFIXES: &[&str] = &[
    "/tmp/reeve/",
    "/home/",
    "/etc/nginx/",
    "/etc/php/",
    "/etc/redis/",
    "/etc/supervisor/",
    "/etc/memcached/",
    "/etc/ssl/",
    "/etc/letsencrypt/",
    "/var/log/",
    "/var/www/",
];

/// Never written, whatever the prefix: each path and all that lies beneath it.
pub const PROTECTED_PATHS: &[&str] = &[
    "/etc/passwd",
    "/etc/shadow",
    "/etc/group",
    "/etc/gshadow",
    "/etc/sudoers",
    "/etc/sudoers.d",
    "/etc/hosts",
    "/etc/resolv.conf",
    "/etc/pam.d",
    "/etc/ssh",
    "/etc/systemd",
    "/root",
    "/etc/letsencrypt/renewal",
    "/etc/letsencrypt/renewal-hooks",
    "/etc/letsencrypt/cli.ini",
    "/etc/ssl/openssl.cnf",
    "/etc/nginx/modules-enabled",
    "/var/log/journal",
    "/var/log/audit",
    "/var/log/wtmp",
    "/var/log/btmp",
    "/var/log/lastlog",
    "/var/log/auth.log",
];

/// A path with such a component is protected, wherever it lies.
pub const PROTECTED_COMPONENTS: &[&str] = &[".ssh"];

/// Accounts that Reeve neither makes nor deletes, and the names of privileged groups, whether they exist or not.
#[rustfmt::skip]
const RESERVED_USERS: &[&str] = &[
    "root", "daemon", "bin", "sys", "sync", "games", "man", "lp", "mail", "news", "uucp", "proxy", "www-data", "backup", "list",
    "irc", "gnats", "nobody", "systemd-network", "systemd-resolve", "messagebus", "sshd", "mysql", "postgres", "redis", "nginx",
    "apache", "_apt", "reeve", "memcache",
    "sudo", "wheel", "admin", "adm", "docker", "lxd", "incus", "libvirt", "kvm", "disk", "shadow", "staff",
];

/// Whether a system user of this name is reserved.
#[must_use]
pub fn is_reserved_user(name: &str) -> bool {
    RESERVED_USERS.contains(&name) || name.starts_with("systemd-")
}

/// Database names that Reeve neither makes nor drops, in lower case; they are compared in any case.
#[rustfmt::skip]
const RESERVED_DATABASES: &[&str] = &[
    "mysql", "information_schema", "performance_schema", "sys", "postgres", "template0", "template1", "root", "admin", "test",
];

/// Whether a database of this name, in any case, is reserved.
#[must_use]
pub fn is_reserved_database(name: &str) -> bool {
    RESERVED_DATABASES.iter().any(|reserved| reserved.eq_ignore_ascii_case(name))
}

/// Whether a PHP setting names a file, a folder, a library, a command or a handler (php.net, "List of php.ini directives").
pub(super) fn names_code(setting: &str) -> bool {
    const PARTS: &[&str] = &["extension", "preload", "filename", "handler"];
    const ENDS: &[&str] = &["_path", "_file", "_dir", ".path", ".file", ".dir"];
    const NAMES: &[&str] = &[
        "include_path",
        "error_log",
        "session.serialize_handler",
        "unserialize_callback_func",
        "browscap",
        "doc_root",
        "user_dir",
        "open_basedir",
        "disable_classes",
        "mail.log",
        "mail.force_extra_parameters",
        "opcache.preload_user",
        "opcache.error_log",
        "opcache.file_cache",
        "curl.cainfo",
        "openssl.cafile",
        "openssl.capath",
        "ffi.enable",
        "enable_dl",
        "allow_url_include",
    ];
    NAMES.contains(&setting)
        || PARTS.iter().any(|part| setting.contains(part))
        || ENDS.iter().any(|end| setting.ends_with(end))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::*;
    use crate::path::{AbsolutePath, PathPrefix};

    #[test]
    fn every_built_in_entry_is_well_formed() {
        fn all<T: TryFrom<String>>(list: &[&str]) {
            for entry in list {
                assert!(T::try_from((*entry).to_owned()).is_ok(), "{entry}");
            }
        }
        all::<ServiceName>(SERVICES);
        all::<PackageName>(PACKAGES);
        all::<PhpVersion>(PHP_VERSIONS);
        all::<PhpExtension>(PHP_EXTENSIONS);
        all::<PhpSetting>(PHP_SETTINGS);
        all::<Repository>(REPOSITORIES);
        all::<PathPrefix>(PATH_PREFIXES);
        all::<AbsolutePath>(PROTECTED_PATHS);
        all::<AccountName>(RESERVED_USERS);
    }

    #[test]
    fn reserved_names() {
        for name in ["root", "www-data", "docker", "systemd-timesync"] {
            assert!(is_reserved_user(name), "{name}");
        }
        assert!(!is_reserved_user("web1") && !is_reserved_user("systemd"));
        assert!(is_reserved_database("MySQL") && is_reserved_database("test") && !is_reserved_database("shop"));
    }
}
