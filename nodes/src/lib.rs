//! .

pub mod disk;
