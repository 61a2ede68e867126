//! The key, and the signature that it makes: HMAC-SHA256 (RFC 2104, FIPS 180-4) over what is asked for.
use crate::error::Error;
use reeve_shared::Secret;
use ring::hmac;
use std::fmt::Write;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use zeroize::Zeroizing;

/// The secret that client and daemon share. It is zeroed when dropped and can't be printed.
///
/// ring's own form of it, which is not zeroed, lives only while a signature is made.
#[derive(Clone, Debug)]
pub struct Key(Secret);

impl Key {
    /// The shortest secret, in bytes.
    pub const SHORTEST: usize = 32;
    /// The longest secret, in bytes.
    pub const LONGEST: usize = 4096;

    /// A key of these very bytes.
    ///
    /// # Errors
    /// [`Error::SecretLength`].
    pub fn new(bytes: Vec<u8>) -> Result<Self, Error> {
        let secret = Secret::new(bytes);
        if (Self::SHORTEST..=Self::LONGEST).contains(&secret.expose().len()) {
            Ok(Self(secret))
        } else {
            Err(Error::SecretLength { path: None })
        }
    }

    /// Reads a key: the whole content of a file, without the one line feed that an editor leaves at its end.
    ///
    /// # Errors
    /// [`Error::SecretUnreadable`], [`Error::SecretLength`].
    pub fn read(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        // Room for all that is read, and one byte more: a buffer that grew would leave copies of the secret behind.
        let room = Self::LONGEST.saturating_add(2);
        let mut bytes = Zeroizing::new(Vec::with_capacity(room));
        File::open(path)
            .and_then(|file| file.take(u64::try_from(room).unwrap_or(u64::MAX)).read_to_end(&mut bytes))
            .map_err(|source| Error::SecretUnreadable { path: path.to_owned(), source })?;
        if bytes.last() == Some(&b'\n') {
            bytes.pop();
        }
        Self::new(std::mem::take(&mut *bytes)).map_err(|_| Error::SecretLength { path: Some(path.to_owned()) })
    }

    /// Signs a request: lower-case hex of the HMAC-SHA256 over `{command}:{params}:{timestamp}:{nonce}`, and over
    /// `:{options}` behind it if there are any. `params` and `options` are JSON text, as they stand in the message.
    #[must_use]
    pub fn sign(&self, command: &str, params: &str, timestamp: u64, nonce: &str, options: Option<&str>) -> String {
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.0.expose());
        let mut context = hmac::Context::with_key(&key);
        let timestamp = timestamp.to_string();
        context.update(command.as_bytes());
        for piece in [params, &timestamp, nonce].into_iter().chain(options) {
            context.update(b":");
            context.update(piece.as_bytes());
        }
        hex(context.sign().as_ref())
    }
}

/// `bytes` as lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String can't fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    const SECRET: &str = "0123456789abcdef0123456789abcdef";
    const NONCE: &str = "550e8400-e29b-41d4-a716-446655440000";

    fn key() -> Key {
        Key::new(SECRET.into()).unwrap()
    }

    /// Each was computed with Python: `hmac.new(SECRET, TEXT, "sha256").hexdigest()`.
    #[test]
    fn vectors() {
        let params = r#"{"service": "nginx"}"#;
        assert_eq!(
            key().sign("service.restart", params, 1_703_808_000, NONCE, None),
            "f5c4b8cb244e15e552c8cff6ca644216de51acc779d88c89834260462c2700cd"
        );
        assert_eq!(
            key().sign("service.restart", params, 1_703_808_000, NONCE, Some("{}")),
            "bb11adf92f17e268fec745b55e2be7b5950f29aa6a05109736687e9f7d83ee4c"
        );
        assert_eq!(
            key().sign("file.write", r#"{"content":"é:\n"}"#, 0, NONCE, Some(r#"{"key_id":"a"}"#)),
            "e5b75a64872a48411bfc14f4df85852b45d6133dc1ac096dbedfc091cb75da4d"
        );
    }

    #[test]
    fn openssl_computes_the_same() {
        let text = format!("system.ping:{{}}:1703808000:{NONCE}");
        let child = Command::new("openssl")
            .args(["dgst", "-sha256", "-hmac", SECRET])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn();
        let Ok(mut child) = child else {
            return; // The vectors stand without it.
        };
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), text.as_bytes()).unwrap();
        let output = String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap();
        assert_eq!(
            output.trim().rsplit(' ').next(),
            Some(key().sign("system.ping", "{}", 1_703_808_000, NONCE, None).as_str())
        );
    }

    #[test]
    fn a_secret_is_read_whole_but_for_one_line_feed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        let signature = |content: &str| {
            std::fs::write(&path, content).unwrap();
            Key::read(&path).map(|key| key.sign("a", "{}", 1, NONCE, None))
        };
        let bare = signature(SECRET).unwrap();
        assert_eq!(signature(&format!("{SECRET}\n")).unwrap(), bare);
        for other in [format!("{SECRET}\n\n"), format!("{SECRET}\r\n"), format!(" {SECRET}")] {
            assert_ne!(signature(&other).unwrap(), bare, "{other:?}");
        }
        let longest = "x".repeat(Key::LONGEST);
        assert!(signature(&format!("{longest}\n")).is_ok());
        for bad in
            ["", "\n", &SECRET[1..], &format!("{}\n", &SECRET[1..]), &format!("{longest}x"), &format!("{longest}xyz")]
        {
            assert!(matches!(signature(bad), Err(Error::SecretLength { path: Some(_) })), "{}", bad.len());
        }
    }

    #[test]
    fn a_file_that_can_not_be_read_is_named_and_a_key_is_not_printed() {
        let text = Key::read("/nonexistent/secret").unwrap_err().to_string();
        assert!(text.contains("/nonexistent/secret") && text.contains("another file"), "{text}");
        assert_eq!(format!("{:?}", key()), "Key(Secret(redacted))");
    }
}
