//! From a formatted line to UDP, Unix sockets, descriptors and rings.
