//! The registry of variants: one line each in [`variants!`], one file each beside this one.
