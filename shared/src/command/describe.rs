//! What the structs of a command say about themselves, and the macros that write those structs.
use crate::{AbsolutePath, Accounts, Content, FileMode, Group, Owner, TemplateName};
use serde::{Deserialize, Deserializer};
use std::borrow::Cow;

/// A parameter as a client writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// Its name.
    pub name: &'static str,
    /// What it is, in one line.
    pub summary: &'static str,
    /// What is written for it.
    pub kind: Kind,
    /// Whether it must be there.
    pub required: bool,
}

/// The form of a parameter in JSON, and in the client's arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An absolute path.
    Path,
    /// Text, as long as a message may be.
    Content,
    /// A number or a name.
    Owner,
    /// An octal string.
    Mode,
    /// `true` or `false`.
    Flag,
    /// A name of one word.
    Name,
    /// An object of names and values.
    Object,
    /// A number.
    Number,
}

/// How a type is written by clients.
pub trait Described {
    /// Its form.
    const KIND: Kind;
    /// Whether a parameter of this type must be there: not if it has a default.
    const REQUIRED: bool = true;
}

/// A parameter as the audit trail keeps it. What is redacted is so by its type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recorded<'a> {
    /// Not given.
    Absent,
    /// A flag.
    Flag(bool),
    /// A number.
    Number(u64),
    /// Text, as it is.
    Text(Cow<'a, str>),
    /// Content: the trail has its size and SHA-256.
    Content(&'a [u8]),
    /// A secret: the trail has only that there was one.
    Secret,
}

/// A value of this type can say what the audit trail keeps of it.
pub trait Audited {
    /// What is kept.
    fn recorded(&self) -> Recorded<'_>;

    /// Replaces names of accounts by their ids, so that what is recorded is what is done.
    ///
    /// # Errors
    /// Those of `accounts`.
    fn resolve<A: Accounts>(&mut self, _accounts: &A) -> Result<(), A::Error> {
        Ok(())
    }
}

/// One row a field type: the type, its form, what is recorded of it.
macro_rules! fields {
    ($($Type:ty: $Kind:ident, $value:ident => $recorded:expr;)*) => {$(
        impl Described for $Type {
            const KIND: Kind = Kind::$Kind;
        }
        impl Audited for $Type {
            fn recorded(&self) -> Recorded<'_> {
                let $value = self;
                $recorded
            }
        }
    )*};
}

fields! {
    AbsolutePath: Path, path => Recorded::Text(path.as_str().into());
    TemplateName: Name, name => Recorded::Text(name.as_str().into());
    Content: Content, content => Recorded::Content(content.as_bytes());
    FileMode: Mode, mode => Recorded::Text(mode.to_string().into());
    u64: Number, number => Recorded::Number(*number);
}

impl Described for Owner {
    const KIND: Kind = Kind::Owner;
}
impl Audited for Owner {
    fn recorded(&self) -> Recorded<'_> {
        match self {
            Self::Id(id) => Recorded::Number((*id).into()),
            Self::Name(name) => Recorded::Text(name.as_str().into()),
        }
    }
    fn resolve<A: Accounts>(&mut self, accounts: &A) -> Result<(), A::Error> {
        if let Self::Name(name) = self {
            *self = Self::Id(accounts.uid(name)?);
        }
        Ok(())
    }
}
impl Described for Group {
    const KIND: Kind = Kind::Owner;
}
impl Audited for Group {
    fn recorded(&self) -> Recorded<'_> {
        self.0.recorded()
    }
    fn resolve<A: Accounts>(&mut self, accounts: &A) -> Result<(), A::Error> {
        if let Owner::Name(name) = &self.0 {
            self.0 = Owner::Id(accounts.gid(name)?);
        }
        Ok(())
    }
}

impl Described for bool {
    const KIND: Kind = Kind::Flag;
    const REQUIRED: bool = false;
}
impl Audited for bool {
    fn recorded(&self) -> Recorded<'_> {
        Recorded::Flag(*self)
    }
}
impl<T: Described> Described for Option<T> {
    const KIND: Kind = T::KIND;
    const REQUIRED: bool = false;
}
impl<T: Audited> Audited for Option<T> {
    fn recorded(&self) -> Recorded<'_> {
        self.as_ref().map_or(Recorded::Absent, T::recorded)
    }
    fn resolve<A: Accounts>(&mut self, accounts: &A) -> Result<(), A::Error> {
        self.as_mut().map_or(Ok(()), |value| value.resolve(accounts))
    }
}

/// Reads an optional parameter that is there. In JSON it must be a value: null is refused, absent is `default`'s to say.
pub(super) fn present<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    if deserializer.is_human_readable() {
        T::deserialize(deserializer).map(Some)
    } else {
        Option::deserialize(deserializer)
    }
}

/// Writes the struct of a command's public parameters, with unknown ones refused, and its list of [`Parameter`]s.
macro_rules! request {
    (
        $(#[$meta:meta])*
        pub struct $Name:ident { $(
            #[doc = $doc:literal]
            $(#[serde($($serde:tt)*)])?
            $field:ident: $Type:ty,
        )* }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct $Name { $( #[doc = $doc] $(#[serde($($serde)*)])? pub $field: $Type ),* }

        impl $Name {
            /// The parameters, as a client writes them.
            pub const PARAMETERS: &'static [$crate::command::Parameter] = &[$( $crate::command::Parameter {
                name: stringify!($field),
                summary: $doc,
                kind: <$Type as $crate::command::describe::Described>::KIND,
                required: <$Type as $crate::command::describe::Described>::REQUIRED,
            } ),*];
        }
    };
}

/// Writes the struct of a command's parameters as they cross the link: a request whose fields answer
/// [`Permit`](crate::Permit) and [`Audited`]; a field that can't does not compile.
macro_rules! parameters {
    (
        $(#[$meta:meta])*
        pub struct $Name:ident { $(
            #[doc = $doc:literal]
            $(#[serde($($serde:tt)*)])?
            $field:ident: $Type:ty,
        )* }
    ) => {
        $crate::command::describe::request! {
            $(#[$meta])*
            #[derive(serde::Serialize)]
            pub struct $Name { $( #[doc = $doc] $(#[serde($($serde)*)])? $field: $Type, )* }
        }
        impl $crate::approved::Permit for $Name {
            fn permit(&self, _policy: &$crate::policy::Policy, _caller: &$crate::approved::Caller) -> Result<(), $crate::error::Error> {
                $( $crate::approved::Permit::permit(&self.$field, _policy, _caller)?; )*
                Ok(())
            }
        }
        impl $Name {
            pub(super) fn recorded(&self) -> Vec<(&'static str, $crate::command::Recorded<'_>)> {
                vec![$( (stringify!($field), $crate::command::Audited::recorded(&self.$field)) ),*]
            }
            pub(super) fn resolve<A: $crate::Accounts>(&mut self, _accounts: &A) -> Result<(), A::Error> {
                $( $crate::command::Audited::resolve(&mut self.$field, _accounts)?; )*
                Ok(())
            }
        }
    };
}

/// Writes the struct of a command's `data`. The field behind `sometimes` stands in the JSON only when there is a value for it;
/// on the link, which needs no names, it always stands.
macro_rules! data {
    (
        $(#[$meta:meta])*
        pub struct $Name:ident {
            $( #[doc = $doc:literal] $field:ident: $Type:ty, )*
            $( sometimes #[doc = $optional_doc:literal] $optional:ident: $Optional:ty, )?
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, serde::Deserialize)]
        pub struct $Name {
            $( #[doc = $doc] pub $field: $Type, )*
            $( #[doc = $optional_doc] pub $optional: Option<$Optional>, )?
        }
        impl serde::Serialize for $Name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                use serde::ser::SerializeStruct;
                let _json = serializer.is_human_readable();
                let fields = [$( stringify!($field), )* $( stringify!($optional) )?].len();
                let mut data = serializer.serialize_struct(stringify!($Name), fields)?;
                $( data.serialize_field(stringify!($field), &self.$field)?; )*
                $( if !_json || self.$optional.is_some() {
                    data.serialize_field(stringify!($optional), &self.$optional)?;
                } )?
                data.end()
            }
        }
    };
}

pub(super) use {data, parameters, request};
