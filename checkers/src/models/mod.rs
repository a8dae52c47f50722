//! Sequential specifications, one a file.
