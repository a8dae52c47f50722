//! The processes and links of one run.
