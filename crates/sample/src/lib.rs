//! Typed samples, fetches, converters, conditions and log formats
