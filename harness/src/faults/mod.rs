//! How each fault is carried out on real processes.
