//! What each key of each shipped template takes, and what it refuses.

pub(super) const SITE: &str = "nginx/site.conf.tera";
pub(super) const SITE_TLS: &str = "nginx/site-ssl.conf.tera";
pub(super) const POOL: &str = "php-fpm/pool.conf.tera";
pub(super) const REDIS: &str = "services/redis.conf.tera";

/// A key in JSON's words: what is taken, and what is refused beside all that `mutations` and [`WRONG`] make.
pub(super) struct Key {
    pub(super) name: &'static str,
    pub(super) good: &'static str,
    pub(super) bad: &'static str,
}

const fn key(name: &'static str, good: &'static str, bad: &'static str) -> Key {
    Key { name, good, bad }
}

const SITE_KEYS: &[Key] = &[
    key(
        "site_name",
        r#"["example.com", "a", "A_b-0"]"#,
        r#"["", "-a", ".a", "a..b", "../a", "a/b", "a b", 1, true, ["a"]]"#,
    ),
    key(
        "domains",
        r#"[["example.com"], ["a.b", "www.a.b"], ["A.b", "a.b."]]"#,
        r#"["example.com", [], [""], ["com"], ["*.a.b"], ["_"], ["10.0.0.1"], ["a.b", 1], [["a.b"]], ["a.b c.d"]]"#,
    ),
    key(
        "document_root",
        r#"["/home/a/public_html", "/var/www/example.com", "/var/www/a@b+c~d"]"#,
        r#"["", "/", "/home", "/home/", "/etc", "/etc/nginx", "/homes/a", "home/a", "/home/../etc", "/home/a/..", "/home//a",
            "/home/./a", "/home/a/", "/var/www/../../etc", "/var/www", "/home/a b", "/home/*", "/home/a:b", "/home/ü", 1, ["/home/a"]]"#,
    ),
    key("php_enabled", "[false]", r#"["true", "", "yes", 1, 0, [], [true]]"#),
    key(
        "php_socket",
        r#"["/run/php/a.sock", "/var/run/a.sock"]"#,
        r#"["", "/run/php/a", "/tmp/a.sock", "/run/../tmp/a.sock", "/running/a.sock", "/home/a.sock", "/run/a.sock/..",
            "/run/a:b.sock", "127.0.0.1:9000", "unix:/run/a.sock", 9000, ["/run/a.sock"],
            "/run/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.sock"]"#,
    ),
    key("php_timeout", "[1, 300, 86400]", r#"[0, 86401, "300", "300s", "", true, [300], 18446744073709551615]"#),
    key(
        "custom_config_file",
        r#"["/etc/nginx/custom/a.conf", "/etc/nginx/a.conf"]"#,
        r#"["", "/etc/nginx/a", "/etc/nginx/*.conf", "/etc/nginx/[a].conf", "/etc/nginx/?.conf", "/home/a.conf", "a.conf",
            "/etc/nginx/../a.conf", "/etc/nginx.conf", "/etc/nginx/a .conf", 1, ["/etc/nginx/a.conf"]]"#,
    ),
    key(
        "generated_at",
        r#"["2024-12-29T01:02:03Z", "a_b,c:d/e-f"]"#,
        r#"["", "a b", "a+b", "<a>", "é", 1, true, ["a"], "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"]"#,
    ),
];
const CERTIFICATE_KEYS: &[Key] = &[
    key(
        "ssl_certificate",
        r#"["/etc/ssl/reeve/a.crt", "/etc/letsencrypt/live/a.b/fullchain.pem"]"#,
        r#"["", "/etc/ssl", "/etc/ssl/", "/etc/ssl/../shadow", "/etc/shadow", "/home/a.crt", "data:x", "engine:a:b", 1, []]"#,
    ),
    key(
        "ssl_certificate_key",
        r#"["/etc/ssl/reeve/a.key", "/etc/letsencrypt/live/a.b/privkey.pem"]"#,
        r#"["", "/etc/ssl", "/etc/ssl/../shadow", "/etc/shadow", "/home/a.key", "engine:pkcs11:a", 1, []]"#,
    ),
];
const POOL_KEYS: &[Key] = &[
    key(
        "pool_name",
        r#"["web1", "example.com", "Globals"]"#,
        r#"["", "global", "GLOBAL", "-a", "a]", "[a", "a..b", "a/b", "a b", 1, ["a"]]"#,
    ),
    key(
        "system_user",
        r#"["web1", "www-data", "on", "none"]"#,
        r#"["", "root", "mysql", "sudo", "docker", "reeve", "systemd-network", "Web", "0", "1000", "-a", "a b", 0, 1000, ["web1"]]"#,
    ),
    key(
        "system_group",
        r#"["web1", "www-data", "users"]"#,
        r#"["", "root", "shadow", "adm", "disk", "sudo", "0", "a,b", 0, ["web1"]]"#,
    ),
    key(
        "socket_path",
        r#"["/run/php/a.sock", "/var/run/php/a.sock"]"#,
        r#"["", "/run/php/a", "/tmp/a.sock", "/run/../tmp/a.sock", "/etc/a.sock", "9000", "/run/a:1.sock", 9000, []]"#,
    ),
    key("php_version", r#"["8.2", "8.10"]"#, r#"["", "8", "8.2.1", "../8.2", "8.2/", "8.x", 8, 8.2, ["8.2"]]"#),
    key("pm_type", r#"["static", "dynamic", "ondemand"]"#, r#"["", "Dynamic", "none", " dynamic", 1, true, []]"#),
    key("pm_max_children", "[5, 100, 32768]", r#"[0, 32769, "5", "", true, [5]]"#),
    key("pm_start_servers", "[1, 2]", r#"[0, 32769, "2", "", true, [2]]"#),
    key("pm_min_spare_servers", "[1]", r#"[0, 32769, "1", "", true, [1]]"#),
    key("pm_max_spare_servers", "[3, 4]", r#"[0, 32769, "3", "", true, [3]]"#),
    key("pm_max_requests", "[0, 500, 1000000000]", r#"[1000000001, "500", "", true, [500]]"#),
    key("request_timeout", "[0, 300, 86400]", r#"[86401, "300", "300s", "", true, [300]]"#),
    key("slowlog_timeout", "[0, 5, 86400]", r#"[86401, "5", "5s", "", true, [5]]"#),
    key(
        "memory_limit",
        r#"["128M", "1g", "65536", "-1"]"#,
        r#"["", "M", "-2", "128MB", "1.5G", "128 M", "1e3", "0x10", "1000000000", 134217728, ["128M"]]"#,
    ),
    key(
        "upload_max_filesize",
        r#"["64M", "1g", "65536"]"#,
        r#"["", "M", "-1", "64MB", "1.5G", "64 M", "1000000000", 67108864, ["64M"]]"#,
    ),
    key(
        "open_basedir",
        r#"["/home/web1", "/home/web1/:/tmp", ["/home/web1", "/tmp/"]]"#,
        r#"["", ":", [], "/", ".", "home/web1", "/home/../etc", "/home/web1:.", "/home/a b", ["/home/a:/"], [""], ["/home/a", 1], 1]"#,
    ),
    key(
        "disabled_functions",
        r#"["exec", "exec, system", "exec,system", ["exec", "system"], [], ""]"#,
        r#"["a-b", "a.b", "1a", "a()", ["a,b"], [""], ["a b"], ["a", 1], "/a", 1, true]"#,
    ),
];
const REDIS_KEYS: &[Key] = &[
    key(
        "bind_address",
        r#"["127.0.0.1", "::1", "127.0.0.1 -::1", ["127.0.0.1", "::1"]]"#,
        r#"["", [], "*", "localhost", "127.0.0.1/8", "127.0.0.1,::1", "0", "--port", [""], ["127.0.0.1 ::1"], ["::1", 1], 1]"#,
    ),
    key("port", "[1, 6379, 65535]", r#"[0, 65536, "6379", "", true, [6379]]"#),
    key("databases", "[1, 16, 65536]", r#"[0, 65537, "16", "", true, [16]]"#),
    key(
        "log_level",
        r#"["debug", "verbose", "notice", "warning"]"#,
        r#"["", "Notice", "trace", "notice notice", 1, true, []]"#,
    ),
    key("persistence_enabled", "[true, false]", r#"["true", "", "yes", 1, 0, []]"#),
    key(
        "max_memory",
        r#"["0", "256mb", "1GB", "100k"]"#,
        r#"["", "mb", "-1", "1.5gb", "256 mb", "256tb", 268435456, []]"#,
    ),
    key(
        "eviction_policy",
        r#"["noeviction", "allkeys-lru", "volatile-ttl"]"#,
        r#"["", "lru", "ALLKEYS-LRU", "allkeys-lru x", 1, true, []]"#,
    ),
    key("aof_enabled", "[true, false]", r#"["true", "", "no", 1, 0, []]"#),
    key("require_pass", r#"["swordfish-1", "a.b_c,d:e/f"]"#, r#"["", "a b", "a@b", "é", "a#b", 1, true, ["a"]]"#),
    key("max_clients", "[1, 10000, 1000000]", r#"[0, 1000001, "10000", "", true, [1]]"#),
];

/// A template's keys, and the least that it can be rendered from.
pub(super) struct Row {
    pub(super) template: &'static str,
    pub(super) least: &'static str,
    pub(super) keys: &'static [&'static [Key]],
}

pub(super) const ROWS: &[Row] = &[
    Row {
        template: SITE,
        least: r#"{"site_name": "a", "domains": ["a.b"], "document_root": "/home/a/www"}"#,
        keys: &[SITE_KEYS],
    },
    Row {
        template: SITE_TLS,
        least: r#"{"site_name": "a", "domains": ["a.b"], "document_root": "/home/a/www", "ssl_certificate": "/etc/ssl/a.crt",
            "ssl_certificate_key": "/etc/ssl/a.key"}"#,
        keys: &[SITE_KEYS, CERTIFICATE_KEYS],
    },
    Row {
        template: POOL,
        least: r#"{"pool_name": "a", "system_user": "web1", "socket_path": "/run/php/a.sock"}"#,
        keys: &[POOL_KEYS],
    },
    Row { template: REDIS, least: "{}", keys: &[REDIS_KEYS] },
];

/// No key takes these.
pub(super) const WRONG: &str =
    r#"[-1, 1.5, 1e300, {}, {"a": "b"}, [{}], [[]], [[[]]], "\n", "\u0000", "a\nb", "a; b", "${a}"]"#;
/// No text keeps its place with one of these in it.
pub(super) const HOSTILE: &[&str] = &[
    "\n", "\r", "\t", "\0", "\u{7f}", "\u{85}", "\u{9b}", "\u{2028}", "\u{202e}", ";", "{", "}", "{{", "{%", "\"", "'",
    "`", "$", "\\", "#", "<", ">", "|", "&", "*", "?", "[", "]", "(", "=", "!", "%", "é",
];
