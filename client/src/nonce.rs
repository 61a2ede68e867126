//! The number that makes each request one of its kind.
use crate::error::Error;
use crate::sign::hex;
use ring::rand::{SecureRandom, SystemRandom};

/// A fresh nonce: 128 random bits, as 32 hexadecimal digits.
///
/// # Errors
/// [`Error::NoRandomness`].
pub fn fresh() -> Result<String, Error> {
    let mut bytes = [0; 16];
    SystemRandom::new().fill(&mut bytes).map_err(|_| Error::NoRandomness)?;
    Ok(hex(&bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn no_nonce_comes_twice_and_each_is_well_formed() {
        let nonces: HashSet<_> = (0..1000).map(|_| fresh().unwrap()).collect();
        assert_eq!(nonces.len(), 1000);
        assert!(nonces.iter().all(|nonce| nonce.len() == 32 && nonce.bytes().all(|c| c.is_ascii_hexdigit())));
    }
}
