//! The audit trail: JSON lines, an intent before an act and an outcome after it, and refusals.
//!
//! ```text
//! {"timestamp":"...","record":"intent","request_id":"...","command":"file.write","params":{...},"peer":{...}}
//! {"timestamp":"...","record":"outcome","request_id":"...", ... ,"result":"success","duration_ms":3}
//! {"timestamp":"...","record":"rejected","source":"frontend","layer":"signature", ... ,"result":"AUTH_ERROR","left_out":0}
//! ```
use crate::config;
use crate::error::Error;
use crate::inputs;
use crate::timestamp::Timestamp;
use reeve_ipc::message::Rejected;
use reeve_shared::command::Recorded;
use reeve_shared::{AbsolutePath, Caller, Command, ErrorCode, Flood, Layer, RequestId};
use ring::digest::{SHA256, digest};
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use std::fs::File;
use std::io::{self, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};
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
    flood: Flood,
}

/// What a record says of a command.
#[derive(Clone, Debug, Serialize)]
pub struct Subject {
    request_id: String,
    command: &'static str,
    params: Params,
    peer: Peer,
}

impl Subject {
    /// Takes from a command what the trail keeps of it.
    #[must_use]
    pub fn new(request_id: RequestId, command: &Command, caller: Caller) -> Self {
        Self {
            request_id: request_id.to_string(),
            command: command.row().name,
            params: Params::of(command),
            peer: Peer::from(caller),
        }
    }
}

/// Parameters as they are written: a list of names and values, secrets and contents replaced.
#[derive(Clone, Debug)]
struct Params(Vec<(&'static str, Param)>);

#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
enum Param {
    Flag(bool),
    Number(u64),
    Text(String),
    Content { bytes: usize, sha256: String },
}

impl Params {
    fn of(command: &Command) -> Self {
        let param = |recorded| match recorded {
            Recorded::Absent => None,
            Recorded::Flag(flag) => Some(Param::Flag(flag)),
            Recorded::Number(number) => Some(Param::Number(number)),
            Recorded::Text(text) => Some(Param::Text(text.into_owned())),
            Recorded::Content(bytes) => {
                let hash = digest(&SHA256, bytes);
                let sha256 = hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
                Some(Param::Content { bytes: bytes.len(), sha256 })
            }
            Recorded::Secret => Some(Param::Text("redacted".to_owned())),
        };
        Self(command.recorded().into_iter().filter_map(|(name, recorded)| Some((name, param(recorded)?))).collect())
    }
}

impl Serialize for Params {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

#[derive(Clone, Debug, Serialize)]
struct Peer {
    uid: u32,
    gid: u32,
    pid: i32,
}

impl From<Caller> for Peer {
    fn from(Caller { uid, gid, pid }: Caller) -> Self {
        Self { uid, gid, pid }
    }
}

/// A line, apart from its timestamp. The two sorts of a command's record share a struct so that they can't drift apart.
#[derive(Serialize)]
struct Record<'a> {
    timestamp: String,
    record: &'static str,
    #[serde(flatten)]
    subject: &'a Subject,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    duration_ms: Option<u64>,
}

#[derive(Serialize)]
struct Refusal<'a> {
    timestamp: String,
    record: &'static str,
    source: &'static str,
    request_id: String,
    command: Option<&'a str>,
    /// `None` if the request named a connection that is not open.
    peer: Option<Peer>,
    layer: &'static str,
    result: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    left_out: u64,
}

#[derive(Serialize)]
struct LinkEnded {
    timestamp: String,
    record: &'static str,
    reason: String,
}

impl Audit {
    /// A trail that is written to `file`, which stands at `path`; or none.
    #[must_use]
    pub fn new(path: AbsolutePath, file: Option<File>) -> Self {
        let state = Mutex::new(State { file, flood: Flood::new(BURST, EVERY) });
        Self { path, state, started: Instant::now() }
    }

    /// Opens the trail, if there is to be one, making it and its folder if they are absent.
    ///
    /// # Errors
    /// [`Error::Audit`], or what is wrong with the file's owner or mode.
    pub fn open(config: &config::Audit) -> Result<Self, Error> {
        Ok(Self::new(config.log_path.clone(), open(config)?))
    }

    /// Goes on in a file that was opened anew: after a rotation the name is another file's.
    pub fn go_on_in(&self, anew: Self) {
        let file = anew.state.into_inner().unwrap_or_else(PoisonError::into_inner).file;
        self.lock().file = file;
    }

    /// Records that a command is about to be carried out.
    ///
    /// # Errors
    /// [`Error::Audit`]: then it must not be.
    pub fn intent(&self, subject: &Subject) -> Result<(), Error> {
        self.record("intent", subject, None, None, None)
    }

    /// Records what a command came to.
    ///
    /// # Errors
    /// [`Error::Audit`].
    pub fn outcome(&self, subject: &Subject, result: Result<(), &Error>, duration: Duration) -> Result<(), Error> {
        let (code, reason) = match result {
            Ok(()) => ("success", None),
            Err(error) => (error.code().as_str(), Some(error.to_string())),
        };
        let duration_ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        self.record("outcome", subject, Some(code), reason, Some(duration_ms))
    }

    /// Records that the outcome of a command that was under way at a crash is unknown.
    ///
    /// # Errors
    /// [`Error::Audit`].
    pub fn outcome_unknown(&self, request_id: RequestId, command: &str, caller: Caller) -> Result<(), Error> {
        let reason = Some("Reeve ended while it was under way; its outcome is unknown".to_owned());
        self.refusal(
            "journal",
            request_id,
            Some(command),
            Some(caller),
            Layer::Executor,
            ErrorCode::ExecutionError,
            reason,
            0,
        )
    }

    /// Records that the link to the frontend ended, and nobody had asked for it.
    pub fn link_ended(&self, error: &Error) {
        let record =
            LinkEnded { timestamp: Timestamp::now().to_string(), record: "link_ended", reason: error.to_string() };
        if let Err(error) = self.write(&record) {
            tracing::error!(%error, "the end of the link is not recorded");
        }
    }

    /// Records a refusal that the frontend claims.
    pub fn rejected_by_frontend(&self, rejected: &Rejected) {
        let Rejected { request_id, peer, layer, code, command, left_out } = rejected;
        self.bounded_refusal("frontend", *request_id, command.as_deref(), Some(*peer), *layer, *code, None, *left_out);
    }

    /// Records a refusal of the executor's own.
    pub fn rejected(&self, request_id: RequestId, command: &str, caller: Option<Caller>, error: &Error) {
        let reason = Some(error.to_string());
        self.bounded_refusal("executor", request_id, Some(command), caller, Layer::Executor, error.code(), reason, 0);
    }

    #[allow(clippy::too_many_arguments, reason = "they are the fields of the record")]
    fn bounded_refusal(
        &self,
        source: &'static str,
        request_id: RequestId,
        command: Option<&str>,
        caller: Option<Caller>,
        layer: Layer,
        code: ErrorCode,
        reason: Option<String>,
        left_out: u64,
    ) {
        let admitted = {
            let mut state = self.lock();
            state.flood.also_left_out(left_out);
            state.flood.admit(self.started.elapsed())
        };
        if let Some(left_out) = admitted {
            if let Err(error) = self.refusal(source, request_id, command, caller, layer, code, reason, left_out) {
                tracing::error!(%error, "a refusal is not recorded");
            }
        }
    }

    #[allow(clippy::too_many_arguments, reason = "they are the fields of the record")]
    fn refusal(
        &self,
        source: &'static str,
        request_id: RequestId,
        command: Option<&str>,
        caller: Option<Caller>,
        layer: Layer,
        code: ErrorCode,
        reason: Option<String>,
        left_out: u64,
    ) -> Result<(), Error> {
        self.write(&Refusal {
            timestamp: Timestamp::now().to_string(),
            record: "rejected",
            source,
            request_id: request_id.to_string(),
            command,
            peer: caller.map(Peer::from),
            layer: layer.as_str(),
            result: code.as_str(),
            reason,
            left_out,
        })
    }

    fn record(
        &self,
        record: &'static str,
        subject: &Subject,
        result: Option<&'static str>,
        reason: Option<String>,
        duration_ms: Option<u64>,
    ) -> Result<(), Error> {
        let timestamp = Timestamp::now().to_string();
        self.write(&Record { timestamp, record, subject, result, reason, duration_ms })
    }

    fn write(&self, record: &impl Serialize) -> Result<(), Error> {
        let failed = |why| Error::Audit { path: self.path.to_string(), why };
        let line = to_ascii(&serde_json::to_string(record).map_err(|error| failed(error.into()))?);
        let mut state = self.lock();
        state.file.as_mut().map_or(Ok(()), |file| append(file, line.as_bytes())).map_err(failed)
    }

    /// What runs under this lock can't panic.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn open(config: &config::Audit) -> Result<Option<File>, Error> {
    if !config.enabled {
        return Ok(None);
    }
    inputs::open_log(config.log_path.as_str().as_ref()).map(Some)
}

/// A JSON text as a line of ASCII: what turns the direction of a terminal's text shows as what it is.
fn to_ascii(json: &str) -> String {
    let mut line = String::with_capacity(json.len().saturating_add(1));
    for c in json.chars() {
        if c.is_ascii() && c != '\u{7f}' {
            line.push(c);
            continue;
        }
        for unit in c.encode_utf16(&mut [0; 2]) {
            line.push_str(&format!("\\u{unit:04x}"));
        }
    }
    line.push('\n');
    line
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
        audit.lock().flood = Flood::new(1, EVERY);
        audit.rejected_by_frontend(&rejected);
        assert_eq!(self::lines(&file).last().unwrap()["left_out"], 5);
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
