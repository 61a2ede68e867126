//! Over the whole table: each row has a request that is accepted, and what is refused beside it.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test")]
use reeve_shared::command::{
    Context, FileWriteTemplate, Kind, MetricsRequest, Recorded, SystemMetrics, TABLE, TemplateRequest,
};
use reeve_shared::{Command, Content, Prepare, Request};
use serde_json::{Value, json};
use std::collections::HashSet;

/// A request of each command with all of its parameters.
fn vectors() -> Vec<(&'static str, Value)> {
    vec![
        ("system.ping", json!({})),
        ("system.metrics", json!({})),
        ("file.write", json!({"path": "/home/a/b", "content": "text", "owner": "root", "group": 33, "mode": "0644"})),
        (
            "file.write_template",
            json!({"path": "/home/a/b", "template": "a.tera", "context": {"k": 1}, "owner": 0, "group": "adm", "mode": "600"}),
        ),
        ("file.delete", json!({"path": "/home/a/b"})),
        ("file.mkdir", json!({"path": "/home/a/b", "owner": 1, "group": 1, "mode": "755", "recursive": false})),
        ("file.chmod", json!({"path": "/home/a/b", "mode": "0600", "recursive": true})),
    ]
}

fn parse(name: &str, params: &Value) -> Result<Request, String> {
    let text = params.to_string();
    match Request::parse(name, &mut serde_json::Deserializer::from_str(&text)) {
        Ok(request) => request.map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    }
}

struct Desk;
impl Prepare for Desk {
    type Error = String;
    fn system_metrics(&self, _: MetricsRequest) -> Result<SystemMetrics, String> {
        let [uptime_seconds, requests_total, requests_failed, active_connections, nonce_store_size] = [1, 2, 3, 4, 5];
        Ok(SystemMetrics { uptime_seconds, requests_total, requests_failed, active_connections, nonce_store_size })
    }
    fn file_write_template(&self, request: TemplateRequest) -> Result<FileWriteTemplate, String> {
        let TemplateRequest { path, template, context: Context(values), owner, group, mode } = request;
        let content = Content::try_from(format!("{values:?}")).unwrap();
        Ok(FileWriteTemplate { path, template, content, owner, group, mode })
    }
}

#[test]
fn every_row_has_a_vector_with_all_of_its_parameters() {
    let vectors = vectors();
    assert_eq!(
        vectors.iter().map(|(name, _)| *name).collect::<Vec<_>>(),
        TABLE.iter().map(|row| row.name).collect::<Vec<_>>()
    );
    for (row, (_, params)) in TABLE.iter().zip(&vectors) {
        let given: HashSet<_> = params.as_object().unwrap().keys().map(String::as_str).collect();
        let known: HashSet<_> = row.parameters.iter().map(|parameter| parameter.name).collect();
        assert_eq!(given, known, "{}", row.name);
        assert!(!row.summary.is_empty() && row.parameters.iter().all(|parameter| !parameter.summary.is_empty()));
    }
}

#[test]
fn each_vector_is_read_and_crosses_the_link_unchanged() {
    for (name, params) in vectors() {
        let request = parse(name, &params).unwrap();
        assert_eq!(request.row().name, name);
        let command = request.prepare(&Desk).unwrap();
        assert_eq!(command.row().name, name);
        let wire = bincode::serialize(&command).unwrap();
        assert_eq!(bincode::deserialize::<Command>(&wire).unwrap(), command);
    }
}

#[test]
fn required_parameters_must_be_there_and_the_others_need_not() {
    for (row, (name, params)) in TABLE.iter().zip(vectors()) {
        for parameter in row.parameters {
            let mut fewer = params.clone();
            fewer.as_object_mut().unwrap().remove(parameter.name);
            assert_eq!(parse(name, &fewer).is_err(), parameter.required, "{name} without {}", parameter.name);
        }
    }
}

#[test]
fn null_unknown_and_mistyped_parameters_are_refused_everywhere() {
    for (row, (name, params)) in TABLE.iter().zip(vectors()) {
        let with = |key: &str, value: Value| {
            let mut changed = params.clone();
            changed[key] = value;
            parse(name, &changed)
        };
        assert!(with("unknown", json!(1)).unwrap_err().contains("unknown"), "{name}");
        for parameter in row.parameters {
            assert!(with(parameter.name, Value::Null).is_err(), "{name} {}", parameter.name);
            let mistyped = match parameter.kind {
                Kind::Path | Kind::Content | Kind::Mode | Kind::Name => json!(7),
                Kind::Owner => json!(1.5),
                Kind::Flag | Kind::Number => json!("yes"),
                Kind::Object => json!([1]),
            };
            assert!(with(parameter.name, mistyped).is_err(), "{name} {}", parameter.name);
        }
        assert!(
            parse(name, &json!([])).is_err() || row.parameters.iter().all(|parameter| !parameter.required),
            "{name}"
        );
    }
    assert!(parse("no.such", &json!({})).unwrap_err().contains("no.such"));
}

#[test]
fn what_is_recorded_has_every_parameter_and_contents_only_as_such() {
    for (name, params) in vectors() {
        let command = parse(name, &params).unwrap().prepare(&Desk).unwrap();
        for (parameter, recorded) in command.recorded() {
            assert_eq!(parameter == "content", matches!(recorded, Recorded::Content(_)), "{name} {parameter}");
        }
    }
}
