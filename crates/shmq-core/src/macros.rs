//! How errors and accesses to shared memory are written down, here and in the crates beside this one.

/// Enums of errors, one per operation, each variant with its documentation and what it says.
#[macro_export]
#[doc(hidden)]
macro_rules! errors {
    ($($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident $({ $($(#[$fdoc:meta])* $field:ident: $type:ty),* $(,)? })? => $text:expr;)* })*) => {$(
        $(#[$doc])*
        #[non_exhaustive]
        pub enum $name {
            $($(#[$vdoc])* $variant $({ $($(#[$fdoc])* $field: $type),* })?,)*
        }
        impl ::std::fmt::Display for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                match self {
                    $(Self::$variant $({ $($field),* })? => f.write_str(AsRef::<str>::as_ref(&$text)),)*
                }
            }
        }
    )*};
}

/// What an enum of any error of a crate does: it says what the one in it says.
#[macro_export]
#[doc(hidden)]
macro_rules! one_error {
    ($($variant:ident($inner:ty)),*) => {
        $(impl From<$inner> for Error {
            fn from(inner: $inner) -> Self {
                Self::$variant(inner)
            }
        })*
        impl ::std::fmt::Display for Error {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                match self { $(Self::$variant(inner) => ::std::fmt::Display::fmt(inner, f),)* }
            }
        }
        impl ::std::error::Error for Error {
            fn source(&self) -> Option<&(dyn ::std::error::Error + 'static)> {
                match self { $(Self::$variant(inner) => ::std::error::Error::source(inner),)* }
            }
        }
    };
}

/// Accesses to shared memory by name, each with its ordering, its partner and what breaks if it were weaker. Wants `Access`,
/// `Order`, `Site` and `SiteDoc` in scope.
#[macro_export]
#[doc(hidden)]
macro_rules! sites {
    ($(#[$attribute:meta])* $($name:ident: $access:ident $order:ident, $partner:literal, $why:literal;)*) => {
        /// The sites, as the code names them.
        pub mod at {
            use super::{Order, Site};
            $(#[doc = $why] pub const $name: Site = Site { label: stringify!($name), order: Order::$order };)*
        }
        /// All sites.
        $(#[$attribute])*
        pub const SITES: &[SiteDoc] = &[
            $(SiteDoc { site: at::$name, access: Access::$access, partner: $partner, why: $why },)*
        ];
    };
}
