//! Closed lists: enums of which every variant has a name at the edge.

/// Defines an enum without fields, with `ALL`, `as_str` and `parse`. A variant without a name does not compile.
macro_rules! named_enum {
    (
        $(#[$($attribute:tt)*])*
        pub enum $name:ident { $($(#[$($doc:tt)*])* $variant:ident $(= $number:literal)? => $text:literal,)+ }
    ) => {
        $(#[$($attribute)*])*
        pub enum $name { $($(#[$($doc)*])* $variant $(= $number)?,)+ }

        impl $name {
            /// Every variant, in the order of their definition.
            pub const ALL: [Self; [$($text),+].len()] = [$(Self::$variant),+];

            /// The name at the edge.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }

            /// Finds the variant by its name at the edge.
            pub fn parse(name: &str) -> Option<Self> {
                Self::ALL.into_iter().find(|variant| variant.as_str() == name)
            }
        }
    };
}

pub(crate) use named_enum;

#[cfg(test)]
mod tests {
    use std::fmt::Debug;

    use serde::Serialize;
    use serde::de::DeserializeOwned;

    use crate::event::{Colour, EventKind, TestKind, TestOutcome};
    use crate::subject::DocumentType;

    /// `as_str` and serde's text form agree, and postcard stores `numbers`.
    fn check<T: Copy + PartialEq + Debug + Serialize + DeserializeOwned, const N: usize>(
        all: [T; N],
        as_str: fn(T) -> &'static str,
        parse: fn(&str) -> Option<T>,
        numbers: [u8; N],
    ) {
        for (variant, number) in all.into_iter().zip(numbers) {
            let name = as_str(variant);
            assert_eq!(parse(name), Some(variant));
            assert_eq!(serde_json::to_value(variant).unwrap(), name);
            assert_eq!(serde_json::from_value::<T>(name.into()).unwrap(), variant);
            assert_eq!(postcard::to_stdvec(&variant).unwrap(), [number], "{name}: stored numbers never change");
        }
        assert_eq!(parse("no such name"), None);
    }

    #[test]
    fn names_agree_with_serde_and_stored_numbers_stay() {
        check(Colour::ALL, Colour::as_str, Colour::parse, [0, 1, 2, 3]);
        check(TestKind::ALL, TestKind::as_str, TestKind::parse, [0, 1]);
        check(TestOutcome::ALL, TestOutcome::as_str, TestOutcome::parse, [0, 1, 2, 3]);
        check(EventKind::ALL, EventKind::as_str, EventKind::parse, [0, 1, 2, 3, 4, 5, 6, 7, 8]);
        check(DocumentType::ALL, DocumentType::as_str, DocumentType::parse, [0, 1, 2, 3]);
    }
}
