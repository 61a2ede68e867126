//! What is asked for.
use crate::error::Error;
use crate::nonce;
use crate::sign::Key;
use serde::Serialize;
use serde_json::value::RawValue;
use std::time::{SystemTime, UNIX_EPOCH};

/// A request. Its parameters and options are sent as they were written: the daemon judges them.
#[derive(Clone, Debug, Serialize)]
pub struct Request {
    /// The command's name, `file.write`.
    pub command: String,
    /// Its parameters.
    pub params: Box<RawValue>,
    /// Unix seconds.
    pub timestamp: u64,
    /// 16 to 128 characters of `[A-Za-z0-9_-]`, different in each request.
    pub nonce: String,
    /// The request's options, if it has any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub options: Option<Box<RawValue>>,
}

impl Request {
    /// A request of this moment, with a nonce of its own and without options.
    ///
    /// # Errors
    /// [`Error::NotJson`] if `params` aren't; [`Error::NoRandomness`], [`Error::Clock`].
    pub fn new(command: &str, params: &str) -> Result<Self, Error> {
        Ok(Self {
            command: command.to_owned(),
            params: json("the parameters", params)?,
            timestamp: SystemTime::now().duration_since(UNIX_EPOCH).map_err(|_| Error::Clock)?.as_secs(),
            nonce: nonce::fresh()?,
            options: None,
        })
    }

    /// The same with options: `{"key_id": "..."}`.
    ///
    /// # Errors
    /// [`Error::NotJson`] if `options` aren't.
    pub fn with_options(self, options: &str) -> Result<Self, Error> {
        Ok(Self { options: Some(json("the options", options)?), ..self })
    }

    /// The signed message, as it stands in a frame.
    ///
    /// # Errors
    /// [`Error::NotJson`]; no request that this type can hold is known to give it.
    pub fn message(&self, key: &Key) -> Result<Vec<u8>, Error> {
        #[derive(Serialize)]
        struct Signed<'a> {
            #[serde(flatten)]
            request: &'a Request,
            signature: String,
        }
        let options = self.options.as_ref().map(|options| options.get());
        let signature = key.sign(&self.command, self.params.get(), self.timestamp, &self.nonce, options);
        serde_json::to_vec(&Signed { request: self, signature })
            .map_err(|error| Error::NotJson { what: "the message's fields", reason: error.to_string() })
    }
}

fn json(what: &'static str, text: &str) -> Result<Box<RawValue>, Error> {
    RawValue::from_string(text.to_owned()).map_err(|error| Error::NotJson { what, reason: error.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "0123456789abcdef0123456789abcdef";

    #[test]
    fn parameters_are_sent_and_signed_as_they_were_written() {
        let params = r#"{ "b":1.50,"a" : "\u00e9", "a": [ ] }"#;
        let key = Key::new(KEY.into()).unwrap();
        let request = Request::new("a.b", &format!(" {params}\n")).unwrap();
        let message = String::from_utf8(request.message(&key).unwrap()).unwrap();
        let signature = key.sign("a.b", params, request.timestamp, &request.nonce, None);
        assert_eq!(
            message,
            format!(
                r#"{{"command":"a.b","params":{params},"timestamp":{},"nonce":"{}","signature":"{signature}"}}"#,
                request.timestamp, request.nonce
            )
        );
        let message = request.with_options("{ }").unwrap().message(&key).unwrap();
        assert!(String::from_utf8(message).unwrap().contains(r#","options":{ },"signature":""#));
    }

    #[test]
    fn what_is_not_json_is_not_sent() {
        for bad in ["", "{", "{} {}", "{'a': 1}", "nginx"] {
            assert!(matches!(Request::new("a.b", bad), Err(Error::NotJson { .. })), "{bad:?}");
        }
        assert!(Request::new("a.b", "{}").unwrap().with_options("{,}").is_err());
    }
}
