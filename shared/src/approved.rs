//! The proof that a command passed the policy. Every action takes one, and there is one place to get it.
use crate::error::Error;
use crate::policy::Policy;
use serde::{Deserialize, Serialize};

/// Who asks, as the kernel said at connect time (SO_PEERCRED, unix(7)).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Caller {
    /// The peer's effective uid.
    pub uid: u32,
    /// The peer's effective gid.
    pub gid: u32,
    /// The peer's process id.
    pub pid: i32,
}

/// A value of this type can say whether the policy allows it to this caller. There is one impl a field type, so a command with
/// a field that can't answer does not compile.
pub trait Permit {
    /// # Errors
    /// What is not allowed.
    fn permit(&self, policy: &Policy, caller: &Caller) -> Result<(), Error>;
}

impl<T: Permit> Permit for Option<T> {
    fn permit(&self, policy: &Policy, caller: &Caller) -> Result<(), Error> {
        self.as_ref().map_or(Ok(()), |value| value.permit(policy, caller))
    }
}

/// A value that this process's policy allows. It can't be decoded, cloned or built elsewhere:
///
/// ```compile_fail
/// let forged = reeve_shared::Approved(());
/// ```
/// ```compile_fail
/// fn decode<T: serde::de::DeserializeOwned>() {}
/// decode::<reeve_shared::Approved<reeve_shared::command::SystemPing>>();
/// ```
/// ```compile_fail
/// fn twice<T: Clone>() {}
/// twice::<reeve_shared::Approved<reeve_shared::command::SystemPing>>();
/// ```
#[derive(Debug)]
pub struct Approved<T>(T);

impl<T: Permit> Approved<T> {
    /// The only source of an `Approved`: the caller may call, and every field is allowed to him.
    ///
    /// # Errors
    /// The first thing that is not allowed.
    pub fn check(value: T, policy: &Policy, caller: &Caller) -> Result<Self, Error> {
        policy.permit_caller(caller)?;
        value.permit(policy, caller)?;
        Ok(Self(value))
    }
}

impl<T> Approved<T> {
    /// The value.
    #[must_use]
    pub fn get(&self) -> &T {
        &self.0
    }

    pub(crate) fn get_mut(&mut self) -> &mut T {
        &mut self.0
    }

    /// The value, giving up the proof.
    #[must_use]
    pub fn into_inner(self) -> T {
        self.0
    }

    /// Carries the proof of a command over to its parameters.
    pub(crate) fn carry(value: T) -> Self {
        Self(value)
    }
}
