//! The audit trail: JSON lines, an intent before an act and an outcome after it, and refusals.
//!
//! ```text
//! {"timestamp":"...","record":"intent","request_id":"...","command":"file.write","params":{...},"peer":{...}}
//! {"timestamp":"...","record":"outcome","request_id":"...", ... ,"result":"success","duration_ms":3}
//! {"timestamp":"...","record":"rejected","source":"frontend","layer":"signature", ... ,"result":"AUTH_ERROR","left_out":0}
//! ```
use crate::{Error, config, inputs, json_line::json_line, lock::lock};
use reeve_ipc::message::Rejected;
use reeve_shared::command::Recorded;
use reeve_shared::{AbsolutePath, Caller, Command, ErrorCode, Flood, Layer, RequestId, Timestamp};
use ring::digest::{SHA256, digest};
use serde_json::{Value, json};
use std::fs::File;
use std::io::{self, Write};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Refusals that are recorded at once, and how often one more is: some 30 MB a day at the most.
const BURST: u32 = 100;
const EVERY: Duration = Duration::from_secs(1);

/// The trail of one daemon.
#[derive(Debug)]
pub struct Audit {
    path: AbsolutePath,
    state: Mutex<State>,
    started: Instant,
}

#[derive(Debug)]
struct State {
    /// `None` if `audit.enabled` is false.
    file: Option<File>,
    /// Of what the frontend claims: however much that is, our own refusals are recorded.
    claims: Flood,
    own: Flood,
}

/// The fields of a record, in their order.
type Fields = Vec<(&'static str, Value)>;

/// What the records of a command say of it. Secrets and contents are not in it.
#[derive(Clone, Debug)]
pub struct Subject(Fields);

impl Subject {
    /// Takes from a command what the trail keeps of it.
    #[must_use]
    pub fn new(request_id: RequestId, command: &Command, caller: Caller) -> Self {
        Self(vec![
            ("request_id", request_id.to_string().into()),
            ("command", command.row().name.into()),
            ("params", params(command)),
            ("peer", peer(caller)),
        ])
    }
}

fn peer(Caller { uid, gid, pid }: Caller) -> Value {
    json!({"uid": uid, "gid": gid, "pid": pid})
}

fn params(command: &Command) -> Value {
    let param = |recorded| match recorded {
        Recorded::Absent => None,
        Recorded::Flag(flag) => Some(flag.into()),
        Recorded::Number(number) => Some(number.into()),
        Recorded::Text(text) => Some(Value::from(text)),
        Recorded::Content(bytes) => {
            let hash = digest(&SHA256, bytes);
            let sha256: String = hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
            Some(json!({"bytes": bytes.len(), "sha256": sha256}))
        }
        Recorded::Secret => Some("redacted".into()),
    };
    command.recorded().into_iter().filter_map(|(name, recorded)| Some((name.to_owned(), param(recorded)?))).collect()
}

/// What the record of a refusal says. `peer` is absent if the request named a connection that is not open.
fn refused(
    source: &'static str,
    request_id: RequestId,
    command: Option<&str>,
    caller: Option<Caller>,
    layer: Layer,
    code: ErrorCode,
) -> Fields {
    vec![
        ("source", source.into()),
        ("request_id", request_id.to_string().into()),
        ("command", command.into()),
        ("peer", caller.map(peer).into()),
        ("layer", layer.as_str().into()),
        ("result", code.as_str().into()),
    ]
}

impl Audit {
    /// A trail that is written to `file`, which stands at `path`; or none.
    #[must_use]
    pub fn new(path: AbsolutePath, file: Option<File>) -> Self {
        let flood = Flood::new(BURST, EVERY);
        let state = Mutex::new(State { file, claims: flood.clone(), own: flood });
        Self { path, state, started: Instant::now() }
    }

    /// Opens the trail, if there is to be one, making it and its folder if they are absent.
    ///
    /// # Errors
    /// What is wrong with the file, its owner or its mode.
    pub fn open(config: &config::Audit) -> Result<Self, Error> {
        let file = config.enabled.then(|| inputs::open_log(config.log_path.as_str().as_ref())).transpose()?;
        Ok(Self::new(config.log_path.clone(), file))
    }

    /// Goes on in a file that was opened anew: after a rotation the name is another file's.
    pub fn go_on_in(&self, anew: Self) {
        let file = anew.state.into_inner().unwrap_or_else(PoisonError::into_inner).file;
        lock(&self.state).file = file;
    }

    /// Records that a command is about to be carried out.
    ///
    /// # Errors
    /// [`Error::Audit`]: then it must not be.
    pub fn intent(&self, subject: &Subject) -> Result<(), Error> {
        self.write("intent", subject.0.clone())
    }

    /// Records what a command came to.
    ///
    /// # Errors
    /// [`Error::Audit`].
    pub fn outcome(&self, subject: &Subject, result: Result<(), &Error>, duration: Duration) -> Result<(), Error> {
        let mut fields = subject.0.clone();
        fields.push(("result", result.map_or_else(|error| error.code().as_str(), |()| "success").into()));
        fields.extend(result.err().map(|error| ("reason", error.to_string().into())));
        fields.push(("duration_ms", u64::try_from(duration.as_millis()).unwrap_or(u64::MAX).into()));
        self.write("outcome", fields)?;
        // Before the journal forgets the command: one of the two tells of it after a loss of power.
        let flushed = lock(&self.state).file.as_ref().map_or(Ok(()), File::sync_data);
        flushed.map_err(|why| Error::Audit { path: self.path.to_string(), why })
    }

    /// Records that the outcome of a command that was under way at a crash is unknown.
    ///
    /// # Errors
    /// [`Error::Audit`].
    pub fn outcome_unknown(&self, request_id: RequestId, command: &str, caller: Caller) -> Result<(), Error> {
        let (layer, code) = (Layer::Executor, ErrorCode::ExecutionError);
        let mut fields = refused("journal", request_id, Some(command), Some(caller), layer, code);
        fields.push(("reason", "Reeve ended while it was under way; its outcome is unknown".into()));
        self.write("rejected", fields)
    }

    /// Records that the link to the frontend ended, and nobody had asked for it.
    pub fn link_ended(&self, error: &Error) {
        if let Err(error) = self.write("link_ended", vec![("reason", error.to_string().into())]) {
            tracing::error!(%error, "the end of the link is not recorded");
        }
    }

    /// Records a refusal that the frontend claims, unless there is a flood of them.
    pub fn rejected_by_frontend(&self, rejected: &Rejected) {
        let Rejected { request_id, peer, layer, code, command, left_out } = rejected;
        let mut state = lock(&self.state);
        state.claims.also_left_out(*left_out);
        let admitted = state.claims.admit(self.started.elapsed());
        drop(state);
        if let Some(left_out) = admitted {
            let mut fields = refused("frontend", *request_id, command.as_deref(), Some(*peer), *layer, *code);
            fields.push(("left_out", left_out.into()));
            self.write_refusal(fields);
        }
    }

    /// Records a refusal of the executor's own, and says so on the log, unless there is a flood of them.
    pub fn rejected(&self, request_id: RequestId, command: &str, caller: Option<Caller>, error: &Error) {
        let admitted = lock(&self.state).own.admit(self.started.elapsed());
        if let Some(left_out) = admitted {
            tracing::warn!(%request_id, command, %error, left_out, "refused");
            let mut fields = refused("executor", request_id, Some(command), caller, Layer::Executor, error.code());
            fields.extend([("reason", error.to_string().into()), ("left_out", left_out.into())]);
            self.write_refusal(fields);
        }
    }

    fn write_refusal(&self, fields: Fields) {
        if let Err(error) = self.write("rejected", fields) {
            tracing::error!(%error, "a refusal is not recorded");
        }
    }

    /// Writes a line, with the time and the sort of record before its fields.
    fn write(&self, record: &'static str, fields: Fields) -> Result<(), Error> {
        let begin = [("timestamp", Timestamp::now().to_string().into()), ("record", record.into())];
        let line = format!("{}\n", json_line(begin.into_iter().chain(fields)));
        let written = lock(&self.state).file.as_mut().map_or(Ok(()), |file| append(file, line.as_bytes()));
        written.map_err(|why| Error::Audit { path: self.path.to_string(), why })
    }
}

/// Writes a whole line or, as on a full disk, none of it.
fn append(file: &mut File, line: &[u8]) -> io::Result<()> {
    let written = match file.write(line) {
        Ok(count) if count == line.len() => return Ok(()),
        Ok(count) => count,
        Err(error) => return Err(error),
    };
    let length = file.metadata()?.len();
    file.set_len(length.saturating_sub(u64::try_from(written).unwrap_or(u64::MAX)))?;
    Err(io::Error::new(io::ErrorKind::StorageFull, "only a part of the record could be written"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use reeve_shared::command::FileWrite;
    use reeve_shared::{Content, FileMode, Owner};
    use serde_json::{Value, json};
    use std::fs::OpenOptions;

    const CALLER: Caller = Caller { uid: 1000, gid: 1001, pid: 7 };

    fn id() -> RequestId {
        RequestId::from_random([7; 16])
    }

    fn trail() -> (tempfile::NamedTempFile, Audit) {
        let file = tempfile::NamedTempFile::new().unwrap();
        let path = AbsolutePath::try_from(file.path().to_str().unwrap()).unwrap();
        let open = OpenOptions::new().append(true).open(file.path()).unwrap();
        (file, Audit::new(path, Some(open)))
    }

    fn lines(file: &tempfile::NamedTempFile) -> Vec<Value> {
        let text = std::fs::read_to_string(file.path()).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn write() -> Command {
        Command::FileWrite(FileWrite {
            path: AbsolutePath::try_from("/home/a/\u{202e}b").unwrap(),
            content: Content::try_from("hello".to_owned()).unwrap(),
            owner: Some(Owner::Id(33)),
            group: None,
            mode: Some(FileMode::try_from("644").unwrap()),
        })
    }

    #[test]
    fn intent_and_outcome_have_every_field_and_no_content() {
        let (file, audit) = trail();
        let subject = Subject::new(id(), &write(), CALLER);
        audit.intent(&subject).unwrap();
        audit.outcome(&subject, Err(&Error::Busy), Duration::from_millis(3)).unwrap();
        audit.outcome(&subject, Ok(()), Duration::ZERO).unwrap();
        assert!(std::fs::read(file.path()).unwrap().is_ascii());
        let lines = lines(&file);
        let params = json!({"path": "/home/a/\u{202e}b", "owner": 33, "mode": "0644", "content": {"bytes": 5,
            "sha256": "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"}});
        for line in &lines {
            assert_eq!(line["command"], "file.write");
            assert_eq!(line["request_id"], id().to_string());
            assert_eq!(line["peer"], json!({"uid": 1000, "gid": 1001, "pid": 7}));
            assert_eq!(line["params"], params);
            assert!(line["timestamp"].as_str().unwrap().ends_with('Z'));
        }
        assert_eq!(lines[0]["record"], "intent");
        assert_eq!((&lines[0]["result"], &lines[0]["duration_ms"]), (&Value::Null, &Value::Null));
        assert_eq!(
            (&lines[1]["record"], &lines[1]["result"], &lines[1]["duration_ms"]),
            (&json!("outcome"), &json!("BUSY"), &json!(3))
        );
        assert_eq!(lines[2]["result"], "success");
    }

    #[test]
    fn a_flood_of_refusals_is_bounded_and_counted() {
        let (file, audit) = trail();
        for _ in 0..1000 {
            audit.rejected(id(), "file.delete", Some(CALLER), &Error::NoConnection);
        }
        let lines = lines(&file);
        assert!((100..110).contains(&lines.len()), "{}", lines.len());
        assert_eq!(
            (&lines[0]["record"], &lines[0]["source"], &lines[0]["result"]),
            (&json!("rejected"), &json!("executor"), &json!("AUTH_ERROR"))
        );
        let rejected = Rejected {
            request_id: id(),
            peer: CALLER,
            layer: Layer::Signature,
            code: ErrorCode::AuthError,
            command: None,
            left_out: 5,
        };
        // Neither hides the other.
        audit.rejected_by_frontend(&rejected);
        assert_eq!(self::lines(&file).last().unwrap()["left_out"], 5);
        for _ in 0..1000 {
            audit.rejected_by_frontend(&rejected);
        }
        lock(&audit.state).own = Flood::new(1, EVERY);
        audit.rejected(id(), "file.delete", Some(CALLER), &Error::NoConnection);
        assert_eq!(self::lines(&file).last().unwrap()["source"], "executor");
    }

    #[test]
    fn a_trail_that_can_not_be_written_is_an_error() {
        let path = AbsolutePath::try_from("/dev/full").unwrap();
        let audit = Audit::new(path.clone(), Some(OpenOptions::new().append(true).open("/dev/full").unwrap()));
        let subject = Subject::new(id(), &write(), CALLER);
        let error = audit.intent(&subject).unwrap_err();
        assert_eq!(error.code(), ErrorCode::ExecutionError);
        assert!(error.to_string().contains("/dev/full"));
        assert!(Audit::new(path, None).intent(&subject).is_ok(), "a trail that is switched off");
    }
}
