use super::*;

fn parse(text: &str) -> Result<Config, Error> {
    Config::parse(Path::new("/x/reeve.toml"), text)
}
fn refused(text: &str) -> String {
    parse(text).unwrap_err().to_string()
}

#[test]
fn an_empty_file_gives_the_defaults() {
    let Config { socket, security, limits, frontend, paths, audit, logging, ssl, whitelists } = parse("").unwrap();
    assert_eq!(socket.path.as_str(), "/run/reeve/reeve.sock");
    assert_eq!(
        (socket.permissions.bits(), socket.owner.to_string().as_str(), socket.group.to_string().as_str()),
        (0o660, "root", "root")
    );
    assert_eq!(security.hmac_secret_path.as_str(), "/etc/reeve/hmac.secret");
    assert!(security.allowed_uids.is_empty());
    assert_eq!((security.max_request_age_seconds, security.nonce_ttl_seconds), (60, 300));
    assert_eq!((security.rate_limit_requests, security.rate_limit_window_seconds), (100, 60));
    assert_eq!((limits.max_concurrent_requests, limits.max_connections, limits.max_message_size), (10, 128, 1_048_576));
    assert_eq!((limits.socket_timeout_seconds, limits.default_timeout_seconds), (30, 60));
    assert_eq!(frontend.user.to_string(), "reeve");
    assert_eq!((paths.state_dir.as_str(), paths.run_dir.as_str()), ("/var/lib/reeve", "/run/reeve/private"));
    assert_eq!(paths.templates_dir.as_str(), "/usr/share/reeve/templates");
    assert_eq!(paths.custom_templates_dir.as_str(), "/etc/reeve/templates");
    assert_eq!((audit.enabled, audit.log_path.as_str()), (true, "/var/log/reeve/audit.log"));
    assert_eq!((logging.level, logging.format, ssl.acme_server.as_str()), (Level::Info, Format::Pretty, ""));
    assert_eq!(whitelists, Whitelists::default());
}

#[test]
fn every_key_can_be_set_and_the_shipped_example_names_each() {
    let all = include_str!("../../../systemd/reeve.toml");
    assert_eq!(parse(all).unwrap(), parse("").unwrap(), "the example gives the defaults");
    // Each line that is commented out is a setting with its default; all of them together are one as well.
    let mut sections = toml::Table::new();
    let open: String = all
        .lines()
        .map(|line| format!("{}\n", line.strip_prefix('#').filter(|rest| !rest.starts_with(' ')).unwrap_or(line)))
        .collect();
    assert_eq!(parse(&open).unwrap(), parse("").unwrap());
    sections.extend(open.parse::<toml::Table>().unwrap());
    let keys: usize = sections.values().map(|section| section.as_table().unwrap().len()).sum();
    assert_eq!((sections.len(), keys), (9, 4 + 6 + 5 + 1 + 4 + 2 + 2 + 1 + 7));
}

#[test]
fn numbers_and_names_are_owners_and_the_old_name_of_allowed_uids_works() {
    let config = parse("[socket]\nowner = 33\ngroup = \"www-data\"\n[security]\nallowed_peer_uids = [33, 1000]\n[frontend]\nuser = \"65531\"").unwrap();
    assert_eq!((config.socket.owner, config.socket.group.to_string()), (Owner::Id(33), "www-data".to_owned()));
    assert_eq!(config.security.allowed_uids, BTreeSet::from([33, 1000]));
    assert_eq!(config.frontend.user, Owner::Id(65_531));
    assert!(refused("[security]\nallowed_uids = []\nallowed_peer_uids = []").contains("duplicate"));
}

#[test]
fn an_unknown_key_is_named_with_its_line() {
    for (text, parts) in [
        ("[socket]\n# a\npath = \"/a/b\"\nmode = \"0660\"\n", ["/x/reeve.toml", "line 4", "mode"]),
        ("\n[sockets]\n", ["/x/reeve.toml", "line 2", "sockets"]),
        ("[whitelists]\nadditional_users = []", ["/x/reeve.toml", "line 2", "additional_users"]),
        ("debug = true", ["/x/reeve.toml", "line 1", "debug"]),
    ] {
        let error = refused(text);
        assert!(parts.iter().all(|part| error.contains(part)), "{error}");
    }
}

#[test]
fn what_is_no_toml_or_of_another_type_is_refused_with_its_line() {
    for (text, line) in [
        ("[socket\n", "line 1"),
        ("[socket]\npath = 7", "line 2"),
        ("[socket]\npath = \"relative\"", "line 2"),
        ("[socket]\npermissions = \"4755\"", "line 2"),
        ("[socket]\nowner = -1", "line 2"),
        ("[socket]\nowner = 4294967295", "line 2"),
        ("[security]\n\nallowed_uids = [-1]", "line 3"),
        ("[security]\nallowed_uids = [4294967296]", "line 2"),
        ("[limits]\nmax_connections = \"many\"", "line 2"),
        ("[logging]\nlevel = \"loud\"", "line 2"),
        ("[whitelists]\nadditional_services = [\"-x\"]", "line 2"),
        ("[whitelists]\nadditional_path_prefixes = [\"/\"]", "line 2"),
        ("[socket]\npath = \"/a\"\npath = \"/b\"", "line 3"),
    ] {
        let error = refused(text);
        assert!(error.contains(line), "{text}: {error}");
    }
}

#[test]
fn each_bound_is_kept_and_its_message_names_key_value_and_mend() {
    for (section, key, least, most) in [
        ("security", "max_request_age_seconds", 1, 86_400),
        ("security", "nonce_ttl_seconds", 121, 604_800),
        ("security", "rate_limit_requests", 1, 1_000_000),
        ("security", "rate_limit_window_seconds", 1, 86_400),
        ("limits", "max_concurrent_requests", 1, 256),
        ("limits", "max_connections", 2, 16_384),
        ("limits", "max_message_size", 1024, 16_777_216),
        ("limits", "socket_timeout_seconds", 1, 3600),
        ("limits", "default_timeout_seconds", 1, 86_400),
    ] {
        let with = |value: u64| {
            // A nonce that lives for a week lets every age pass.
            let ttl = if key == "max_request_age_seconds" { "nonce_ttl_seconds = 604800\n" } else { "" };
            parse(&format!("[{section}]\n{ttl}{key} = {value}\n"))
        };
        for good in [least, most] {
            assert!(with(good).is_ok(), "{key} = {good}: {:?}", with(good));
        }
        for bad in [least - 1, most + 1] {
            let error = with(bad).unwrap_err().to_string();
            assert!(error.contains(key) && error.contains(&bad.to_string()) && error.contains("set it to"), "{error}");
        }
    }
}

#[test]
fn a_nonce_outlives_the_request_that_it_guards() {
    let with =
        |age: u64, ttl: u64| parse(&format!("[security]\nmax_request_age_seconds = {age}\nnonce_ttl_seconds = {ttl}"));
    assert!(with(300, 361).is_ok());
    let error = with(300, 360).unwrap_err().to_string();
    assert!(error.contains("nonce_ttl_seconds = 360") && error.contains("361"), "{error}");
}

#[test]
fn settings_that_do_not_go_together_are_refused() {
    for (good, bad) in [
        ("[socket]\npath = \"/run/reeve/s\"", "[socket]\npath = \"/run/reeve/private/s\""),
        ("[paths]\nrun_dir = \"/var/lib/reeves\"", "[paths]\nrun_dir = \"/var/lib/reeve/run\""),
        ("[ssl]\nacme_server = \"https://localhost:14000/dir\"", "[ssl]\nacme_server = \"--staging\""),
        ("[ssl]\nacme_server = \"\"", "[ssl]\nacme_server = \"https://a b\""),
        ("[security]\nallowed_uids = [4294967294]", "[security]\nallowed_uids = [4294967295]"),
    ] {
        assert!(parse(good).is_ok(), "{good}: {:?}", parse(good));
        assert!(parse(bad).is_err(), "{bad}");
    }
    let long = |length| parse(&format!("[socket]\npath = \"/{}\"", "a".repeat(length)));
    assert!(long(106).is_ok() && long(107).is_err());
}
