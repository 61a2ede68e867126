//! A server that speaks the frame format, so that the client can be tested alone. It judges nothing: a test says what it does.
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::thread;
use tempfile::TempDir;

/// The secret of the tests.
pub const SECRET: &str = "0123456789abcdef0123456789abcdef";

/// The daemon's end of a connection.
pub struct Peer(pub UnixStream);

impl Peer {
    /// The next request as it stands in the message; `None` at the end.
    pub fn text(&mut self) -> Option<String> {
        let mut length = [0; 4];
        self.0.read_exact(&mut length).ok()?;
        let mut message = vec![0; usize::try_from(u32::from_be_bytes(length)).unwrap()];
        self.0.read_exact(&mut message).ok()?;
        Some(String::from_utf8(message).unwrap())
    }

    /// The next request; `None` at the end.
    pub fn request(&mut self) -> Option<Value> {
        self.text().map(|text| serde_json::from_str(&text).unwrap())
    }

    /// Sends an answer. A client that is gone already is no failure of the server's.
    pub fn answer(&mut self, answer: &Value) {
        let _ = self.0.write_all(&frame(answer));
    }
}

/// An answer as a frame.
pub fn frame(answer: &Value) -> Vec<u8> {
    let message = answer.to_string();
    let mut frame = u32::try_from(message.len()).unwrap().to_be_bytes().to_vec();
    frame.extend_from_slice(message.as_bytes());
    frame
}

/// A success for a request.
pub fn success(request: &Value, data: Value) -> Value {
    json!({"success": true, "request_id": "id", "nonce": request["nonce"], "data": data})
}

/// A failure; `nonce` may be null.
pub fn failure(nonce: &Value, code: &str) -> Value {
    json!({"success": false, "request_id": "id", "nonce": nonce, "error": {"code": code, "message": "Text"}})
}

/// A socket in a folder of its own, and a file with the secret. Each connection is given to `serve`, one after the other.
pub struct Server(TempDir);

impl Server {
    pub fn start(mut serve: impl FnMut(Peer) + Send + 'static) -> Self {
        let server = Self::absent();
        let listener = UnixListener::bind(server.socket()).unwrap();
        // The thread ends with the process: it waits for connections, and a test that is done makes no more.
        thread::spawn(move || listener.incoming().for_each(|stream| serve(Peer(stream.unwrap()))));
        server
    }

    /// A folder with a secret and no socket.
    pub fn absent() -> Self {
        let server = Self(tempfile::tempdir().unwrap());
        std::fs::write(server.secret(), format!("{SECRET}\n")).unwrap();
        server
    }

    pub fn folder(&self) -> &Path {
        self.0.path()
    }

    pub fn socket(&self) -> PathBuf {
        self.0.path().join("reeve.sock")
    }

    pub fn secret(&self) -> PathBuf {
        self.0.path().join("secret")
    }
}
