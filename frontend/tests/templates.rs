//! The shipped templates against the real nginx, php-fpm and redis, on the real ports and paths, each test in namespaces of its
//! own. Needs root, and Debian's nginx, php-fpm, redis-server and openssl.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "a test, whose helpers clippy does not know as such"
)]

#[path = "templates/client.rs"]
mod client;
#[path = "templates/sandbox.rs"]
mod sandbox;

use client::{fetch, redis, tls};
use reeve_frontend::prepare::Templates;
use reeve_shared::command::TemplateRequest;
use sandbox::{ANN, BOB, Tenant, run, sandboxed, wait_for};
use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

const SITE: &str = "nginx/site.conf.tera";
const SITE_TLS: &str = "nginx/site-ssl.conf.tera";

/// Renders a shipped template from a context in JSON.
fn render(template: &str, context: &str) -> String {
    let request = serde_json::json!({
        "path": "/etc/nginx/x", "template": template, "context": serde_json::from_str::<serde_json::Value>(context).unwrap()
    });
    let request: TemplateRequest = serde_json::from_value(request).unwrap();
    Templates::new(&[]).unwrap().prepare(request).unwrap().content.into()
}

fn enable(name: &str, text: &str) {
    fs::write(format!("/etc/nginx/sites-enabled/{name}"), text).unwrap();
}

/// `nginx -t` finds nothing to fault, but for what 1.25 and later say of a `listen` that 1.22 takes too.
fn nginx_is_content() {
    let said = run(Command::new("nginx").arg("-t")).unwrap();
    let fault = said.lines().find(|line| {
        line.contains("[warn]") && !line.contains("\"listen ... http2\" directive is deprecated")
            || line.contains("[emerg]")
    });
    assert_eq!(fault, None, "{said}");
}

fn php_fpm() -> (PathBuf, String) {
    let names = fs::read_dir("/usr/sbin").unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut versions: Vec<_> = names.filter_map(|name| name.strip_prefix("php-fpm").map(str::to_owned)).collect();
    versions.sort();
    let version = versions.pop().expect("php-fpm is not installed: apt-get install php-fpm");
    (format!("/usr/sbin/php-fpm{version}").into(), version)
}

/// `php-fpm` with these pools, and its own file beside them.
fn php_fpm_with(pools: &[String]) -> Command {
    fs::create_dir_all("/run/php/pool.d").unwrap();
    for (number, pool) in pools.iter().enumerate() {
        fs::write(format!("/run/php/pool.d/{number}.conf"), pool).unwrap();
    }
    let global =
        "[global]\npid = /run/php/fpm.pid\nerror_log = /var/log/php-fpm.log\ninclude = /run/php/pool.d/*.conf\n";
    fs::write("/run/php/fpm.conf", global).unwrap();
    let mut command = Command::new(php_fpm().0);
    command.args(["-y", "/run/php/fpm.conf"]);
    command
}

fn certificate(name: &str) {
    run(Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"])
        .args(["-subj", "/CN=test", "-addext", "subjectAltName=DNS:a.example"])
        .args(["-keyout", &format!("/etc/ssl/certs/{name}.key"), "-out", &format!("/etc/ssl/certs/{name}.crt")]))
    .unwrap();
}

fn tls_site(name: &str, domain: &str, more: &str) -> String {
    let context = format!(
        r#"{{"site_name": "{name}", "domains": ["{domain}"], "document_root": "/home/ann/public", "ssl_certificate":
            "/etc/ssl/certs/{name}.crt", "ssl_certificate_key": "/etc/ssl/certs/{name}.key"{more}}}"#
    );
    render(SITE_TLS, &context)
}

const PHP: &str = r#", "php_enabled": true, "php_socket": "/run/php/ann.sock""#;
const CUSTOM: &str = r#", "custom_config_file": "/etc/nginx/conf.d/custom/a.conf""#;

#[test]
fn nginx_takes_every_variant_of_a_site_and_many_at_once() {
    sandboxed("nginx_takes_every_variant_of_a_site_and_many_at_once", || {
        fs::create_dir("/etc/nginx/conf.d/custom").unwrap();
        fs::write("/etc/nginx/conf.d/custom/a.conf", "client_max_body_size 64m;\nadd_header X-Custom yes;\n").unwrap();
        let long = format!("{0}.{0}.{0}.{1}", "a".repeat(63), "b".repeat(61));
        let variants = [
            String::new(),
            r#", "php_enabled": false, "generated_at": "2024-12-29T00:00:00Z""#.to_owned(),
            format!(r#"{PHP}, "php_timeout": 60"#),
            CUSTOM.to_owned(),
            format!("{PHP}{CUSTOM}"),
        ];
        for (number, more) in variants.iter().enumerate() {
            let context = format!(
                r#"{{"site_name": "plain-{number}", "domains": ["p{number}.example", "p{number}.{}"],
                    "document_root": "/var/www/p{number}"{more}}}"#,
                &long[..250]
            );
            enable(&format!("plain-{number}"), &render(SITE, &context));
            nginx_is_content();
            certificate(&format!("tls-{number}"));
            enable(&format!("tls-{number}"), &tls_site(&format!("tls-{number}"), &format!("t{number}.example"), more));
            nginx_is_content();
        }
        // It is what nginx was asked that was good: a broken site is not.
        enable("broken", "server { listen 80 }");
        assert!(run(Command::new("nginx").arg("-t")).unwrap_err().contains("[emerg]"));
    });
}

#[test]
fn a_site_serves_its_own_and_nothing_of_anyone_else() {
    sandboxed("a_site_serves_its_own_and_nothing_of_anyone_else", || {
        let (ann, bob) = (Tenant::new(ANN), Tenant::new(BOB));
        for (name, text) in [
            ("index.html", "home"),
            ("plain.txt", "plain"),
            (".env", "dot"),
            (".git/config", "dot"),
            ("sub/.htpasswd", "dot"),
            ("\n/.env", "dot"),
            (".well-known/security.txt", "known"),
            (".well-known/acme-challenge/token", "token"),
            (".well-known/.env", "dot"),
            ("sub/.well-known/x", "dot"),
            ("config.php", "<?php // source"),
            ("config.PHP", "<?php // source"),
            ("config.phtml", "<?php // source"),
            ("config.phar", "<?php // source"),
        ] {
            ann.file(name, text);
        }
        bob.file("secret.txt", "bob's");
        bob.file("index.html", "bob's");
        bob.file(".well-known/acme-challenge/bobs-token", "bob's");
        ann.file("folder/index.html", "a folder's");
        ann.file("empty/x", "x");
        ann.link("own", "plain.txt");
        ann.link("own-folder", "folder");
        ann.link("bobs", "/home/bob/public/secret.txt");
        ann.link("bobs-folder", "/home/bob/public");
        ann.link("roots", "/etc/passwd");
        ann.link("root-folder", "/etc");
        ann.link("twice", "bobs");
        ann.link("empty/index.html", "/home/bob/public/secret.txt");
        ann.link(".well-known/bobs", "/home/bob/public/secret.txt");
        ann.link(".well-known/acme-challenge/bobs", "/home/bob/public/secret.txt");
        let site = |name: &str, root: &str| {
            let context =
                format!(r#"{{"site_name": "{name}", "domains": ["{name}.example"], "document_root": "{root}"}}"#);
            render(SITE, &context)
        };
        certificate("tls");
        enable("a", &site("a", "/home/ann/public"));
        enable("tls", &tls_site("tls", "tls.example", ""));
        // The same without what the template says of links: it shows that the links lead somewhere.
        let open = site("open", "/home/ann/public");
        let open = open.lines().filter(|line| !line.contains("disable_symlinks")).collect::<Vec<_>>().join("\n");
        enable("open", &open);
        nginx_is_content();
        run(&mut Command::new("nginx")).unwrap();

        for (path, body) in [
            ("/", "home"),
            ("/plain.txt", "plain"),
            ("/.well-known/security.txt", "known"),
            ("/.well-known/acme-challenge/token", "token"),
            ("/own", "plain"),
            ("/folder/", "a folder's"),
            ("/own-folder/", "a folder's"),
        ] {
            assert_eq!(fetch("a.example", path), (200, body.to_owned()), "{path}");
        }
        for path in [
            "/bobs",
            "/bobs-folder/secret.txt",
            "/roots",
            "/root-folder/passwd",
            "/twice",
            "/empty/",
            "/.well-known/bobs",
        ] {
            assert_eq!(fetch("open.example", path).0, 200, "{path}");
            let (status, body) = fetch("a.example", path);
            assert!(
                [403, 404].contains(&status) && !body.contains("bob") && !body.contains("root:"),
                "{path}: {status}"
            );
        }
        for path in [
            "/.env",
            "/%2eenv",
            "/%2Eenv",
            "//.env",
            "/./.env",
            "/sub/../.env",
            "/.git/config",
            "/.git/",
            "/sub/.htpasswd",
            "/%0a/.env",
            "/.well-known/.env",
            "/.well-known/../.env",
            "/sub/.well-known/x",
            "/config.php",
            "/config.PHP",
            "/config.phtml",
            "/config.phar",
            "/config.%70hp",
            "/absent",
        ] {
            let (status, body) = fetch("a.example", path);
            assert!(
                [403, 404].contains(&status) && !body.contains("dot") && !body.contains("source"),
                "{path}: {status}"
            );
        }
        // The port 80 of a site with TLS: the challenge and nothing else.
        assert_eq!(fetch("tls.example", "/.well-known/acme-challenge/token"), (200, "token".to_owned()));
        assert_eq!(fetch("tls.example", "/.well-known/acme-challenge/bobs").0, 404);
        assert_eq!(fetch("tls.example", "/plain.txt").0, 301);

        // Ann owns the folder that holds her document root, so she can put something else there.
        fs::rename("/home/ann/public", "/home/ann/release-1").unwrap();
        ann.link_at("/home/ann/public", "/home/ann/release-1");
        assert_eq!(fetch("a.example", "/plain.txt"), (200, "plain".to_owned()));
        fs::remove_file("/home/ann/public").unwrap();
        ann.link_at("/home/ann/public", "/home/bob/public");
        assert_eq!(fetch("open.example", "/secret.txt"), (200, "bob's".to_owned()));
        assert!([403, 404].contains(&fetch("a.example", "/secret.txt").0));
        assert!([403, 404].contains(&fetch("a.example", "/").0));
        for (host, status) in [("open.example", 200), ("tls.example", 404)] {
            assert_eq!(fetch(host, "/.well-known/acme-challenge/bobs-token").0, status, "{host}");
        }
        for log in ["a.access.log", "a.error.log", "tls.access.log"] {
            assert_eq!(fs::metadata(format!("/var/log/nginx/{log}")).unwrap().uid(), 0, "{log}");
        }
    });
}

#[test]
fn tls_is_modern_and_plain_http_leads_to_it() {
    sandboxed("tls_is_modern_and_plain_http_leads_to_it", || {
        let ann = Tenant::new(ANN);
        ann.file("index.html", "home");
        ann.file(".env", "dot");
        for (name, domain) in [("one", "a.example"), ("two", "b.example")] {
            certificate(name);
            enable(name, &tls_site(name, domain, ""));
        }
        nginx_is_content();
        run(&mut Command::new("nginx")).unwrap();

        for domain in ["a.example", "b.example"] {
            for version in ["-tls1_2", "-tls1_3"] {
                let answer = tls(domain, "/", &[version, "-quiet"]);
                assert!(answer.contains("200 OK") && answer.ends_with("home"), "{answer}");
                assert!(answer.contains("X-Content-Type-Options: nosniff"), "{answer}");
            }
            assert!(tls(domain, "/.env", &["-quiet"]).contains("404 Not Found"));
            assert!(tls(domain, "/", &["-alpn", "h2"]).contains("ALPN protocol: h2"));
        }
        for old in ["-tls1", "-tls1_1"] {
            assert!(!tls("a.example", "/", &[old, "-cipher", "ALL:@SECLEVEL=0", "-quiet"]).contains("HTTP/1.1"));
        }
        assert!(
            !tls("a.example", "/", &["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA:@SECLEVEL=0", "-quiet"])
                .contains("HTTP/1.1")
        );
        let moved = client::exchange("b.example", "/x?y=1");
        assert!(moved.contains("301 Moved") && moved.contains("Location: https://b.example/x?y=1\r\n"), "{moved}");
    });
}

#[test]
fn php_fpm_takes_every_variant_of_a_pool() {
    sandboxed("php_fpm_takes_every_variant_of_a_pool", || {
        let pool = |name: &str, user: &str, more: &str| {
            let context = format!(
                r#"{{"pool_name": "{name}", "system_user": "{user}", "socket_path": "/run/php/{name}.sock"{more}}}"#
            );
            render("php-fpm/pool.conf.tera", &context)
        };
        let all = r#", "system_group": "www-data", "php_version": "8.2", "pm_type": "dynamic", "pm_max_children": 20,
            "pm_start_servers": 4, "pm_min_spare_servers": 2, "pm_max_spare_servers": 6, "pm_max_requests": 0,
            "request_timeout": 0, "slowlog_timeout": 0, "memory_limit": "256M", "upload_max_filesize": "1G",
            "open_basedir": "/home/ann:/tmp", "disabled_functions": ["exec", "system"]"#;
        let pools = [
            pool("www.example.com", "ann", ""),
            pool("all", "ann", all),
            pool("static", "www-data", r#", "pm_type": "static""#),
            pool("ondemand", "bob", r#", "pm_type": "ondemand", "memory_limit": "-1", "disabled_functions": []"#),
            pool("one", "bob", r#", "pm_max_children": 1, "request_timeout": 3"#),
            pool("spare", "bob", r#", "pm_min_spare_servers": 9"#),
            // Words that an .ini file makes something else of, where they stand without quotes.
            pool("on", "on", r#", "system_group": "none""#),
            pool("null", "none", ""),
            pool("0", "ann", ""),
        ];
        let said = run(php_fpm_with(&pools).arg("-tt")).unwrap();
        assert!(!said.contains("WARNING") && !said.contains("ERROR") && said.contains("test is successful"), "{said}");
        for line in [
            "[www.example.com]",
            "user = ann",
            "[on]",
            "user = on",
            "group = none",
            "[null]",
            "user = none",
            "[0]",
            "listen.mode = 0660",
            "pm.max_children = 9",
            "pm.start_servers = 9",
            "php_admin_value[post_max_size] = 1049600K",
            "slowlog = /var/log/php8.2-fpm.all.slow.log",
            "slowlog = /var/log/php-fpm.on.slow.log",
        ] {
            assert!(said.contains(line), "{line} in {said}");
        }
        // It is what php-fpm was asked that was good: a broken pool is not.
        assert!(run(php_fpm_with(&[pool("broken", "nobody-at-all", "")]).arg("-t")).is_err());
    });
}

#[test]
fn php_runs_its_own_and_executes_no_link_to_another_owners_file() {
    sandboxed("php_runs_its_own_and_executes_no_link_to_another_owners_file", || {
        let (ann, bob) = (Tenant::new(ANN), Tenant::new(BOB));
        ann.file("index.php", "<?php echo 'ran as ', posix_geteuid(), ' for ', $_SERVER['REQUEST_URI'];");
        ann.file("sub/index.php", "<?php echo 'sub';");
        ann.file(
            "functions.php",
            "<?php foreach (['exec', 'proc_open', 'strlen'] as $f) echo (int) function_exists($f);",
        );
        ann.file(
            "limits.php",
            "<?php echo ini_get('memory_limit'), ' ', ini_get('open_basedir'), ' ', ini_get('post_max_size');",
        );
        ann.file(
            "outside.php",
            "<?php echo @file_get_contents('/home/bob/public/evil.php') === false ? 'kept in' : 'out';",
        );
        ann.file("plain.txt", "<?php echo 'evil';");
        ann.file("old.phtml", "<?php echo 'source';");
        ann.file(".hidden.php", "<?php echo 'evil';");
        bob.file("evil.php", "<?php echo 'evil';");
        ann.link("own.php", "sub/index.php");
        ann.link("evil.php", "/home/bob/public/evil.php");
        ann.link("bob", "/home/bob/public");
        ann.link("folder/index.php", "/home/bob/public/evil.php");

        let (_, version) = php_fpm();
        let pool = |name: &str, more: &str| {
            let context = format!(
                r#"{{"pool_name": "{name}", "system_user": "ann", "socket_path": "/run/php/{name}.sock",
                    "php_version": "{version}", "memory_limit": "96M", "upload_max_filesize": "8M"{more}}}"#
            );
            render("php-fpm/pool.conf.tera", &context)
        };
        // One without open_basedir: what keeps a link from being run is then nginx alone.
        let pools = [pool("ann", ""), pool("kept", r#", "open_basedir": ["/home/ann/"]"#)];
        run(&mut php_fpm_with(&pools)).unwrap();
        for (name, socket) in [("a", "ann"), ("kept", "kept")] {
            let context = format!(
                r#"{{"site_name": "{name}", "domains": ["{name}.example"], "document_root": "/home/ann/public",
                    "php_enabled": true, "php_socket": "/run/php/{socket}.sock"}}"#
            );
            let site = render(SITE, &context);
            enable(name, &site);
            if name == "a" {
                // The same without what the template says of links: it shows that the links lead somewhere.
                let open = site.replace("a.example", "open.example");
                enable(
                    "open",
                    &open.lines().filter(|line| !line.contains("disable_symlinks")).collect::<Vec<_>>().join("\n"),
                );
            }
        }
        nginx_is_content();
        run(&mut Command::new("nginx")).unwrap();

        for (path, body) in [
            ("/index.php", "ran as 12001 for /index.php"),
            ("/", "ran as 12001 for /"),
            ("/some/route?x=1", "ran as 12001 for /some/route?x=1"),
            ("/index.php/path", "ran as 12001 for /index.php/path"),
            ("/sub/", "sub"),
            ("/own.php", "sub"),
            ("/functions.php", "001"),
            ("/limits.php", "96M  9216K"),
            ("/outside.php", "out"),
            ("/plain.txt", "<?php echo 'evil';"),
        ] {
            assert_eq!(fetch("a.example", path), (200, body.to_owned()), "{path}");
        }
        assert_eq!(fetch("kept.example", "/limits.php"), (200, "96M /home/ann 9216K".to_owned()));
        assert_eq!(fetch("kept.example", "/outside.php"), (200, "kept in".to_owned()));
        for path in ["/evil.php", "/bob/evil.php", "/folder/"] {
            assert_eq!(fetch("open.example", path), (200, "evil".to_owned()), "{path}");
            let (status, body) = fetch("a.example", path);
            assert!([403, 404].contains(&status) && !body.contains("evil"), "{path}: {status} {body}");
        }
        for path in ["/absent.php", "/plain.txt/x.php", "/old.phtml", "/.hidden.php", "/evil.php/x.php"] {
            let (status, body) = fetch("a.example", path);
            assert!(
                [403, 404].contains(&status) && !body.contains("evil") && !body.contains("source"),
                "{path}: {status}"
            );
        }
        let socket = fs::metadata("/run/php/ann.sock").unwrap();
        assert_eq!((socket.uid(), socket.mode() & 0o777), (0, 0o660));
        assert_eq!(fs::metadata(format!("/var/log/php{version}-fpm.ann.slow.log")).unwrap().uid(), 0);
    });
}

#[test]
fn redis_starts_answers_and_saves() {
    sandboxed("redis_starts_answers_and_saves", || {
        let own = fs::metadata("/var/lib/redis").unwrap();
        for (more, password, appends) in [
            ("{}", "", "no"),
            (
                r#"{"require_pass": "swordfish", "bind_address": "127.0.0.1 ::1", "aof_enabled": true}"#,
                "swordfish",
                "yes",
            ),
            (r#"{"persistence_enabled": false, "max_memory": "0", "eviction_policy": "noeviction"}"#, "", "no"),
            (
                r#"{"port": 6380, "databases": 1, "max_clients": 100, "max_memory": "64MB", "log_level": "debug"}"#,
                "",
                "no",
            ),
        ] {
            let text = render("services/redis.conf.tera", more);
            fs::write("/run/redis.conf", &text).unwrap();
            let mut command = Command::new("redis-server");
            command.arg("/run/redis.conf").uid(own.uid()).gid(own.gid()).stdout(Stdio::null()).stderr(Stdio::null());
            let mut server = command.spawn().unwrap();
            let port = if more.contains("6380") { 6380 } else { 6379 };
            wait_for("redis to listen", || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
            let ask = |words: &[&str]| redis(port, password, words);
            assert_eq!(ask(&["PING"]), "+PONG\r\n", "{more}");
            if !password.is_empty() {
                assert!(redis(port, "", &["PING"]).starts_with("-NOAUTH"));
            }
            assert!(ask(&["CONFIG", "GET", "appendonly"]).contains(&format!("\r\n{appends}\r\n")));
            let persists = !more.contains("persistence_enabled");
            assert_eq!(ask(&["CONFIG", "GET", "save"]).contains("900 1 300 10 60 10000"), persists, "{more}");
            assert_eq!(ask(&["SET", "a", "b"]), "+OK\r\n");
            assert_eq!(ask(&["SAVE"]), "+OK\r\n");
            assert!(fs::metadata("/var/lib/redis/dump.rdb").unwrap().len() > 0);
            ask(&["SHUTDOWN"]);
            assert!(server.wait().unwrap().success());
            assert!(fs::read_to_string("/var/log/redis/redis-server.log").is_ok());
            fs::remove_file("/var/lib/redis/dump.rdb").unwrap();
        }
    });
}

/// A file's owner is the tenant's, and so is a link's.
#[test]
fn the_sandbox_gives_each_tenant_its_own() {
    sandboxed("the_sandbox_gives_each_tenant_its_own", || {
        let ann = Tenant::new(ANN);
        ann.file("a/b", "x");
        ann.link("c", "a/b");
        symlink("a/b", "/home/ann/public/d").unwrap();
        let owner = |name: &str| fs::symlink_metadata(format!("/home/ann/public/{name}")).unwrap().uid();
        assert_eq!([owner("a"), owner("a/b"), owner("c"), owner("d")], [12001, 12001, 12001, 0]);
    });
}
