//! The engines that hold a history against a sequential specification.
