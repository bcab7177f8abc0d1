//! Counters and the log pipeline
