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

/// What errors have a cause, and in which of their variants it stands as `source`.
#[macro_export]
#[doc(hidden)]
macro_rules! causes {
    ($($name:ident: $($variant:ident),*;)*) => {$(
        impl ::std::error::Error for $name {
            fn source(&self) -> Option<&(dyn ::std::error::Error + 'static)> {
                match self {
                    $(Self::$variant { source, .. } => Some(source),)*
                    _ => None,
                }
            }
        }
    )*};
}

/// The error of a call that waits, from that of the same call that does not, from what ended the waiting, and from what is wrong with
/// the ring. Where the one that does not wait says that it can do nothing now, the other says that the time was up.
#[macro_export]
#[doc(hidden)]
macro_rules! waiting_error {
    ($waits:ident from $tries:ident {
        $nothing:ident, $($same:ident $({ $($field:ident),* })?),*
    } peer $left:ident, $lost:ident; $corruption:ty, $truncated:expr) => {
        impl From<$tries> for $waits {
            fn from(error: $tries) -> Self {
                match error {
                    $tries::$nothing => Self::TimedOut,
                    $($tries::$same $({ $($field),* })? => Self::$same $({ $($field),* })?,)*
                }
            }
        }
        impl From<$crate::error::WaitEnd> for $waits {
            fn from(end: $crate::error::WaitEnd) -> Self {
                use $crate::error::WaitEnd;
                match end {
                    WaitEnd::TimedOut => Self::TimedOut,
                    WaitEnd::Left => Self::$left,
                    WaitEnd::Lost => Self::$lost,
                    WaitEnd::Removed => Self::Removed,
                    WaitEnd::Stopped => Self::Stopped,
                    WaitEnd::Truncated => Self::Corrupt { what: $truncated },
                }
            }
        }
        impl From<$corruption> for $tries {
            fn from(what: $corruption) -> Self {
                Self::Corrupt { what }
            }
        }
    };
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

/// The calls of a queue without a role that say what there is to know of its file: in which field that is, and how the example makes
/// a queue with given options.
#[macro_export]
#[doc(hidden)]
macro_rules! file_facts {
    ($file:tt, $made:literal) => {
        /// The user's own bytes, zero behind their end.
        pub fn tag(&self) -> [u8; $crate::layout::TAG] {
            self.$file.geometry.tag
        }

        /// Bytes of a page of its memory: what became of [`shmq::Options::huge_pages`]. Two system calls.
        ///
        /// ```
        /// let options = shmq::Options::new().huge_pages(true);
        #[doc = concat!("let it = ", $made, ";")]
        /// println!("pages of {} bytes", it.page_size());
        /// # Ok::<(), Box<dyn std::error::Error>>(())
        /// ```
        pub fn page_size(&self) -> u64 {
            self.$file.page_size()
        }

        /// Where it is; `None` for an anonymous one.
        pub fn path(&self) -> Option<&::std::path::Path> {
            self.$file.path()
        }
    };
}

/// Accesses to shared memory by name, each with its ordering, its partner and what breaks if it were weaker. Attributes are those of the
/// list of all of them.
#[macro_export]
#[doc(hidden)]
macro_rules! sites {
    ($(#[$attribute:meta])* $($name:ident: $access:ident $order:ident, $partner:literal, $why:literal;)*) => {
        /// The sites, as the code names them.
        pub mod at {
            use $crate::memory::{Order, Site};
            $(#[doc = $why] pub const $name: Site = Site { label: stringify!($name), order: Order::$order };)*
        }
        /// All sites.
        $(#[$attribute])*
        pub const SITES: &[$crate::memory::SiteDoc] = &[$($crate::memory::SiteDoc {
            site: at::$name,
            access: $crate::memory::Access::$access,
            partner: $partner,
            why: $why,
        },)*];
    };
}
