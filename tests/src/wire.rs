//! Requests and answers as bytes.
use ring::hmac;
use serde_json::Value;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How long a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(60);

/// The wall clock, in Unix seconds.
#[must_use]
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// A nonce that was not used before.
#[must_use]
pub fn nonce() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let nanos = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    format!("{}-{nanos:x}-{:x}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// A request that can be changed in every part before it is signed.
#[derive(Clone, Debug)]
pub struct Request {
    /// The command's name.
    pub command: String,
    /// The JSON text of the parameters; absent if `None`.
    pub params: Option<String>,
    /// Unix seconds.
    pub timestamp: u64,
    /// The nonce.
    pub nonce: String,
    /// The JSON text of the options; absent if `None`.
    pub options: Option<String>,
    /// What is signed in place of `params`, if not its own bytes.
    pub signed_params: Option<String>,
}

impl Request {
    /// A request of now.
    #[must_use]
    pub fn new(command: &str, params: &str) -> Self {
        Self {
            command: command.to_owned(),
            params: Some(params.to_owned()),
            timestamp: now(),
            nonce: nonce(),
            options: None,
            signed_params: None,
        }
    }

    /// Its signature.
    #[must_use]
    pub fn signature(&self, secret: &[u8]) -> String {
        let Self { command, params, timestamp, nonce, options, signed_params } = self;
        let params = signed_params.as_deref().or(params.as_deref()).unwrap_or("{}");
        let mut text = format!("{command}:{params}:{timestamp}:{nonce}");
        if let Some(options) = options {
            text = format!("{text}:{options}");
        }
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), text.as_bytes());
        tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Its JSON, signed.
    #[must_use]
    pub fn sign(&self, secret: &[u8]) -> String {
        self.with_signature(&self.signature(secret))
    }

    /// Its JSON with this signature.
    #[must_use]
    pub fn with_signature(&self, signature: &str) -> String {
        let Self { command, params, timestamp, nonce, options, .. } = self;
        let params = params.as_ref().map(|params| format!(r#""params":{params},"#)).unwrap_or_default();
        let options = options.as_ref().map(|options| format!(r#""options":{options},"#)).unwrap_or_default();
        format!(
            r#"{{"command":{},{params}{options}"timestamp":{timestamp},"nonce":"{nonce}","signature":"{signature}"}}"#,
            Value::from(command.as_str())
        )
    }
}

/// A connection that sends what it is told.
#[derive(Debug)]
pub struct Wire(pub UnixStream);

impl Wire {
    /// Connects.
    ///
    /// # Errors
    /// The system's.
    pub fn connect(socket: &Path) -> io::Result<Self> {
        let stream = UnixStream::connect(socket)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self(stream))
    }

    /// Sends a frame.
    ///
    /// # Errors
    /// The system's.
    pub fn send(&mut self, body: &[u8]) -> io::Result<()> {
        self.0.write_all(&frame(body))
    }

    /// Reads an answer; `None` at the end.
    ///
    /// # Errors
    /// The system's; an answer that is no JSON.
    pub fn receive(&mut self) -> io::Result<Option<Value>> {
        let mut header = [0; 4];
        match self.0.read(&mut header)? {
            0 => return Ok(None),
            count => self.0.read_exact(header.get_mut(count..).unwrap_or_default())?,
        }
        let mut body = vec![0; usize::try_from(u32::from_be_bytes(header)).unwrap_or(usize::MAX)];
        self.0.read_exact(&mut body)?;
        Ok(Some(serde_json::from_slice(&body)?))
    }

    /// Sends a frame and reads an answer.
    ///
    /// # Errors
    /// The system's; the end of the connection.
    pub fn ask(&mut self, body: &[u8]) -> io::Result<Value> {
        self.send(body)?;
        self.receive()?.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }
}

/// A frame: a big-endian length, and the bytes.
#[must_use]
pub fn frame(body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len()).unwrap_or(u32::MAX);
    let mut frame = length.to_be_bytes().to_vec();
    frame.extend_from_slice(body);
    frame
}

/// The code of an answer: that of its error, or `ok`.
#[must_use]
pub fn code(answer: &Value) -> &str {
    match answer.get("success").and_then(Value::as_bool) {
        Some(true) => "ok",
        _ => answer.pointer("/error/code").and_then(Value::as_str).unwrap_or("no code"),
    }
}
