//! The signature: HMAC-SHA256 over a text that the message determines, in one of the spellings that clients use.
use super::request::{Envelope, is_empty_list};
use super::spelling::Spelling;
use reeve_shared::{Secret, error::excerpt};
use ring::hmac;
use std::borrow::Cow;
use std::fmt;

#[cfg(test)]
mod tests;

/// The secrets that may be live at once.
pub const MAX_SECRETS: usize = 4;

/// More than this of the text's buffer is given back after use, in bytes.
const SCRATCH_KEPT: usize = 64 * 1024;

/// Why a request is not authentic.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unauthentic {
    /// The signature is not 64 hex digits.
    #[error("the signature is not 64 hex digits")]
    NotHex,
    /// `options.key_id` names no secret.
    #[error("options.key_id names {0}, and no secret has that id")]
    UnknownKey(String),
    /// No secret and no spelling gives this signature.
    #[error(
        "the signature fits no secret; was it made with the secret that security.hmac_secret_path names, over this text?"
    )]
    Mismatch,
}

/// The keys that sign requests. ring keeps a key's inner state, not the secret, and does not zero it: it lives as long as this.
#[derive(Clone)]
pub struct Keys(Vec<hmac::Key>);

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keys(redacted)")
    }
}

impl Keys {
    /// Keys of at most [`MAX_SECRETS`] secrets; of more the first ones. A secret that ends in a line feed is two keys: an editor
    /// adds one that the clients' copy has not, and some clients sign with the whole file.
    #[must_use]
    pub fn new(secrets: &[Secret]) -> Self {
        let keys = secrets.iter().take(MAX_SECRETS).flat_map(|secret| {
            let whole = secret.expose();
            whole.strip_suffix(b"\n").into_iter().chain([whole])
        });
        Self(keys.map(|key| hmac::Key::new(hmac::HMAC_SHA256, key)).collect())
    }

    /// Looks whether one of the keys signed the request. `key_id` is the one that its options name; `scratch` is a buffer that
    /// is used again and again.
    ///
    /// # Errors
    /// Why the request is not authentic.
    pub fn verify(
        &self,
        envelope: &Envelope<'_>,
        key_id: Option<&str>,
        scratch: &mut Vec<u8>,
    ) -> Result<(), Unauthentic> {
        let tag = unhex(&envelope.signature).ok_or(Unauthentic::NotHex)?;
        if let Some(id) = key_id {
            return Err(Unauthentic::UnknownKey(excerpt(id)));
        }
        let found = self.find(envelope, &tag, scratch);
        scratch.clear();
        scratch.shrink_to(SCRATCH_KEPT);
        if found { Ok(()) } else { Err(Unauthentic::Mismatch) }
    }

    fn find(&self, envelope: &Envelope<'_>, tag: &[u8], scratch: &mut Vec<u8>) -> bool {
        let mut tried: Vec<(Cow<'_, str>, Cow<'_, str>)> = Vec::new();
        for spelling in Spelling::ALL {
            for params in params(envelope, spelling).into_iter().flatten() {
                for options in options(envelope, spelling).into_iter().flatten() {
                    let pair = (params.clone(), options);
                    if tried.contains(&pair) {
                        continue;
                    }
                    write_text(scratch, envelope, &pair.0, &pair.1);
                    // hmac::verify compares in constant time.
                    if self.0.iter().any(|key| hmac::verify(key, scratch, tag).is_ok()) {
                        return true;
                    }
                    tried.push(pair);
                }
            }
        }
        false
    }
}

/// What may stand for the parameters in the signed text.
fn params<'a>(envelope: &Envelope<'a>, spelling: Spelling) -> [Option<Cow<'a, str>>; 2] {
    envelope.params.map_or([Some("{}".into()), Some("".into())], |text| spelled(text, spelling))
}

/// What may stand for the options; an empty text where there are none.
fn options<'a>(envelope: &Envelope<'a>, spelling: Spelling) -> [Option<Cow<'a, str>>; 2] {
    envelope.options.map_or([Some("".into()), None], |text| spelled(text, spelling))
}

/// PHP writes an empty object as `[]`; who read the message with something else signs `{}`.
fn spelled(text: &str, spelling: Spelling) -> [Option<Cow<'_, str>>; 2] {
    [spelling.of(text), is_empty_list(text).then_some("{}".into())]
}

/// `{command}:{params}:{timestamp}:{nonce}`, with `:{options}` if there are any.
fn write_text(out: &mut Vec<u8>, envelope: &Envelope<'_>, params: &str, options: &str) {
    let timestamp = envelope.timestamp.to_string();
    out.clear();
    for piece in [&*envelope.command, ":", params, ":", &timestamp, ":", &*envelope.nonce] {
        out.extend_from_slice(piece.as_bytes());
    }
    if envelope.options.is_some() {
        out.push(b':');
        out.extend_from_slice(options.as_bytes());
    }
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    let digit = |c: &u8| char::from(*c).to_digit(16).and_then(|value| u8::try_from(value).ok());
    let mut tag = [0; 32];
    if text.len() != 64 {
        return None;
    }
    for (byte, pair) in tag.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        *byte = pair.iter().try_fold(0_u8, |sum, c| Some((sum << 4) | digit(c)?))?;
    }
    Some(tag)
}
