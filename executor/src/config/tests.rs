use super::*;
use crate::scene;
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};

/// A folder with a configuration, a secret and a template.
struct Host(tempfile::TempDir);

impl Host {
    fn new(more: &str) -> Self {
        let host = Self(tempfile::tempdir().unwrap());
        fs::create_dir(host.path("templates")).unwrap();
        host.write("templates/a.tera", "a", 0o644);
        host.write("secret", "0123456789abcdef0123456789abcdef\n", 0o600);
        host.configure(more);
        host
    }
    fn path(&self, name: &str) -> std::path::PathBuf {
        self.0.path().join(name)
    }
    fn write(&self, name: &str, text: &str, mode: u32) {
        fs::write(self.path(name), text).unwrap();
        fs::set_permissions(self.path(name), Permissions::from_mode(mode)).unwrap();
    }
    fn configure(&self, more: &str) {
        let security = if more.contains("[security]") { "" } else { "[security]\n" };
        let text = format!(
            "[frontend]\nuser = 65531\n[paths]\ntemplates_dir = {:?}\ncustom_templates_dir = {:?}\n{more}\n{security}hmac_secret_path = {:?}\n",
            self.path("templates"),
            self.path("custom"),
            self.path("secret")
        );
        self.write("reeve.toml", &text, 0o644);
    }
    fn load(&self) -> Result<Loaded, Error> {
        Loaded::read(&self.path("reeve.toml"))
    }
}

#[test]
fn what_is_loaded_is_what_the_frontend_is_told() {
    let host = Host::new("[security]\nallowed_uids = [1000]");
    fs::create_dir(host.path("custom")).unwrap();
    host.write("custom/b.tera", "b", 0o644);
    host.write("custom/a.tera", "the operator's", 0o600);
    let loaded = host.load().unwrap();
    let setup = loaded.setup(loaded.config.policy(&loaded.file, &[]).unwrap(), true);
    assert!(setup.chroot && setup.policy.allowed_uids().contains(&1000));
    assert_eq!(setup.secrets.first().unwrap().expose(), b"0123456789abcdef0123456789abcdef\n");
    let templates: Vec<_> = setup.templates.iter().map(|t| (t.name.as_str(), t.source.as_str())).collect();
    assert_eq!(templates, [("a.tera", "the operator's"), ("b.tera", "b")]);
    assert_eq!((setup.log_level.as_str(), setup.limits.max_connections), ("info", 128));
}

#[test]
fn what_reeve_stands_on_is_protected() {
    let host = Host::new("[audit]\nlog_path = \"/var/log/reeve/trail/audit.log\"");
    let path = |path: &str| AbsolutePath::try_from(path).unwrap();
    let loaded = host.load().unwrap();
    let protected: Vec<_> =
        loaded.config.policy(&loaded.file, &[path("/opt/reeve/reeve-executor")]).unwrap().protected_paths().collect();
    for own in [
        "/run/reeve/reeve.sock",
        "/var/lib/reeve",
        "/run/reeve/private",
        "/var/log/reeve/trail",
        "/opt/reeve/reeve-executor",
        "/lib/systemd/system/reeve.service",
    ] {
        assert!(protected.contains(&path(own)), "{own}");
    }
    for own in ["reeve.toml", "secret", "templates", "custom"] {
        let own = host.path(own).canonicalize().unwrap_or(host.path(own));
        assert!(protected.contains(&path(own.to_str().unwrap())), "{own:?}");
    }
    assert!(!protected.contains(&path("/var/log/reeve")));
}

#[test]
fn a_configuration_that_others_can_write_or_that_is_a_link_is_refused() {
    let host = Host::new("");
    let mode = |mode| fs::set_permissions(host.path("reeve.toml"), Permissions::from_mode(mode)).unwrap();
    for good in [0o400, 0o600, 0o640, 0o644, 0o444] {
        mode(good);
        assert!(host.load().is_ok(), "{good:o}: {:?}", host.load());
    }
    for bad in [0o620, 0o602, 0o666] {
        mode(bad);
        let error = host.load().unwrap_err().to_string();
        assert!(error.contains("reeve.toml") && error.contains("chmod go-w"), "{error}");
    }
    mode(0o644);
    symlink(host.path("reeve.toml"), host.path("link.toml")).unwrap();
    let error = Loaded::read(&host.path("link.toml")).unwrap_err().to_string();
    assert!(error.contains("symlink") && error.contains("link.toml"), "{error}");
}

#[test]
fn the_frontends_user_is_its_own() {
    if !scene::as_root() {
        return;
    }
    let host = Host::new("");
    let with = |user: &str, allowed: &str| {
        let text = fs::read_to_string(host.path("reeve.toml")).unwrap();
        let text = text.replace("user = 65531", &format!("user = {user}"));
        host.write("other.toml", &format!("{text}allowed_uids = [{allowed}]\n"), 0o644);
        Loaded::read(&host.path("other.toml"))
    };
    assert_eq!(with("65531", "1000").unwrap().account, Some(Account { uid: 65_531, gid: 65_531 }));
    let daemon = with("\"daemon\"", "1000").unwrap().account;
    assert_eq!(daemon, Some(Account { uid: 1, gid: 1 }));
    for (user, allowed, named) in [
        ("0", "", "root"),
        ("\"root\"", "", "root"),
        ("65534", "", "nobody"),
        ("\"nobody\"", "", "nobody"),
        ("\"www-data\"", "", "web server"),
        ("33", "", "web server"),
        ("65531", "1000, 65531", "allowed_uids"),
        ("\"no-such-account\"", "", "useradd"),
    ] {
        let error = with(user, allowed).unwrap_err().to_string();
        assert!(error.contains(named) && error.contains("frontend.user"), "{user}: {error}");
    }
}

#[test]
fn a_reload_keeps_what_only_a_restart_changes() {
    let host = Host::new("[logging]\nlevel = \"info\"");
    let first = host.load().unwrap();
    host.configure(
        "run_dir = \"/x/run\"\n[socket]\npath = \"/x/sock\"\n[audit]\nenabled = false\n[logging]\nlevel = \"debug\"\n[limits]\nmax_connections = 7\nmax_message_size = 4096",
    );
    host.write("secret", "another secret of thirty-two bytes or more", 0o600);
    host.write("templates/c.tera", "c", 0o644);
    let second = first.read_again().unwrap();
    assert_eq!(
        (&second.config.socket, &second.config.paths, &second.config.audit),
        (&first.config.socket, &first.config.paths, &first.config.audit)
    );
    assert_eq!((second.config.limits.max_connections, second.config.limits.max_message_size), (128, 4096));
    assert_eq!((second.config.logging.level, second.templates.len(), second.account), (Level::Debug, 2, first.account));
    assert_ne!(second.secrets.first().unwrap().expose(), first.secrets.first().unwrap().expose());
    host.write("secret", "short", 0o600);
    assert!(second.read_again().is_err());
    host.write("secret", "another secret of thirty-two bytes or more", 0o600);
    host.configure("[security]\nallowed_uids = [65531]");
    assert_eq!(second.read_again().is_err(), second.account.is_some());
}
