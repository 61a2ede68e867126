use super::*;
use crate::scene::{self, TENANT};
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use tempfile::TempDir;

fn write(folder: &TempDir, name: &str, content: impl AsRef<[u8]>, mode: u32) -> PathBuf {
    let path = folder.path().join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, content).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
    path
}

fn scene() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn templates(folder: &TempDir) -> Result<Vec<Template>, Error> {
    let mut templates = Templates::default();
    templates.read_folder(folder.path())?;
    Ok(templates.finish())
}

fn names(folder: &TempDir) -> Vec<String> {
    templates(folder).unwrap().into_iter().map(|template| template.name.into()).collect()
}

fn refused(folder: &TempDir) -> String {
    templates(folder).unwrap_err().to_string()
}

#[test]
fn a_secret_is_a_file_of_roots_that_nobody_else_can_read() {
    let folder = scene();
    let secret = write(&folder, "secret", [b'a'; 32], 0o600);
    for good in [0o600, 0o400] {
        fs::set_permissions(&secret, Permissions::from_mode(good)).unwrap();
        assert_eq!(read_secret(&secret).unwrap().expose(), [b'a'; 32]);
    }
    for bad in [0o640, 0o604, 0o700, 0o200, 0o000, 0o4600, 0o660, 0o666] {
        fs::set_permissions(&secret, Permissions::from_mode(bad)).unwrap();
        // An ordinary user can't even open some of them.
        let error = read_secret(&secret).unwrap_err().to_string();
        assert!(
            error.contains("secret") && (error.contains("chmod 600") || error.contains("opening it")),
            "{bad:o}: {error}"
        );
    }
    if scene::as_root() {
        fs::set_permissions(&secret, Permissions::from_mode(0o600)).unwrap();
        chown(&secret, Some(TENANT), None).unwrap();
        assert!(read_secret(&secret).unwrap_err().to_string().contains("chown root"));
    }
}

#[test]
fn a_secret_has_32_bytes_or_more_without_one_line_feed() {
    let folder = scene();
    let length =
        |content: &[u8]| read_secret(&write(&folder, "secret", content, 0o600)).map(|secret| secret.expose().len());
    let a = |count: usize| vec![b'a'; count];
    assert_eq!(length(&a(32)).unwrap(), 32);
    assert_eq!(length(&[a(32), b"\n".to_vec()].concat()).unwrap(), 33, "kept whole: clients sign with either");
    assert_eq!(length(&a(4096)).unwrap(), 4096);
    assert_eq!(length(&[a(30), b"\n\n\n".to_vec()].concat()).unwrap(), 33, "one line feed, not three");
    for bad in [vec![], a(31), [a(31), b"\n".to_vec()].concat()] {
        let error = length(&bad).unwrap_err().to_string();
        assert!(error.contains("openssl rand") && !error.contains("aaa"), "{error}");
    }
    assert!(length(&a(4097)).unwrap_err().to_string().contains("longer"));
}

#[test]
fn a_link_a_folder_and_a_fifo_are_no_secret() {
    let folder = scene();
    let secret = write(&folder, "secret", [b'a'; 32], 0o600);
    let path = |name: &str| folder.path().join(name);
    symlink(&secret, path("link")).unwrap();
    fs::create_dir(path("folder")).unwrap();
    fs::set_permissions(path("folder"), Permissions::from_mode(0o600)).unwrap();
    nix::unistd::mkfifo(&path("fifo"), Mode::from_bits_truncate(0o600)).unwrap();
    for (name, why) in
        [("link", "symlink"), ("folder", "no regular file"), ("fifo", "no regular file"), ("absent", "No such")]
    {
        let error = read_secret(&path(name)).unwrap_err().to_string();
        assert!(error.contains(why) && error.contains(name), "{error}");
    }
    // A link further up is the host's own affair.
    symlink(folder.path(), path("up")).unwrap();
    assert!(read_secret(&path("up/secret")).is_ok());
}

#[test]
fn templates_are_named_by_their_place() {
    let folder = scene();
    for name in
        ["a.tera", "nginx/site.conf.tera", "nginx/x/y/z.tera", ".hidden", "nginx/.git/config", "a.tera~", "with space"]
    {
        write(&folder, name, name, 0o644);
    }
    assert_eq!(names(&folder), ["a.tera", "nginx/site.conf.tera", "nginx/x/y/z.tera"]);
    let mut absent = Templates::default();
    absent.read_folder(&folder.path().join("absent")).unwrap();
    assert_eq!(absent.finish(), []);
}

#[test]
fn template_symlink_to_shadow_is_refused() {
    let folder = scene();
    write(&folder, "a.tera", "a", 0o644);
    let link = folder.path().join("shadow.tera");
    for target in [Path::new("/etc/shadow"), Path::new("/nowhere"), &folder.path().join("a.tera")] {
        symlink(target, &link).unwrap();
        let error = refused(&folder);
        assert!(error.contains("symlink") && error.contains("shadow.tera"), "{error}");
        fs::remove_file(&link).unwrap();
    }
    symlink("/etc", folder.path().join("sub")).unwrap();
    assert!(refused(&folder).contains("sub"));
    fs::remove_file(folder.path().join("sub")).unwrap();
    assert_eq!(names(&folder), ["a.tera"]);
    symlink(folder.path(), folder.path().with_extension("link")).unwrap();
    let mut linked = Templates::default();
    assert!(linked.read_folder(&folder.path().with_extension("link")).unwrap_err().to_string().contains("symlink"));
    fs::remove_file(folder.path().with_extension("link")).unwrap();
}

#[test]
fn templates_that_others_can_write_are_refused() {
    let folder = scene();
    let file = write(&folder, "sub/a.tera", "a", 0o644);
    let sub = folder.path().join("sub");
    for path in [&file, &sub, &folder.path().to_owned()] {
        let before = fs::metadata(path).unwrap().permissions();
        for bad in [0o20, 0o2] {
            fs::set_permissions(path, Permissions::from_mode(before.mode() | bad)).unwrap();
            let error = refused(&folder);
            assert!(error.contains("chmod go-w") && error.contains(path.to_str().unwrap()), "{error}");
        }
        fs::set_permissions(path, before).unwrap();
        assert_eq!(names(&folder), ["sub/a.tera"]);
    }
    if scene::as_root() {
        chown(&file, Some(TENANT), None).unwrap();
        assert!(refused(&folder).contains("chown root"));
    }
}

#[test]
fn templates_are_bounded_in_size_number_and_depth() {
    let folder = scene();
    let large = "x".repeat(256 << 10);
    write(&folder, "a.tera", &large, 0o644);
    assert_eq!(templates(&folder).unwrap().first().map(|template| template.source.len()), Some(256 << 10));
    write(&folder, "a.tera", format!("{large}x"), 0o644);
    assert!(refused(&folder).contains("longer than 262144 bytes"));
    write(&folder, "a.tera", b"\xff", 0o644);
    assert!(refused(&folder).contains("UTF-8"));
    write(&folder, "a.tera", "", 0o644);
    for number in 1..1024 {
        write(&folder, &format!("{number}.tera"), "", 0o644);
    }
    assert_eq!(templates(&folder).unwrap().len(), 1024);
    write(&folder, "one-more.tera", "", 0o644);
    assert!(refused(&folder).contains("one too many"));

    let total = scene();
    for number in 0..48 {
        write(&total, &format!("{number}.tera"), &large, 0o644);
    }
    assert_eq!(templates(&total).unwrap().len(), 48);
    write(&total, "48.tera", "x", 0o644);
    assert!(refused(&total).contains("one too many"));

    let deep = scene();
    write(&deep, "1/2/3/4/5/6/7/8/a.tera", "", 0o644);
    assert_eq!(templates(&deep).unwrap().len(), 1);
    write(&deep, "1/2/3/4/5/6/7/8/9/a.tera", "", 0o644);
    assert!(refused(&deep).contains("folders deep"));
}

#[test]
fn a_fifo_and_a_socket_among_the_templates_are_refused_at_once() {
    let folder = scene();
    nix::unistd::mkfifo(&folder.path().join("fifo.tera"), Mode::from_bits_truncate(0o644)).unwrap();
    assert!(refused(&folder).contains("fifo.tera"));
    fs::remove_file(folder.path().join("fifo.tera")).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(folder.path().join("socket.tera")).unwrap();
    assert!(refused(&folder).contains("socket.tera"));
}

#[test]
fn a_path_on_the_command_line_becomes_absolute() {
    let folder = scene();
    let real = folder.path().canonicalize().unwrap();
    symlink("/etc/hosts", folder.path().join("link")).unwrap();
    let of = |path: &Path| absolute(path).unwrap().to_string();
    assert_eq!(
        of(&folder.path().join("../").join(folder.path().file_name().unwrap()).join("link")),
        real.join("link").to_str().unwrap()
    );
    assert_eq!(of(Path::new("x")), std::env::current_dir().unwrap().join("x").to_str().unwrap());
    assert!(absolute(Path::new("/")).is_err() && absolute(Path::new("/no/such/x")).is_err());
}
