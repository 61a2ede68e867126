//! File modes as clients write them.
use crate::error::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::fmt;

/// The nine permission bits of a file: never set-uid, set-gid or sticky. In JSON an octal string, `"644"` or `"0644"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileMode(u16);

impl FileMode {
    const EXPECTED: &'static str = "three octal digits, or four of which the first is 0";

    /// `bits` masked with 0777, as a file that exists has them.
    #[must_use]
    pub fn masked(bits: u32) -> Self {
        Self(u16::try_from(bits & 0o777).unwrap_or(0))
    }

    /// The bits, 0 to 0o777.
    #[must_use]
    pub fn bits(self) -> u32 {
        u32::from(self.0)
    }
}

impl TryFrom<&str> for FileMode {
    type Error = Error;
    fn try_from(text: &str) -> Result<Self, Error> {
        let digits = if text.len() == 4 { text.strip_prefix('0').unwrap_or("") } else { text };
        let bits = (digits.len() == 3 && digits.bytes().all(|c| (b'0'..=b'7').contains(&c)))
            .then(|| u16::from_str_radix(digits, 8).ok())
            .flatten();
        bits.map(Self).ok_or_else(|| Error::malformed("file mode", text, Self::EXPECTED))
    }
}

impl TryFrom<u16> for FileMode {
    type Error = Error;
    fn try_from(bits: u16) -> Result<Self, Error> {
        if bits <= 0o777 {
            Ok(Self(bits))
        } else {
            Err(Error::malformed("file mode", &format!("{bits:o}"), Self::EXPECTED))
        }
    }
}

/// As the protocol spells it in answers: four octal digits.
impl fmt::Display for FileMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04o}", self.0)
    }
}

impl Serialize for FileMode {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() { serializer.collect_str(self) } else { serializer.serialize_u16(self.0) }
    }
}

impl<'de> Deserialize<'de> for FileMode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            Self::try_from(String::deserialize(deserializer)?.as_str()).map_err(de::Error::custom)
        } else {
            Self::try_from(u16::deserialize(deserializer)?).map_err(de::Error::custom)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_and_bad_modes() {
        for (text, bits) in [("644", 0o644), ("0644", 0o644), ("000", 0), ("0777", 0o777)] {
            assert_eq!(FileMode::try_from(text).unwrap().bits(), bits);
        }
        for bad in ["", "7", "64", "4755", "1777", "02755", "00644", "0o644", "689", "-644", "+644", " 644", "rwx"] {
            assert!(FileMode::try_from(bad).is_err(), "{bad:?}");
        }
        assert_eq!(FileMode::masked(0o104_755).to_string(), "0755");
    }

    #[test]
    fn set_id_bits_come_in_neither_by_json_nor_by_bincode() {
        assert!(serde_json::from_str::<FileMode>("\"0755\"").is_ok());
        assert!(serde_json::from_str::<FileMode>("\"4755\"").is_err());
        assert!(serde_json::from_str::<FileMode>("493").is_err());
        let wire = bincode::serialize(&0o755_u16).unwrap();
        assert_eq!(bincode::deserialize::<FileMode>(&wire).unwrap().bits(), 0o755);
        assert!(bincode::deserialize::<FileMode>(&bincode::serialize(&0o4755_u16).unwrap()).is_err());
    }
}
