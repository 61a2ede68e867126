//! An example for each command. A row without one fails the test below, and so does an example that isn't good.

/// A command's examples, as one writes them in a shell.
pub(crate) fn of(command: &str) -> &'static [&'static str] {
    EXAMPLES.iter().find(|(name, _)| *name == command).map_or(&[], |(_, examples)| examples)
}

const EXAMPLES: &[(&str, &[&str])] = &[
    ("system.ping", &["reeve system ping"]),
    ("system.metrics", &["reeve system metrics --json"]),
    (
        "file.write",
        &[
            "reeve file write /etc/nginx/conf.d/limits.conf --from limits.conf --mode 0644",
            "reeve file write /home/web1/.profile --from - --owner web1 --group web1",
        ],
    ),
    (
        "file.write_template",
        &[
            "reeve file write-template /etc/nginx/sites-available/example.com --template nginx/site.conf.tera --set site_name=example.com --set 'domains=[\"example.com\"]' --set document_root=/home/web1/public",
            "reeve file write-template /etc/redis/redis.conf --template services/redis.conf.tera --context '{\"port\": 6380}' --group redis --mode 640",
        ],
    ),
    ("file.delete", &["reeve file delete /etc/nginx/conf.d/limits.conf"]),
    (
        "file.mkdir",
        &["reeve file mkdir /home/web1/public --owner web1 --group 33", "reeve file mkdir /var/www/one --no-recursive"],
    ),
    ("file.chmod", &["reeve file chmod /var/www/one --mode 0750 --recursive"]),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::{self, Asked};
    use crate::exit::Trouble;
    use crate::parameter::{Sources, parameters};
    use reeve_shared::Request;
    use reeve_shared::command::TABLE;

    /// The words of a line for the shell that has no quotes but single ones.
    fn words(line: &str) -> Vec<String> {
        let (mut words, mut quoted) = (vec![String::new()], false);
        for c in line.chars() {
            match c {
                '\'' => quoted = !quoted,
                ' ' if !quoted => words.push(String::new()),
                _ => words.last_mut().unwrap().push(c),
            }
        }
        assert!(!quoted, "{line}");
        words
    }

    struct Text;
    impl Sources for Text {
        fn read(&mut self, name: &str) -> Result<String, Trouble> {
            Ok(format!("text of {name}\n"))
        }
    }

    fn json(line: &str) -> (String, String) {
        let matches = args::reeve().try_get_matches_from(words(line)).unwrap();
        let Asked::Row { row, matches } = args::asked(&matches) else { panic!("{line}: no row") };
        (row.name.to_owned(), parameters(row, matches, &mut Text).unwrap())
    }

    #[test]
    fn each_row_has_an_example_that_the_daemon_would_read() {
        for row in TABLE {
            assert!(!of(row.name).is_empty(), "{} has no example", row.name);
            for line in of(row.name) {
                let (command, params) = json(line);
                assert_eq!(command, row.name, "{line}");
                let mut json = serde_json::Deserializer::from_str(&params);
                let request = Request::parse(&command, &mut json).unwrap_or_else(|error| panic!("{line}: {error}"));
                assert!(request.is_ok(), "{line}");
            }
        }
        assert!(EXAMPLES.iter().all(|(name, _)| TABLE.iter().any(|row| row.name == *name)));
    }

    #[test]
    fn what_is_written_becomes_what_is_sent() {
        let sent = |line: &str| json(line).1;
        assert_eq!(sent("reeve system ping"), "{}");
        assert_eq!(sent("reeve file write /a --from -"), r#"{"path":"/a","content":"text of -\n"}"#);
        assert_eq!(
            sent("reeve file write --mode 644 --from f --group 0033 --owner 33 /a"),
            r#"{"path":"/a","content":"text of f\n","owner":33,"group":"0033","mode":"644"}"#
        );
        assert_eq!(sent("reeve file mkdir /a"), r#"{"path":"/a"}"#);
        assert_eq!(sent("reeve file mkdir /a --recursive"), r#"{"path":"/a","recursive":true}"#);
        assert_eq!(sent("reeve file mkdir /a --no-recursive"), r#"{"path":"/a","recursive":false}"#);
        assert_eq!(sent("reeve file mkdir /a --no-recursive --recursive"), r#"{"path":"/a","recursive":true}"#);
        let template = "reeve file write_template /a --template t";
        assert_eq!(sent(template), r#"{"path":"/a","template":"t","context":{}}"#);
        assert_eq!(
            sent(&format!("{template} --context '{{ \"b\":1.0, \"b\":2 }}'")),
            r#"{"path":"/a","template":"t","context":{ "b":1.0, "b":2 }}"#
        );
        assert_eq!(
            sent(&format!(
                "{template} --set a=80 --context '{{\"b\":1.0,\"a\":1}}' --set 'c=\"80\"' --set d=x=y --set e="
            )),
            r#"{"path":"/a","template":"t","context":{"b":1.0,"a":80,"c":"80","d":"x=y","e":""}}"#
        );
    }

    #[test]
    fn what_is_wrong_is_said() {
        let wrong = |line: &str| {
            let matches = args::reeve().try_get_matches_from(words(line)).map_err(|error| error.to_string())?;
            let Asked::Row { row, matches } = args::asked(&matches) else { panic!("{line}: no row") };
            parameters(row, matches, &mut Text).map_err(|trouble| trouble.text)
        };
        for (line, expected) in [
            ("reeve file write /a", "--from"),
            ("reeve file chmod --mode 644", "PATH"),
            ("reeve file chmod /a", "--mode"),
            ("reeve file wrte /a", "write"),
            ("reeve file write_template /a --template t --context {", "--context: EOF"),
            ("reeve file write_template /a --template t --set a", "--set \"a\": write"),
            ("reeve file write_template /a --template t --set a=1 --set a=2", "twice"),
            ("reeve file write_template /a --template t --set a=1 --context 7", "--context: invalid type"),
        ] {
            let text = wrong(line).unwrap_err();
            assert!(text.contains(expected), "{line}: {text}");
        }
    }
}
