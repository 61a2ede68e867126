//! Each key of each shipped template: what it takes beside what it refuses. Then operators' templates and the engine's bounds.
mod vectors;

use super::*;
use proptest::prelude::*;
use reeve_shared::command::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;
use vectors::{HOSTILE, Key, POOL, REDIS, ROWS, SITE, SITE_TLS, WRONG};

fn context(json: &str) -> BTreeMap<String, Value> {
    serde_json::from_str::<Context>(json).unwrap().0
}

fn values(json: &str) -> Vec<Value> {
    serde_json::from_str(json).unwrap()
}

fn request(template: &str, context: BTreeMap<String, Value>) -> TemplateRequest {
    TemplateRequest {
        path: "/etc/nginx/sites-available/a".try_into().unwrap(),
        template: template.try_into().unwrap(),
        context: Context(context),
        owner: None,
        group: None,
        mode: None,
    }
}

fn shipped(template: &str, context: BTreeMap<String, Value>) -> Result<String, Error> {
    static TEMPLATES: LazyLock<Templates> = LazyLock::new(|| Templates::new(&[]).unwrap());
    TEMPLATES.prepare(request(template, context)).map(|command| command.content.into())
}

fn with(least: &str, key: &str, value: Value) -> BTreeMap<String, Value> {
    let mut context = context(least);
    context.insert(key.to_owned(), value);
    context
}

/// A good value with something hostile before it, in it, and behind it.
fn mutations(good: &Value) -> Vec<Value> {
    match good {
        Value::Text(text) => HOSTILE
            .iter()
            .flat_map(|hostile| {
                let middle = text.len() / 2;
                let within = format!("{}{hostile}{}", &text[..middle], &text[middle..]);
                [format!("{hostile}{text}"), within, format!("{text}{hostile}")].map(Value::Text)
            })
            .collect(),
        Value::List(items) => (0..items.len())
            .flat_map(|at| {
                mutations(&items[at]).into_iter().map(move |item| {
                    let mut items = items.clone();
                    items[at] = item;
                    Value::List(items)
                })
            })
            .collect(),
        Value::Bool(_) | Value::Unsigned(_) | Value::Signed(_) | Value::Float(_) | Value::Object(_) => Vec::new(),
    }
}

#[test]
fn every_key_of_every_shipped_template_takes_its_own_and_refuses_the_hostile() {
    let names = |list: &mut dyn Iterator<Item = &str>| list.map(str::to_owned).collect::<BTreeSet<_>>();
    assert_eq!(names(&mut ROWS.iter().map(|row| row.template)), names(&mut SHIPPED.iter().map(|shipped| shipped.name)));
    for row in ROWS {
        let keys = SHIPPED.iter().find(|shipped| shipped.name == row.template).unwrap().keys;
        let tested = names(&mut row.keys.iter().copied().flatten().map(|key| key.name));
        assert_eq!(
            tested,
            names(&mut keys.iter().copied().flatten().copied()),
            "{}: a key without vectors",
            row.template
        );
        for Key { name, good, bad } in row.keys.iter().copied().flatten() {
            let (good, mut bad) = (values(good), values(bad));
            assert!(!good.is_empty() && !bad.is_empty(), "{name}");
            bad.extend(good.iter().flat_map(mutations));
            bad.extend(values(WRONG));
            for value in good {
                let result = shipped(row.template, with(row.least, name, value.clone()));
                assert!(result.is_ok(), "{}: {name}: {value:?}: {result:?}", row.template);
            }
            for value in bad {
                let error = shipped(row.template, with(row.least, name, value.clone()))
                    .expect_err(&format!("{name}: {value:?}"));
                assert_eq!(error.code(), reeve_shared::ErrorCode::ValidationError);
                assert!(matches!(&error, Error::Value { key, .. } if key == name), "{name}: {value:?}: {error}");
                assert!(error.to_string().is_ascii(), "{error}");
            }
        }
    }
}

#[test]
fn a_key_that_is_missing_or_unknown_is_named() {
    for row in ROWS {
        for key in context(row.least).keys() {
            let mut less = context(row.least);
            less.remove(key);
            let error = shipped(row.template, less).unwrap_err();
            assert!(matches!(&error, Error::MissingKey { key: missing, .. } if missing == key), "{error}");
        }
        let error = shipped(row.template, with(row.least, "php_sockets", Value::Bool(true))).unwrap_err();
        assert!(matches!(error, Error::UnknownKey { .. }) && error.to_string().contains("php_sockets"), "{error}");
    }
    assert!(matches!(shipped("nginx/other", BTreeMap::new()), Err(Error::UnknownTemplate(_))));
    // A part of a template is not one.
    assert!(matches!(shipped("nginx/content.conf.tera", context(ROWS[0].least)), Err(Error::UnknownTemplate(_))));
}

#[test]
fn a_site_with_php_must_say_where_php_is() {
    let mut site = with(ROWS[0].least, "php_enabled", Value::Bool(true));
    assert!(matches!(shipped(SITE, site.clone()), Err(Error::MissingKey { key: "php_socket", .. })));
    site.insert("php_socket".to_owned(), Value::Text("/run/php/a.sock".to_owned()));
    let text = shipped(SITE, site.clone()).unwrap();
    assert!(
        text.contains("fastcgi_pass unix:/run/php/a.sock;") && text.contains("fastcgi_read_timeout 300s;"),
        "{text}"
    );
    site.insert("php_enabled".to_owned(), Value::Bool(false));
    assert!(!shipped(SITE, site).unwrap().contains("fastcgi"));
}

#[test]
fn sites_carry_what_the_protocol_says() {
    for row in &ROWS[..2] {
        let text = shipped(row.template, context(row.least)).unwrap();
        let servers = text.matches("\nserver {").count();
        assert_eq!(text.matches("disable_symlinks if_not_owner from=$document_root;").count(), servers);
        assert_eq!(text.matches("listen [::]:").count(), servers);
        for line in text.lines().filter(|line| line.contains("_log ")) {
            assert!(line.contains(" /var/log/nginx/a."), "{line}");
        }
    }
    let tls = shipped(SITE_TLS, context(ROWS[1].least)).unwrap();
    assert!(tls.contains("ssl_protocols TLSv1.2 TLSv1.3;") && tls.contains("listen 443 ssl http2;"));
    let names = with(ROWS[0].least, "domains", values(r#"[["B.example", "a.b.", "b.example"]]"#).remove(0));
    assert!(shipped(SITE, names).unwrap().contains("server_name b.example a.b;"));
}

#[test]
fn a_pool_is_fitted_and_its_form_is_larger_than_its_file() {
    let text = shipped(POOL, context(ROWS[2].least)).unwrap();
    for line in ["group = \"web1\"", "pm.max_children = 5", "pm.start_servers = 2", "pm.max_requests = 500"] {
        assert!(text.contains(line), "{line} in {text}");
    }
    assert!(text.contains("\"exec,passthru,shell_exec,system,proc_open,popen\"") && !text.contains("none"), "{text}");
    let text = shipped(POOL, with(ROWS[2].least, "pm_max_children", Value::Unsigned(1))).unwrap();
    assert!(text.contains("pm.max_spare_servers = 1\n") && text.contains("pm.start_servers = 1\n"), "{text}");
    let mut wrong = with(ROWS[2].least, "pm_max_children", Value::Unsigned(2));
    wrong.insert("pm_start_servers".to_owned(), Value::Unsigned(3));
    assert!(matches!(shipped(POOL, wrong), Err(Error::Contradiction { .. })));
    let text = shipped(POOL, with(ROWS[2].least, "upload_max_filesize", Value::Text("64M".to_owned()))).unwrap();
    assert!(text.contains("[post_max_size] = \"66560K\""), "{text}");
    for none in [Value::List(vec![]), Value::Text(String::new())] {
        assert!(!shipped(POOL, with(ROWS[2].least, "disabled_functions", none)).unwrap().contains("disable_functions"));
    }
}

#[test]
fn a_password_is_in_the_file_and_in_no_message() {
    let text = shipped(REDIS, with("{}", "require_pass", Value::Text("swordfish".to_owned()))).unwrap();
    assert!(text.contains("requirepass \"swordfish\"\n"));
    for bad in [Value::Text("sword fish".to_owned()), Value::List(vec![Value::Text("swordfish".to_owned())])] {
        let error = shipped(REDIS, with("{}", "require_pass", bad)).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("fish"), "{error:?}");
    }
}

/// The operator's templates, in the order in which they count.
fn custom(templates: &[(&str, &str)]) -> Result<Templates, Error> {
    let template =
        |&(name, source): &(&str, &str)| Template { name: name.try_into().unwrap(), source: source.to_owned() };
    Templates::new(&templates.iter().map(template).collect::<Vec<_>>())
}

fn rendered(source: &str, json: &str) -> Result<String, Error> {
    let templates = custom(&[("a.tera", source), ("part.tera", "[{{ x | default(value=0) }}]\n")])?;
    templates.prepare(request("a.tera", context(json))).map(|command| command.content.into())
}

#[test]
fn operators_templates_written_for_tera_render_as_there() {
    for (source, json, expected) in [
        ("{{ a }}\n", r#"{"a": "x"}"#, "x\n"),
        ("{{ a }}{{ b }}{{ c }}", r#"{"a": 1, "b": true, "c": 1.5}"#, "1true1.5"),
        ("{{ a | join(sep=\",\") }}{{ a.0 == true }}", r#"{"a": [true, false]}"#, "true,falsetrue"),
        ("{{ a | join(sep=\" \") }}", r#"{"a": ["x", "y"]}"#, "x y"),
        ("{{ a | join(\"-\") }}{{ a | join }}", r#"{"a": ["x", "y"]}"#, "x-yxy"),
        ("{{ a | join(sep=\" \") }}", r#"{"a": []}"#, ""),
        ("{{ a | default(value=\"z\") }}{{ b | default(value=2) }}", r#"{"b": 1}"#, "z1"),
        ("{{ a | default(3) }}{{ a | default }}", "{}", "3"),
        ("{% if a %}x{% else %}y{% endif %}{% if not a %}z{% endif %}", "{}", "yz"),
        (
            "{# a comment #}{% for d in a %}{{ loop.index }}{{ d }}{% if not loop.last %},{% endif %}{% endfor %}",
            r#"{"a": ["x", "y"]}"#,
            "1x,2y",
        ),
        ("{% for d in a %}\n{{ d -}}\n{% endfor %}\n", r#"{"a": ["x"]}"#, "\nx\n"),
        ("{% set b = a ~ \"!\" %}{{ b | upper }}", r#"{"a": "x"}"#, "X!"),
        ("{{ a.b.c }}", r#"{"a": {"b": {"c": "<&>"}}}"#, "<&>"),
        ("{% include \"part.tera\" %}", r#"{"x": 7}"#, "[7]\n"),
        ("{% macro m(x) %}<{{ x }}>{% endmacro %}{{ m(x=a) }}", r#"{"a": 1}"#, "<1>"),
    ] {
        assert_eq!(rendered(source, json).unwrap(), expected, "{source}");
    }
    let templates = custom(&[
        ("base", "a{% block b %}b{% endblock %}c"),
        ("page", "{% extends \"base\" %}{% block b %}{{ x }}{% endblock %}"),
    ]);
    let command = templates.unwrap().prepare(request("page", context(r#"{"x": 1}"#))).unwrap();
    assert_eq!(String::from(command.content), "a1c");
}

#[test]
fn a_template_that_fails_is_refused_and_says_where() {
    for source in [
        "x\n{{ absent }}",
        "x\n{{ absent.b }}",
        "x\n{% for a in absent %}{% endfor %}",
        "x\n{% include \"/etc/shadow\" %}",
        "x\n{% include \"../part.tera\" %}",
        "x\n{{ 1 | unknown }}",
        "x\n{{ [1] | join(other=1) }}",
    ] {
        let error = rendered(source, "{}").unwrap_err();
        assert!(matches!(error, Error::Render { line: 2, .. }), "{source}: {error}");
        assert_eq!(error.code(), reeve_shared::ErrorCode::ValidationError);
    }
    let error = custom(&[("good", "x"), ("n/bad.tera", "x\n\n{% if %}")]).unwrap_err();
    assert!(error.to_string().starts_with("template \"n/bad.tera\" has an error in line 3: syntax error"), "{error}");
}

#[test]
fn a_template_without_end_is_stopped() {
    let endless = "{% for a in range(90000) %}{% for b in range(90000) %}{{ b }}{% endfor %}{% endfor %}";
    assert!(matches!(rendered(endless, "{}"), Err(Error::Render { .. })));
    assert!(matches!(rendered("{% include \"a.tera\" %}", "{}"), Err(Error::Render { .. })));
    assert!(matches!(rendered("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "{}"), Err(Error::Render { .. })));
    assert!(matches!(rendered("{{ \"x\" * 1000000000 }}", "{}"), Err(Error::Render { .. })));
    let doubling = format!("{{% set a = \"xxxxxxxx\" %}}{}{{{{ a }}}}", "{% set a = a ~ a %}".repeat(40));
    assert!(matches!(rendered(&doubling, "{}"), Err(Error::Render { .. })));
    let joined = "{{ range(90000) | join(sep=a) }}";
    let separator = format!(r#"{{"a": "{}"}}"#, "x".repeat(1000));
    assert!(matches!(rendered(joined, &separator), Err(Error::Render { .. })));
    let long = "x".repeat(200_000);
    let too_long = format!("{{% for a in range(100) %}}{long}{{% endfor %}}");
    assert_eq!(rendered(&too_long, "{}"), Err(Error::TooLong("a.tera".to_owned())));
    let fits = format!("{{% for a in range(80) %}}{long}{{% endfor %}}");
    assert_eq!(rendered(&fits, "{}").unwrap().len(), 16_000_000);
}

#[test]
fn an_operators_template_hides_a_shipped_one_and_is_custom_in_every_respect() {
    let templates = custom(&[
        (SITE, "first {{ any }}"),
        (SITE, "{% broken"),
        ("own", "{% include \"nginx/site-ssl.conf.tera\" %}"),
    ]);
    let templates = templates.unwrap();
    let command = templates.prepare(request(SITE, context(r#"{"any": "thing"}"#))).unwrap();
    assert_eq!(String::from(command.content), "first thing");
    assert!(templates.prepare(request(SITE, context(r#"{"any": "a;b"}"#))).is_err());
    // The other shipped ones stand as they are, even when a part of theirs is hidden.
    let templates = custom(&[("nginx/content.conf.tera", "hidden")]).unwrap();
    let command = templates.prepare(request(SITE, context(ROWS[0].least))).unwrap();
    assert!(String::from(command.content).contains("root /home/a/www;"));
}

#[test]
fn a_value_of_an_operators_template_has_no_character_that_means_something() {
    let nested = |value: &Value| {
        [
            BTreeMap::from([("a".to_owned(), value.clone())]),
            BTreeMap::from([("a".to_owned(), Value::List(vec![Value::Bool(true), value.clone()]))]),
            BTreeMap::from([("a".to_owned(), Value::Object(BTreeMap::from([("b".to_owned(), value.clone())])))]),
        ]
    };
    let templates = custom(&[("a.tera", "x")]).unwrap();
    let taken = |context| templates.prepare(request("a.tera", context)).is_ok();
    for good in values(r#"["x y", "", "é/ü", "a#b&c|d<e>f*g?h[i]j(k)l=m!n%o,p:q@r+s-t~u^v", -1, 1.5, true, [], {}]"#)
    {
        assert!(nested(&good).into_iter().all(taken), "{good:?}");
    }
    for bad in "\n\r\t\0\u{7f}\u{85}\u{9b};{}`$\"'\\".chars() {
        for text in [format!("{bad}"), format!("a{bad}b")] {
            assert!(!nested(&Value::Text(text.clone())).into_iter().any(taken), "{text:?}");
            let as_key = BTreeMap::from([(text, Value::Bool(true))]);
            assert!(!taken(as_key.clone()) && !nested(&Value::Object(as_key)).into_iter().any(taken));
        }
    }
}

/// A value of any kind, mostly of characters that the grammars know.
fn any_value() -> impl Strategy<Value = Value> {
    let text = prop_oneof![
        "[ -~\n]{0,12}",
        "/(home|etc|run|var/www)/[a-z.*/]{1,8}(\\.sock|\\.conf)?",
        "[a-z]{1,6}(\\.[a-z]{2,3})?"
    ];
    let leaf = prop_oneof![
        any::<bool>().prop_map(Value::Bool),
        (0_u64..100_000).prop_map(Value::Unsigned),
        text.prop_map(Value::Text)
    ];
    leaf.prop_recursive(2, 8, 3, |inner| proptest::collection::vec(inner, 0..3).prop_map(Value::List))
}

proptest! {
    /// What is accepted changes words, and not the shape: the lines of the file begin as those of the least context's do, or as
    /// some line of the template's own text does.
    #[test]
    fn an_accepted_value_adds_no_line_of_its_own(row in 0..ROWS.len(), key in any::<prop::sample::Index>(), value in any_value()) {
        let row = &ROWS[row];
        let keys: Vec<_> = row.keys.iter().copied().flatten().collect();
        let key = keys[key.index(keys.len())].name;
        if let Ok(text) = shipped(row.template, with(row.least, key, value)) {
            let sources = SHIPPED.iter().map(|shipped| shipped.source).chain(PARTS.iter().map(|(_, source)| *source));
            let words: BTreeSet<&str> = sources.flat_map(|source| source.split([' ', '\n', '{', '%'])).collect();
            for line in text.lines() {
                let first = line.split_whitespace().next().unwrap_or("}");
                prop_assert!(words.contains(first) || first.starts_with('['), "{line}");
                prop_assert!(line.is_ascii());
            }
            prop_assert_eq!(text.matches('{').count(), text.matches('}').count());
        }
    }
}
