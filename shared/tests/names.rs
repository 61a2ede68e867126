//! Properties of every type with a grammar: what gets in fits it, by whatever door, and comes out as it went in.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test")]
use proptest::prelude::*;
use reeve_shared::{
    AbsolutePath, AccountName, DomainName, Error, FileMode, Owner, PackageName, PathPrefix, PhpExtension, PhpSetting,
    PhpVersion, Repository, ServiceName, SiteName, TemplateName, UserName,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt::Debug;

/// Text that is often nearly a name, and sometimes anything.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z0-9._@/+:-]{0,40}",
        "(ppa:)?[a-z]{1,5}/[a-z.;]{1,5}",
        "/([a-z.]{0,3}/){0,4}[a-z.]{1,3}",
        "[0-7]{2,5}",
        "[0-9.]{1,12}",
        any::<String>()
    ]
}

/// JSON, bincode and the constructor agree on what is well formed; what is, is unchanged by a way there and back.
fn one_door<T>(text: &str) -> Option<T>
where
    T: TryFrom<String, Error = Error> + Serialize + DeserializeOwned + PartialEq + Debug,
{
    let made = T::try_from(text.to_owned()).ok();
    let json: Option<T> = serde_json::from_value(text.into()).ok();
    let wire: Option<T> = bincode::deserialize(&bincode::serialize(text).unwrap()).ok();
    assert_eq!((&made, &made), (&json, &wire), "{text:?}");
    if let Some(made) = &made {
        let again: T = bincode::deserialize(&bincode::serialize(made).unwrap()).unwrap();
        assert_eq!(&again, made);
        assert_eq!(&serde_json::from_str::<T>(&serde_json::to_string(made).unwrap()).unwrap(), made);
    }
    made
}

/// No name can be taken for an option, an absolute path, two words or a line.
fn harmless(text: &str) -> bool {
    !text.is_empty()
        && text.is_ascii()
        && !text.starts_with(['-', '.', '/'])
        && text.bytes().all(|c| c.is_ascii_graphic() && !b"\\\"'`$&|;<>(){}[]*?!#~%^=,".contains(&c))
}

macro_rules! names {
    ($($test:ident: $Name:ident;)*) => { proptest! {$(
        #[test]
        fn $test(text in text()) {
            if let Some(name) = one_door::<$Name>(&text) {
                prop_assert!(harmless(name.as_str()), "{:?}", name);
            }
        }
    )*} };
}

names! {
    service_names: ServiceName;
    package_names: PackageName;
    php_versions: PhpVersion;
    php_extensions: PhpExtension;
    php_settings: PhpSetting;
    repositories: Repository;
    user_names: UserName;
    account_names: AccountName;
    site_names: SiteName;
    template_names: TemplateName;
    domain_names: DomainName;
}

proptest! {
    #[test]
    fn names_that_become_paths_stay_in_their_folder(text in text()) {
        let named = [SiteName::try_from(text.as_str()).is_ok(), TemplateName::try_from(text.as_str()).is_ok()];
        prop_assert!(!text.contains("..") || named == [false; 2], "{:?}", text);
        prop_assert!(!text.contains('/') || !named[0], "{:?}", text);
    }

    #[test]
    fn paths(text in text()) {
        if let Some(path) = one_door::<AbsolutePath>(&text) {
            prop_assert!(path.components().all(|c| !c.is_empty() && c != "." && c != ".."));
            prop_assert_eq!(format!("/{}", path.components().collect::<Vec<_>>().join("/")), text);
        }
    }

    #[test]
    fn prefixes(text in text(), below in "[a-z]{1,5}") {
        if let Some(prefix) = one_door::<PathPrefix>(&text) {
            let path = AbsolutePath::try_from(format!("{}/{below}", prefix.folder())).unwrap();
            prop_assert_eq!(prefix.strip(&path), Some(below.as_str()));
            prop_assert_eq!(prefix.strip(prefix.folder()), None);
        }
    }

    #[test]
    fn modes(text in text(), bits in any::<u16>()) {
        if let Ok(mode) = FileMode::try_from(text.as_str()) {
            prop_assert!(mode.bits() <= 0o777);
            prop_assert_eq!(FileMode::try_from(mode.to_string().as_str()), Ok(mode));
            prop_assert_eq!(u32::from_str_radix(&text, 8), Ok(mode.bits()));
        }
        prop_assert_eq!(bincode::deserialize::<FileMode>(&bincode::serialize(&bits).unwrap()).is_ok(), bits <= 0o777);
    }

    #[test]
    fn owners(text in text(), id in any::<u32>()) {
        if let Ok(owner) = Owner::try_from(text.as_str()) {
            prop_assert_eq!(matches!(owner, Owner::Id(_)), text.bytes().all(|c| c.is_ascii_digit()));
            prop_assert_eq!(bincode::deserialize::<Owner>(&bincode::serialize(&owner).unwrap()).unwrap(), owner);
        }
        prop_assert_eq!(serde_json::from_str::<Owner>(&id.to_string()).is_ok(), id != u32::MAX);
    }
}
