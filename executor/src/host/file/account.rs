//! Owners and groups: names become ids here, once.
use crate::{Error, beneath::Attributes, error::OrFailed};
use nix::unistd::{self, Gid, Uid, User};
use reeve_shared::{AccountName, Accounts, FileMode, Group, Owner};

/// What a command says of owner, group and mode.
pub(super) struct Wanted {
    uid: Option<Uid>,
    gid: Option<Gid>,
    mode: Option<FileMode>,
}

impl Wanted {
    /// # Errors
    /// [`Error::NoAccount`].
    pub(super) fn new(owner: Option<&Owner>, group: Option<&Group>, mode: Option<FileMode>) -> Result<Self, Error> {
        Ok(Self { uid: uid(owner)?, gid: gid(group)?, mode })
    }

    /// The attributes that it makes of `others`: what it doesn't say stays as it is there.
    pub(super) fn or(&self, others: Attributes) -> Attributes {
        Attributes {
            uid: self.uid.unwrap_or(others.uid),
            gid: self.gid.unwrap_or(others.gid),
            mode: self.mode.unwrap_or(others.mode),
        }
    }
}

/// The uid of an owner, if one was named.
///
/// # Errors
/// [`Error::NoAccount`].
pub(crate) fn uid(owner: Option<&Owner>) -> Result<Option<Uid>, Error> {
    Ok(owner.map(|owner| id(owner, |name| HostAccounts.uid(name))).transpose()?.map(Uid::from_raw))
}

/// The gid of a group, if one was named.
///
/// # Errors
/// [`Error::NoAccount`].
pub(crate) fn gid(group: Option<&Group>) -> Result<Option<Gid>, Error> {
    Ok(group.map(|Group(group)| id(group, |name| HostAccounts.gid(name))).transpose()?.map(Gid::from_raw))
}

fn id(owner: &Owner, look_up: impl Fn(&AccountName) -> Result<u32, Error>) -> Result<u32, Error> {
    match owner {
        Owner::Id(id) => Ok(*id),
        Owner::Name(name) => look_up(name),
    }
}

/// The host's accounts and groups, wherever nsswitch.conf(5) says that they are kept.
pub(crate) struct HostAccounts;

impl Accounts for HostAccounts {
    type Error = Error;

    fn uid(&self, name: &AccountName) -> Result<u32, Error> {
        Ok(found("user", name, User::from_name(name.as_str()))?.uid.as_raw())
    }

    fn gid(&self, name: &AccountName) -> Result<u32, Error> {
        Ok(found("group", name, unistd::Group::from_name(name.as_str()))?.gid.as_raw())
    }
}

fn found<T>(kind: &'static str, name: &AccountName, entry: nix::Result<Option<T>>) -> Result<T, Error> {
    let entry = entry.or_failed(name.as_str(), "looking the account up")?;
    entry.ok_or_else(|| Error::NoAccount { kind, name: name.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stand_for_themselves_and_names_are_looked_up() {
        let owner = |text: &str| Owner::try_from(text).unwrap();
        assert_eq!(uid(None).unwrap(), None);
        assert_eq!(uid(Some(&owner("root"))).unwrap(), Some(Uid::from_raw(0)));
        assert_eq!(uid(Some(&owner("4000000000"))).unwrap(), Some(Uid::from_raw(4_000_000_000)));
        assert_eq!(gid(Some(&Group(owner("root")))).unwrap(), Some(Gid::from_raw(0)));
        assert_eq!(gid(Some(&Group(owner("12")))).unwrap(), Some(Gid::from_raw(12)));
        let absent = owner("no-such-account-here");
        assert!(matches!(uid(Some(&absent)), Err(Error::NoAccount { kind: "user", .. })));
        let root = AccountName::try_from("root").unwrap();
        assert_eq!((HostAccounts.uid(&root).unwrap(), HostAccounts.gid(&root).unwrap()), (0, 0));
        assert!(matches!(gid(Some(&Group(absent))), Err(Error::NoAccount { kind: "group", .. })));
    }
}
