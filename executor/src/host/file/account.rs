//! Owners and groups: names become ids here, once.
use crate::error::Error;
use nix::unistd::{self, Gid, Uid, User};
use reeve_shared::{AccountName, Accounts, Group, Owner};

/// The uid of an owner, if one was named.
///
/// # Errors
/// [`Error::NoAccount`].
pub(crate) fn uid(owner: Option<&Owner>) -> Result<Option<Uid>, Error> {
    owner
        .map(|owner| {
            resolve(owner, "user", Uid::from_raw, |name| User::from_name(name).map(|user| user.map(|user| user.uid)))
        })
        .transpose()
}

/// The gid of a group, if one was named.
///
/// # Errors
/// [`Error::NoAccount`].
pub(crate) fn gid(group: Option<&Group>) -> Result<Option<Gid>, Error> {
    group
        .map(|Group(group)| {
            resolve(group, "group", Gid::from_raw, |name| {
                unistd::Group::from_name(name).map(|group| group.map(|group| group.gid))
            })
        })
        .transpose()
}

/// The host's accounts and groups, wherever nsswitch.conf(5) says that they are kept.
pub(crate) struct HostAccounts;

impl Accounts for HostAccounts {
    type Error = Error;

    fn uid(&self, name: &AccountName) -> Result<u32, Error> {
        Ok(uid(Some(&Owner::Name(name.clone())))?.map_or(u32::MAX, Uid::as_raw))
    }

    fn gid(&self, name: &AccountName) -> Result<u32, Error> {
        Ok(gid(Some(&Group(Owner::Name(name.clone()))))?.map_or(u32::MAX, Gid::as_raw))
    }
}

fn resolve<Id>(
    owner: &Owner,
    kind: &'static str,
    of_number: impl Fn(u32) -> Id,
    of_name: impl Fn(&str) -> nix::Result<Option<Id>>,
) -> Result<Id, Error> {
    match owner {
        Owner::Id(id) => Ok(of_number(*id)),
        Owner::Name(name) => match of_name(name.as_str()) {
            Ok(Some(id)) => Ok(id),
            Ok(None) => Err(Error::NoAccount { kind, name: name.to_string() }),
            Err(why) => Err(Error::file(name.as_str(), "looking the account up", why)),
        },
    }
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
