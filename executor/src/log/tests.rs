use super::*;
use std::time::UNIX_EPOCH;

const NOW: Timestamp = Timestamp(UNIX_EPOCH);

fn line(message: &str, fields: Vec<(&'static str, Value)>) -> Line {
    Line { from: None, message: message.to_owned(), fields }
}

fn text(value: &str) -> Value {
    Value::from(value)
}

#[test]
fn a_line_looks_as_the_documentation_says() {
    let mut line =
        line("started", vec![("uid", Value::from(0)), ("path", text("\"/run/x\"")), ("why", text("it is so"))]);
    assert_eq!(
        line.pretty(Level::Info, NOW),
        r#"1970-01-01T00:00:00.000000Z INFO started uid=0 path="/run/x" why="it is so""#
    );
    assert_eq!(
        line.json(Level::Info, NOW),
        r#"{"timestamp":"1970-01-01T00:00:00.000000Z","level":"info","message":"started","uid":0,"path":"\"/run/x\"","why":"it is so"}"#
    );
    line.from = Some("frontend");
    line.fields.clear();
    assert_eq!(line.pretty(Level::Warn, NOW), "1970-01-01T00:00:00.000000Z WARN frontend: started");
    assert!(line.json(Level::Warn, NOW).ends_with(r#""message":"started","process":"frontend"}"#));
}

#[test]
fn nothing_that_is_logged_can_leave_its_place() {
    let hostile = "a\nERROR b\r\u{1b}[2J\u{9b}31m\u{202e}\u{2066}é\0\u{7f}\u{10ffff}\"\\ x=1";
    let line = line(hostile, vec![("value", text(hostile)), ("forged", text("\"a\" uid=\"0\"")), ("empty", text(""))]);
    let (pretty, json) = (line.pretty(Level::Info, NOW), line.json(Level::Info, NOW));
    for written in [&pretty, &json] {
        assert!(written.bytes().all(|c| (b' '..=b'~').contains(&c)), "{written}");
    }
    assert!(pretty.contains(r"a\nERROR b\r\u{1b}[2J\u{9b}31m\u{202e}\u{2066}\u{e9}\u{0}\u{7f}\u{10ffff}"), "{pretty}");
    assert!(pretty.ends_with(r#" forged="\"a\" uid=\"0\"" empty="""#), "{pretty}");
    let value: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((value["message"].as_str(), value["value"].as_str()), (Some(hostile), Some(hostile)));
}

#[test]
fn events_are_recorded_with_their_types() {
    struct Record(std::sync::Mutex<Vec<(Level, String)>>);
    impl Subscriber for &'static Record {
        fn enabled(&self, metadata: &Metadata<'_>) -> bool {
            Log.enabled(metadata)
        }
        fn new_span(&self, attributes: &Attributes<'_>) -> Id {
            Log.new_span(attributes)
        }
        fn record(&self, _: &Id, _: &tracing::span::Record<'_>) {}
        fn record_follows_from(&self, _: &Id, _: &Id) {}
        fn event(&self, event: &Event<'_>) {
            let mut line = Line::default();
            event.record(&mut line);
            let level = level(event.metadata());
            self.0.lock().unwrap().push((level, line.pretty(level, NOW)));
        }
        fn enter(&self, _: &Id) {}
        fn exit(&self, _: &Id) {}
    }
    static RECORD: Record = Record(std::sync::Mutex::new(Vec::new()));
    tracing::subscriber::with_default(&RECORD, || {
        let error = std::io::Error::from_raw_os_error(13);
        tracing::warn!(count = 3_u32, flag = true, text = "a b", %error, path = ?"/x", "not {}", "done");
        tracing::debug!("not logged at this level");
        tracing::error_span!("ignored").in_scope(|| tracing::info!(absent = None::<&str>, "within"));
    });
    let events = RECORD.0.lock().unwrap();
    let lines: Vec<_> = events
        .iter()
        .map(|(level, line)| (*level, line.strip_prefix("1970-01-01T00:00:00.000000Z ").unwrap()))
        .collect();
    assert_eq!(
        lines,
        [
            (
                Level::Warn,
                r#"WARN not done count=3 flag=true text="a b" error="Permission denied (os error 13)" path="/x""#
            ),
            (Level::Info, "INFO within"),
        ]
    );
}
