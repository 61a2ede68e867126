//! Why a template was not rendered.
use reeve_shared::ErrorCode;
use reeve_shared::error::excerpt;

/// Why a template was not rendered. The text is for the log; a client sees only [`Error::code`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Neither the operator nor the package has it.
    #[error("there is no template {0:?}; a file of that name in paths.custom_templates_dir makes one, after a reload")]
    UnknownTemplate(String),
    /// A key that a shipped template doesn't have.
    #[error("template {template:?} has no key {key}; it has {known}")]
    UnknownKey {
        /// The template.
        template: &'static str,
        /// The beginning of the key, escaped.
        key: String,
        /// The keys that it has.
        known: String,
    },
    /// A key without a default that was left out.
    #[error("template {template:?} needs {key}: {expected}")]
    MissingKey {
        /// The template.
        template: &'static str,
        /// The key.
        key: &'static str,
        /// The grammar of its value, in words.
        expected: &'static str,
    },
    /// A value that breaks the grammar of its key.
    #[error("{key} of template {template:?} can't be {value}: expected {expected}")]
    Value {
        /// The template.
        template: &'static str,
        /// The key.
        key: &'static str,
        /// The beginning of the value, escaped; never that of a secret.
        value: String,
        /// The grammar, in words.
        expected: &'static str,
    },
    /// Values that are well formed one by one and can't stand together.
    #[error("the context of template {template:?} contradicts itself: {reason}")]
    Contradiction {
        /// The template.
        template: &'static str,
        /// What contradicts what, and the rule.
        reason: String,
    },
    /// A key or a text in an operator's template's context with a character that means something in configuration files.
    #[error("{text} in the context of template {template:?} has a control character or one of ; {{ }} ` $ \" ' \\")]
    Character {
        /// The template.
        template: String,
        /// The beginning of the text's key, escaped.
        text: String,
    },
    /// An operator's template that can't be read.
    #[error("template {template:?} has an error in line {line}: {reason}")]
    Syntax {
        /// The template.
        template: String,
        /// The line; 0 if it is not known.
        line: usize,
        /// What is wrong there.
        reason: String,
    },
    /// A template that failed as it ran.
    #[error("template {template:?} failed in line {line} of {at:?}: {reason}")]
    Render {
        /// The template.
        template: String,
        /// The template, included perhaps, that failed.
        at: String,
        /// The line there; 0 if it is not known.
        line: usize,
        /// What went wrong.
        reason: String,
    },
    /// A template that makes more than a file may hold.
    #[error("template {0:?} makes more than 16 MiB, which is more than a file may hold")]
    TooLong(String),
}

impl Error {
    /// What a client is told: each of these lies in the request, or in a template that the request should not have named.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        ErrorCode::ValidationError
    }

    pub(super) fn syntax(template: &str, error: &minijinja::Error) -> Self {
        Self::Syntax { template: template.to_owned(), line: error.line().unwrap_or(0), reason: reason(error) }
    }

    pub(super) fn render(template: &str, error: &minijinja::Error) -> Self {
        Self::Render {
            template: template.to_owned(),
            at: error.name().unwrap_or(template).to_owned(),
            line: error.line().unwrap_or(0),
            reason: reason(error),
        }
    }
}

/// The engine's own words. A detail may hold a name from the context, so it is cut and escaped.
fn reason(error: &minijinja::Error) -> String {
    match error.detail() {
        Some(detail) => format!("{}: {}", error.kind(), excerpt(detail)),
        None => error.kind().to_string(),
    }
}
