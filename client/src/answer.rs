//! What the daemon says.
use crate::error::Error;
use reeve_shared::ErrorCode;
use serde::de::DeserializeOwned;
use serde::ser::SerializeStruct;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::RawValue;

/// The answer to a command that was carried out. Serialized, it is the public answer again.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The id under which log and audit trail have the request.
    pub request_id: String,
    /// The request's nonce.
    pub nonce: String,
    /// The command's data, as the daemon wrote it.
    pub data: Box<RawValue>,
}

impl Answer {
    /// Reads the data.
    ///
    /// # Errors
    /// [`Error::MalformedAnswer`] if it is none of a `T`.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, Error> {
        serde_json::from_str(self.data.get()).map_err(|error| Error::MalformedAnswer(error.to_string()))
    }
}

/// The answer to a request that was refused, or to a command that failed. Serialized, it is the public answer again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message} (request {request_id})")]
pub struct Failure {
    /// The error's code, `VALIDATION_ERROR`.
    pub code: String,
    /// The text that always goes with that code.
    pub message: String,
    /// The id under which log and audit trail have the request.
    pub request_id: String,
    /// The request's nonce; `None` if the daemon could read none, or speaks of the connection.
    pub nonce: Option<String>,
}

impl Failure {
    /// The code, unless it is one of a command's own.
    #[must_use]
    pub fn known(&self) -> Option<ErrorCode> {
        ErrorCode::ALL.iter().copied().find(|code| code.as_str() == self.code)
    }
}

impl Serialize for Answer {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut answer = serializer.serialize_struct("Answer", 4)?;
        answer.serialize_field("success", &true)?;
        answer.serialize_field("request_id", &self.request_id)?;
        answer.serialize_field("nonce", &self.nonce)?;
        answer.serialize_field("data", &self.data)?;
        answer.end()
    }
}

impl Serialize for Failure {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Reason<'a> {
            code: &'a str,
            message: &'a str,
        }
        let mut answer = serializer.serialize_struct("Failure", 4)?;
        answer.serialize_field("success", &false)?;
        answer.serialize_field("request_id", &self.request_id)?;
        answer.serialize_field("nonce", &self.nonce)?;
        answer.serialize_field("error", &Reason { code: &self.code, message: &self.message })?;
        answer.end()
    }
}

/// Reads a message of the daemon's.
pub(crate) fn parse(message: &[u8]) -> Result<Result<Answer, Failure>, Error> {
    #[derive(Deserialize)]
    struct Wire {
        success: bool,
        request_id: String,
        nonce: Option<String>,
        data: Option<Box<RawValue>>,
        error: Option<Reason>,
    }
    #[derive(Deserialize)]
    struct Reason {
        code: String,
        message: String,
    }
    let malformed = |reason: &str| Error::MalformedAnswer(reason.to_owned());
    let Wire { success, request_id, nonce, data, error } =
        serde_json::from_slice(message).map_err(|error| malformed(&error.to_string()))?;
    match (success, data, error) {
        (true, Some(data), None) if data.get().starts_with('{') => {
            let nonce = nonce.ok_or_else(|| malformed("a success without a nonce"))?;
            Ok(Ok(Answer { request_id, nonce, data }))
        }
        (false, None, Some(Reason { code, message })) => Ok(Err(Failure { code, message, request_id, nonce })),
        (true, ..) => Err(malformed("a success without data")),
        (false, ..) => Err(malformed("a failure without a code")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_are_read_and_written_again() {
        for text in [
            r#"{"success":true,"request_id":"r","nonce":"n","data":{"a":[1, 2.50]}}"#,
            r#"{"success":false,"request_id":"r","nonce":null,"error":{"code":"BUSY","message":"m"}}"#,
            r#"{"success":false,"request_id":"r","nonce":"n","error":{"code":"OWN","message":"m"}}"#,
        ] {
            let again = match parse(text.as_bytes()).unwrap() {
                Ok(answer) => serde_json::to_string(&answer),
                Err(failure) => serde_json::to_string(&failure),
            };
            assert_eq!(again.unwrap(), text);
        }
    }

    #[test]
    fn what_is_no_answer_is_malformed() {
        for bad in [
            "",
            "[]",
            "{}",
            "hello",
            r#"{"success":true,"request_id":"r","nonce":"n"}"#,
            r#"{"success":true,"request_id":"r","nonce":"n","data":[]}"#,
            r#"{"success":true,"request_id":"r","nonce":null,"data":{}}"#,
            r#"{"success":true,"request_id":"r","nonce":"n","data":{},"error":{"code":"c","message":"m"}}"#,
            r#"{"success":false,"request_id":"r","nonce":"n","data":{}}"#,
            r#"{"success":false,"request_id":"r","nonce":"n"}"#,
            r#"{"success":false,"nonce":"n","error":{"code":"c","message":"m"}}"#,
        ] {
            assert!(matches!(parse(bad.as_bytes()), Err(Error::MalformedAnswer(_))), "{bad}");
        }
    }

    #[test]
    fn codes_of_the_table_are_known_and_a_commands_own_is_not() {
        let failure =
            |code: &str| Failure { code: code.into(), message: String::new(), request_id: String::new(), nonce: None };
        assert!(ErrorCode::ALL.iter().all(|code| failure(code.as_str()).known() == Some(*code)));
        assert_eq!(failure("GRANT_FAILED").known(), None);
    }
}
