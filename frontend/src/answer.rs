//! Answers as clients read them: a 4-byte big-endian length and JSON. Nothing but fixed texts and the table's fields gets in.
use crate::frame::HEADER;
use reeve_shared::{ErrorCode, Outcome, RequestId};
use serde::{Serialize, Serializer};

#[derive(Serialize)]
struct Success<'a> {
    success: bool,
    request_id: Text<RequestId>,
    nonce: &'a str,
    data: Data<'a>,
}

#[derive(Serialize)]
struct Failure<'a> {
    success: bool,
    request_id: Text<RequestId>,
    nonce: Option<&'a str>,
    error: ErrorText,
}

#[derive(Serialize)]
struct ErrorText {
    code: &'static str,
    message: &'static str,
}

struct Text<T>(T);
impl<T: std::fmt::Display> Serialize for Text<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

struct Data<'a>(&'a Outcome);
impl Serialize for Data<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize_data(serializer)
    }
}

/// Appends the answer to the request of `nonce`.
pub(crate) fn append(out: &mut Vec<u8>, request_id: RequestId, nonce: &str, result: Result<&Outcome, ErrorCode>) {
    match result {
        Ok(outcome) => {
            let success = Success { success: true, request_id: Text(request_id), nonce, data: Data(outcome) };
            if !append_message(out, &success) {
                append_error(out, request_id, Some(nonce), ErrorCode::InternalError);
            }
        }
        Err(code) => append_error(out, request_id, Some(nonce), code),
    }
}

/// Appends an error answer. `nonce` is `None` if no well-formed one was read.
pub(crate) fn append_error(out: &mut Vec<u8>, request_id: RequestId, nonce: Option<&str>, code: ErrorCode) {
    let error = ErrorText { code: code.as_str(), message: code.message() };
    // Strings and an id: this can't fail.
    append_message(out, &Failure { success: false, request_id: Text(request_id), nonce, error });
}

/// Appends a whole message, or nothing.
fn append_message(out: &mut Vec<u8>, message: &impl Serialize) -> bool {
    let begin = out.len();
    out.extend_from_slice(&[0; HEADER]);
    let written = serde_json::to_writer(&mut *out, message).is_ok();
    let body = begin.saturating_add(HEADER);
    let length = u32::try_from(out.len().saturating_sub(body));
    match (written, length, out.get_mut(begin..body)) {
        (true, Ok(length), Some(header)) => {
            header.copy_from_slice(&length.to_be_bytes());
            true
        }
        _ => {
            out.truncate(begin);
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use reeve_shared::AbsolutePath;
    use reeve_shared::command::{FileDeleted, Metrics, Pong, Reason};

    fn id() -> RequestId {
        RequestId::from_random([0; 16])
    }

    fn text(append: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = b"before".to_vec();
        append(&mut out);
        let message = &out[6..];
        let (length, body) = message.split_first_chunk().unwrap();
        assert_eq!(usize::try_from(u32::from_be_bytes(*length)), Ok(body.len()));
        String::from_utf8(body.to_vec()).unwrap()
    }

    #[test]
    fn a_success_has_the_tables_fields() {
        let pong = Outcome::SystemPing(Pong { timestamp: 7, request_id: id() });
        assert_eq!(
            text(|out| append(out, id(), "n", Ok(&pong))),
            r#"{"success":true,"request_id":"00000000-0000-4000-8000-000000000000","nonce":"n","data":{"pong":true,"timestamp":7,"request_id":"00000000-0000-4000-8000-000000000000"}}"#
        );
        let deleted = |deleted, reason| {
            let path = AbsolutePath::try_from("/home/a").unwrap();
            text(|out| append(out, id(), "n", Ok(&Outcome::FileDelete(FileDeleted { path, deleted, reason }))))
        };
        assert!(deleted(true, None).ends_with(r#""data":{"path":"/home/a","deleted":true}}"#));
        assert!(deleted(false, Some(Reason::NotFound)).ends_with(r#""deleted":false,"reason":"not_found"}}"#));
        let metrics = Metrics {
            uptime_seconds: 1,
            requests_total: 2,
            requests_failed: 3,
            active_connections: 4,
            nonce_store_size: 5,
            version: "0".to_owned(),
        };
        assert!(
            text(|out| append(out, id(), "n", Ok(&Outcome::SystemMetrics(metrics))))
                .contains(r#""nonce_store_size":5,"version":"0""#)
        );
    }

    #[test]
    fn an_error_has_its_fixed_text_and_a_nonce_or_null() {
        for code in ErrorCode::ALL {
            let answer = text(|out| append(out, id(), "n", Err(*code)));
            let end = format!(r#""nonce":"n","error":{{"code":"{}","message":"{}"}}}}"#, code.as_str(), code.message());
            assert!(answer.starts_with(r#"{"success":false,"#) && answer.ends_with(&end), "{answer}");
        }
        assert!(text(|out| append_error(out, id(), None, ErrorCode::Busy)).contains(r#""nonce":null"#));
    }
}
