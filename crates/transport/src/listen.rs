//! Opening listeners.
