//! The version-independent HTTP message: head, header list, status, URI, dates
