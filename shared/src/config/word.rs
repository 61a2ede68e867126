//! Settings that take one of a few words.
use serde::Deserialize;

/// Makes an enum whose variants the configuration spells in lower case.
macro_rules! words {
    ($(#[$about:meta])* $Name:ident { $( $(#[$doc:meta])* $Variant:ident = $word:literal, )* }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
        #[serde(rename_all = "lowercase")]
        pub enum $Name { $( $(#[$doc])* $Variant, )* }

        impl $Name {
            /// Every one, in order.
            pub const ALL: &'static [Self] = &[$( Self::$Variant, )*];

            /// As the configuration spells it.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $( Self::$Variant => $word, )* }
            }
        }
    };
}

words! {
    /// How severe a line of the log is, the most severe first.
    Level {
        /// Something failed.
        Error = "error",
        /// Something is not as it should be.
        Warn = "warn",
        /// What an operator wants to know.
        Info = "info",
        /// What a developer wants to know.
        Debug = "debug",
        /// Everything.
        Trace = "trace",
    }
}

words! {
    /// How a line of the log looks.
    Format {
        /// `2026-01-01T00:00:00.000000Z INFO message key=value`.
        Pretty = "pretty",
        /// One JSON object.
        Json = "json",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_word_is_read_as_it_is_written() {
        for level in Level::ALL {
            let read: Level = serde_json::from_str(&format!("\"{}\"", level.as_str())).unwrap();
            assert_eq!(read, *level);
        }
        for format in Format::ALL {
            let read: Format = serde_json::from_str(&format!("\"{}\"", format.as_str())).unwrap();
            assert_eq!(read, *format);
        }
        assert!(serde_json::from_str::<Level>("\"INFO\"").is_err());
    }
}
