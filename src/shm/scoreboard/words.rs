//! Where the words of a slot lie, and what stands in them: the order of fields and variants, and no numbers.

/// A handle on some words of shared memory, with an accessor for each of them. A block is 128 bytes long or a multiple of
/// it: what different processes write should lie in different blocks.
macro_rules! words {
    (
        $(#[$about:meta])*
        pub struct $handle:ident in $layout:ident {
            $($block:ident: $block_type:ident {
                $($(#[$doc:meta])* $name:ident,)*
                $([$array:ident: $len:expr],)*
            })*
        }
    ) => {
        $(
            #[repr(C, align(128))]
            struct $block_type { $($name: AtomicU64,)* $($array: [AtomicU64; $len],)* }
        )*

        /// Nobody makes one: it says where each word is.
        #[allow(dead_code)]
        #[repr(C)]
        struct $layout { $($block: $block_type,)* }

        $(#[$about])*
        #[derive(Clone, Copy)]
        pub struct $handle {
            words: &'static [AtomicU64],
        }

        impl $handle {
            /// The words of one slot.
            pub(super) const WORDS: usize = size_of::<$layout>() / size_of::<AtomicU64>();

            /// The words of slot `index` among those of all.
            #[inline]
            pub(super) fn at(all: &'static [AtomicU64], index: usize) -> $handle {
                $handle { words: &all[index * Self::WORDS..][..Self::WORDS] }
            }

            $($(
                $(#[$doc])*
                #[inline]
                pub fn $name(&self) -> &'static AtomicU64 {
                    const WORD: usize = std::mem::offset_of!($layout, $block.$name) / size_of::<AtomicU64>();
                    &self.words[WORD]
                }
            )*)*

            $($(
                #[inline]
                fn $array(&self) -> &'static [AtomicU64] {
                    const WORD: usize = std::mem::offset_of!($layout, $block.$array) / size_of::<AtomicU64>();
                    &self.words[WORD..][..$len]
                }
            )*)*
        }
    };
}

/// An enum that stands in a word.
macro_rules! numbered {
    ($(#[$about:meta])* pub enum $name:ident { $($(#[$doc:meta])* $variant:ident,)* }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u64)]
        pub enum $name {
            $($(#[$doc])* $variant,)*
        }

        impl $name {
            /// The variant of a word; the first, which 0 stands for, where it is that of none.
            #[inline]
            fn of(word: u64) -> $name {
                const ALL: &[$name] = &[$($name::$variant,)*];
                ALL.get(word as usize).copied().unwrap_or(ALL[0])
            }
        }
    };
}

pub(super) use numbered;
pub(super) use words;
