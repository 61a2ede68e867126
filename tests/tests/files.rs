//! The file commands through both real processes: each success seen on disk, each refusal beside it.
use reeve_tests::daemon::{Daemon, SECRET, Setup};
use reeve_tests::wire::Request;
use serde_json::{Value, json};
use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::PathBuf;

struct Site {
    daemon: Daemon,
    folder: PathBuf,
}

fn site() -> Site {
    let daemon = Setup::new().start();
    Site { folder: daemon.setup.path("site"), daemon }
}

impl Site {
    fn path(&self, name: &str) -> String {
        self.folder.join(name).to_str().unwrap().to_owned()
    }

    fn code(&self, command: &str, name: &str, mut params: Value) -> String {
        params["path"] = json!(self.path(name));
        self.daemon.code(command, &params)
    }

    fn data(&self, command: &str, name: &str, mut params: Value) -> Value {
        params["path"] = json!(self.path(name));
        let answer = self.daemon.ask(command, &params);
        assert_eq!(answer["success"], true, "{answer}\n{}", self.daemon.setup.log());
        answer["data"].clone()
    }

    fn mode(&self, name: &str) -> u32 {
        fs::symlink_metadata(self.path(name)).unwrap().mode() & 0o7777
    }

    /// No temporary name is left anywhere.
    fn is_clean(&self) -> bool {
        fn clean(folder: &std::path::Path) -> bool {
            fs::read_dir(folder).unwrap().all(|entry| {
                let entry = entry.unwrap();
                !entry.file_name().to_string_lossy().starts_with(".reeve-")
                    && (!entry.file_type().unwrap().is_dir() || clean(&entry.path()))
            })
        }
        clean(&self.folder)
    }
}

#[test]
fn a_file_is_written_whole_with_owner_and_mode_and_recorded() {
    let site = site();
    let data = site.data("file.write", "a/b/c.txt", json!({"content": "grüezi\n", "mode": "640"}));
    assert_eq!(data, json!({"path": site.path("a/b/c.txt"), "bytes_written": 8}));
    assert_eq!(fs::read_to_string(site.path("a/b/c.txt")).unwrap(), "grüezi\n");
    assert_eq!((site.mode("a"), site.mode("a/b"), site.mode("a/b/c.txt")), (0o755, 0o755, 0o640));
    let data = site.data("file.write", "a/b/c.txt", json!({"content": ""}));
    assert_eq!(
        (data["bytes_written"].as_u64(), site.mode("a/b/c.txt")),
        (Some(0), 0o640),
        "an existing file keeps its mode"
    );
    site.data("file.write", "plain", json!({"content": "x"}));
    assert_eq!(site.mode("plain"), 0o644);
    assert!(site.is_clean());
    let audit = site.daemon.audit();
    let kinds: Vec<_> = audit.iter().map(|record| record["record"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["intent", "outcome", "intent", "outcome", "intent", "outcome"]);
    assert_eq!(audit[0]["params"]["content"]["bytes"], 8);
    assert!(audit[0]["params"]["content"]["sha256"].as_str().unwrap().len() == 64);
    assert!(!audit.iter().any(|record| record.to_string().contains("grüezi")));
    assert_eq!((&audit[1]["result"], &audit[1]["request_id"]), (&json!("success"), &audit[0]["request_id"]));
}

#[test]
fn refused_writes_change_nothing() {
    let site = site();
    fs::create_dir(site.path("folder")).unwrap();
    fs::write(site.path("target"), "old").unwrap();
    symlink(site.path("target"), site.path("link")).unwrap();
    symlink("/etc", site.path("elsewhere")).unwrap();
    nix::unistd::mkfifo(site.path("fifo").as_str(), nix::sys::stat::Mode::S_IRWXU).unwrap();
    for (name, expected) in [
        ("folder", "COMMAND_ERROR"),
        ("link", "COMMAND_ERROR"),
        ("fifo", "COMMAND_ERROR"),
        ("elsewhere/x", "COMMAND_ERROR"),
        ("target/x", "COMMAND_ERROR"),
        ("../escape", "VALIDATION_ERROR"),
        ("./x", "VALIDATION_ERROR"),
        ("a//b", "VALIDATION_ERROR"),
        (".ssh/authorized_keys", "VALIDATION_ERROR"),
        ("", "VALIDATION_ERROR"),
    ] {
        assert_eq!(site.code("file.write", name, json!({"content": "new"})), expected, "{name}");
    }
    for params in [
        json!({"content": "x", "mode": "4755"}),
        json!({"content": "x", "mode": 420}),
        json!({"content": "x", "mode": null}),
        json!({"content": "x", "owner": -1}),
        json!({"content": "x", "owner": 4_294_967_295_u64}),
        json!({"content": "x", "unknown": 1}),
        json!({"content": 1}),
        json!({}),
    ] {
        assert_eq!(site.code("file.write", "new", params.clone()), "VALIDATION_ERROR", "{params}");
    }
    assert_eq!(site.code("file.write", "new", json!({"content": "x", "owner": "no-such-user-here"})), "COMMAND_ERROR");
    assert_eq!(fs::read_to_string(site.path("target")).unwrap(), "old");
    assert!(!PathBuf::from(site.path("new")).exists() && site.is_clean());
}

#[test]
fn refused_path_answers_alike_whether_it_exists() {
    let site = site();
    let outside = site.daemon.setup.path("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("file"), "x").unwrap();
    symlink("/etc/passwd", outside.join("link")).unwrap();
    let mut answers = std::collections::BTreeSet::new();
    for command in ["file.write", "file.delete", "file.mkdir", "file.chmod"] {
        let asked = ["file", "link", "absent", "absent/deeper", "file/deeper"].map(|name| outside.join(name));
        let protected = ["/etc/shadow", "/etc/no-such", "/root/.bashrc", "/root/no-such"].map(PathBuf::from);
        let hidden = [site.path(".ssh"), site.path(".ssh/x")].map(PathBuf::from);
        for path in asked.iter().chain(&protected).chain(&hidden) {
            let mut params = json!({"path": path});
            match command {
                "file.write" => params["content"] = json!("x"),
                "file.chmod" => params["mode"] = json!("0600"),
                _ => {}
            }
            let answer = site.daemon.ask(command, &params);
            answers.insert((answer["success"].clone().to_string(), answer["error"].to_string()));
        }
    }
    let expected = r#"{"code":"VALIDATION_ERROR","message":"Invalid request parameters"}"#;
    assert_eq!(answers.into_iter().collect::<Vec<_>>(), [("false".to_owned(), expected.to_owned())]);
}

#[test]
fn delete_takes_regular_files_only() {
    let site = site();
    fs::write(site.path("file"), "x").unwrap();
    fs::create_dir(site.path("folder")).unwrap();
    symlink("file", site.path("link")).unwrap();
    assert_eq!(
        site.data("file.delete", "absent", json!({})),
        json!({"path": site.path("absent"), "deleted": false, "reason": "not_found"})
    );
    assert_eq!(site.data("file.delete", "no/parent", json!({}))["reason"], "not_found");
    for name in ["folder", "link"] {
        assert_eq!(site.code("file.delete", name, json!({})), "COMMAND_ERROR");
        assert!(fs::symlink_metadata(site.path(name)).is_ok());
    }
    assert_eq!(site.data("file.delete", "file", json!({})), json!({"path": site.path("file"), "deleted": true}));
    assert!(!PathBuf::from(site.path("file")).exists());
}

#[test]
fn mkdir_makes_parents_unless_told_not_to() {
    let site = site();
    assert_eq!(
        site.data("file.mkdir", "a/b/c", json!({"mode": "0750"})),
        json!({"path": site.path("a/b/c"), "created": true})
    );
    assert_eq!((site.mode("a"), site.mode("a/b"), site.mode("a/b/c")), (0o755, 0o755, 0o750));
    let again = site.data("file.mkdir", "a/b/c", json!({"mode": "0700"}));
    assert_eq!(again, json!({"path": site.path("a/b/c"), "created": false, "reason": "already_exists"}));
    assert_eq!(site.mode("a/b/c"), 0o750, "nothing changes");
    assert_eq!(site.code("file.mkdir", "x/y", json!({"recursive": false})), "COMMAND_ERROR");
    assert!(!PathBuf::from(site.path("x")).exists());
    assert_eq!(site.data("file.mkdir", "x", json!({"recursive": false}))["created"], true);
    fs::write(site.path("file"), "x").unwrap();
    assert_eq!(site.code("file.mkdir", "file", json!({})), "COMMAND_ERROR");
    assert_eq!(site.code("file.mkdir", "file/below", json!({})), "COMMAND_ERROR");
    assert_eq!(site.code("file.mkdir", "y", json!({"mode": "1777"})), "VALIDATION_ERROR");
    assert!(site.is_clean());
}

#[test]
fn chmod_counts_what_it_changes_and_refuses_what_it_must() {
    let site = site();
    fs::create_dir_all(site.path("tree/a")).unwrap();
    fs::write(site.path("tree/f"), "x").unwrap();
    fs::write(site.path("tree/a/g"), "x").unwrap();
    symlink("/etc/passwd", site.path("tree/link")).unwrap();
    let data = site.data("file.chmod", "tree/f", json!({"mode": "600"}));
    assert_eq!(data, json!({"path": site.path("tree/f"), "mode": "0600", "files_modified": 1}));
    let data = site.data("file.chmod", "tree", json!({"mode": "0750", "recursive": true}));
    assert_eq!(data["files_modified"], 4, "the folder, its folder, two files; not the link");
    assert_eq!((site.mode("tree"), site.mode("tree/a"), site.mode("tree/a/g")), (0o750, 0o750, 0o750));
    assert_eq!(fs::metadata("/etc/passwd").unwrap().mode() & 0o777, 0o644);
    assert_eq!(site.code("file.chmod", "tree/link", json!({"mode": "0777"})), "COMMAND_ERROR");
    assert_eq!(site.code("file.chmod", "absent", json!({"mode": "0777"})), "COMMAND_ERROR");
    assert_eq!(site.code("file.chmod", "", json!({"mode": "0777"})), "VALIDATION_ERROR");
    assert_eq!(site.code("file.chmod", "tree/f", json!({"mode": "2755"})), "VALIDATION_ERROR");
    fs::hard_link(site.path("tree/f"), site.path("tree/second")).unwrap();
    assert_eq!(site.code("file.chmod", "tree/f", json!({"mode": "0777"})), "COMMAND_ERROR", "two names");
    assert_eq!(site.code("file.chmod", "tree", json!({"mode": "0777", "recursive": true})), "COMMAND_ERROR");
    assert_eq!(site.mode("tree/a"), 0o750, "nothing was changed");
}

#[test]
fn a_full_disk_leaves_nothing_and_is_a_command_error() {
    let mut setup = Setup::new();
    setup.set("limits", "max_message_size", "8388608");
    let daemon = setup.start();
    let path = daemon.setup.path("site/full");
    fs::create_dir(&path).unwrap();
    if !reeve_tests::skip::is_root() {
        return reeve_tests::skip::skip("needs root, to mount a small tmpfs");
    }
    let mount =
        |args: &[&str]| assert!(std::process::Command::new(args[0]).args(&args[1..]).status().unwrap().success());
    mount(&["mount", "-t", "tmpfs", "-o", "size=1m", "none", path.to_str().unwrap()]);
    let big = json!({"path": path.join("big"), "content": "x".repeat(4 << 20)});
    let (full, small) = (
        daemon.code("file.write", &big),
        daemon.code("file.write", &json!({"path": path.join("small"), "content": "x"})),
    );
    let left: Vec<_> = fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    mount(&["umount", path.to_str().unwrap()]);
    assert_eq!((full.as_str(), small.as_str()), ("COMMAND_ERROR", "ok"));
    assert_eq!(left, ["small"]);
}

#[test]
fn a_template_is_rendered_and_written() {
    let site = site();
    let context = json!({"site_name": "shop", "domains": ["Shop.example.com."], "document_root": "/var/www/shop"});
    let template = "nginx/site.conf.tera";
    let data = site.data("file.write_template", "shop.conf", json!({"template": template, "context": context}));
    let text = fs::read_to_string(site.path("shop.conf")).unwrap();
    assert_eq!(data, json!({"path": site.path("shop.conf"), "template": template, "bytes_written": text.len()}));
    assert!(text.contains("server_name shop.example.com") && text.contains("disable_symlinks if_not_owner"), "{text}");
    let mut hostile = context.clone();
    hostile["document_root"] = json!("/var/www/x; } server { listen 81");
    assert_eq!(
        site.code("file.write_template", "bad.conf", json!({"template": template, "context": hostile})),
        "VALIDATION_ERROR"
    );
    for name in ["../secret", "/etc/shadow", "nginx/no-such"] {
        assert_eq!(
            site.code("file.write_template", "bad.conf", json!({"template": name, "context": context})),
            "VALIDATION_ERROR"
        );
    }
    assert!(!PathBuf::from(site.path("bad.conf")).exists());
    let record = site.daemon.audit().into_iter().next().unwrap();
    assert_eq!((&record["params"]["template"], &record["command"]), (&json!(template), &json!("file.write_template")));
}

#[test]
fn operators_templates_come_first_and_a_reload_renews_them() {
    let setup = Setup::new();
    fs::create_dir_all(setup.path("custom/mail")).unwrap();
    fs::create_dir(setup.path("templates")).unwrap();
    fs::write(setup.path("custom/mail/a.tera"), "custom {{ names | join(sep=\" \") }}{% if absent %}x{% endif %}\n")
        .unwrap();
    fs::write(setup.path("templates/b.tera"), "{{ n | default(value=7) }}").unwrap();
    let site = Site { folder: setup.path("site"), daemon: setup.start() };
    let write = |template: &str, context: Value| {
        site.code("file.write_template", "out", json!({"template": template, "context": context}))
    };
    assert_eq!(write("mail/a.tera", json!({"names": ["x", "y"]})), "ok");
    assert_eq!(fs::read_to_string(site.path("out")).unwrap(), "custom x y\n");
    assert_eq!(write("b.tera", json!([])), "ok");
    assert_eq!(fs::read_to_string(site.path("out")).unwrap(), "7");
    assert_eq!(write("mail/a.tera", json!({"names": ["x; y"]})), "VALIDATION_ERROR");
    fs::write(site.daemon.setup.path("custom/mail/a.tera"), "renewed").unwrap();
    reload(&site.daemon, "is in force");
    assert_eq!(write("mail/a.tera", json!({})), "ok");
    assert_eq!(fs::read_to_string(site.path("out")).unwrap(), "renewed");
    fs::write(site.daemon.setup.path("custom/mail/a.tera"), "{% if %}").unwrap();
    reload(&site.daemon, "old one stays in force");
    assert_eq!(write("mail/a.tera", json!({})), "ok");
    assert_eq!(fs::read_to_string(site.path("out")).unwrap(), "renewed");
}

/// Has the daemon reload and waits until its log says what came of it.
fn reload(daemon: &Daemon, word: &str) {
    let before = daemon.setup.log().matches(word).count();
    daemon.signal(nix::sys::signal::Signal::SIGHUP);
    daemon.setup.wait_for_log(word, before);
}

#[test]
fn without_an_audit_trail_nothing_is_done() {
    let site = site();
    assert_eq!(site.code("file.write", "one", json!({"content": "x"})), "ok");
    // The trail's file is swapped for one that takes nothing, and the daemon told to open it anew.
    let trail = site.daemon.setup.path("audit/audit.log");
    let limit = format!("--fsize={}", fs::metadata(&trail).unwrap().len());
    let pid = site.daemon.child.id().to_string();
    let limited = std::process::Command::new("prlimit").args(["--pid", &pid, &limit]).status();
    assert!(limited.unwrap().success());
    assert_eq!(site.code("file.write", "two", json!({"content": "x"})), "EXECUTION_ERROR");
    assert!(!PathBuf::from(site.path("two")).exists());
    assert_eq!(site.daemon.code("system.ping", &json!({})), "ok", "what leaves no record goes on");
}

#[test]
fn many_writers_of_one_path_leave_one_of_their_contents() {
    let site = site();
    std::thread::scope(|scope| {
        for writer in 0..8 {
            let (site, path) = (&site, site.path("contended"));
            scope.spawn(move || {
                let mut wire = site.daemon.connect();
                for _ in 0..20 {
                    let params = json!({"path": path, "content": format!("{writer}").repeat(20_000)});
                    let answer =
                        wire.ask(Request::new("file.write", &params.to_string()).sign(SECRET).as_bytes()).unwrap();
                    assert_eq!(answer["success"], true, "{answer}");
                }
            });
        }
        for _ in 0..200 {
            if let Ok(text) = fs::read(site.path("contended")) {
                assert!(text.len() == 20_000 && text.iter().all(|byte| *byte == text[0]), "half a file was seen");
            }
        }
    });
    assert!(site.is_clean());
    fs::set_permissions(site.path("contended"), Permissions::from_mode(0o600)).unwrap();
}
