//! `retry-on`: which failures are tried again.

/// A set of failures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryOn(u32);

/// Status codes that can be named, in the order of their bits.
const STATUSES: [(&str, u16); 12] = [
    ("401", 401),
    ("403", 403),
    ("404", 404),
    ("408", 408),
    ("421", 421),
    ("425", 425),
    ("429", 429),
    ("500", 500),
    ("501", 501),
    ("502", 502),
    ("503", 503),
    ("504", 504),
];
/// The bit of the first status.
const FIRST_STATUS: u32 = 8;

impl RetryOn {
    /// Nothing.
    pub const NONE: Self = Self(0);
    /// The connection failed.
    pub const CONN_FAILURE: Self = Self(1);
    /// The server closed without an answer.
    pub const EMPTY_RESPONSE: Self = Self(2);
    /// The answer is none, or not whole.
    pub const JUNK_RESPONSE: Self = Self(4);
    /// `timeout server` struck before an answer.
    pub const RESPONSE_TIMEOUT: Self = Self(8);
    /// Early data was rejected.
    pub const REJECTED_0RTT: Self = Self(16);

    /// Is any of these in the set?
    #[must_use]
    pub const fn has(self, any: Self) -> bool {
        self.0 & any.0 != 0
    }
    /// Both.
    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
    /// The set of this status alone; empty for one that cannot be named.
    #[must_use]
    pub fn status(code: u16) -> Self {
        let at = STATUSES.iter().position(|(_, s)| *s == code);
        at.map_or(Self::NONE, |i| Self(1 << (FIRST_STATUS + i as u32)))
    }
    /// Is there more in it than failed connections, so that requests have to be kept?
    #[must_use]
    pub fn wants_requests(self) -> bool {
        self.0 & !Self::CONN_FAILURE.0 != 0
    }
    /// Is a request sent again whichever way the server's connection is lost? The client sees nothing of it then, even of a
    /// connection that it is the first to use.
    #[must_use]
    pub const fn hides_lost_connections(self) -> bool {
        let all = Self::CONN_FAILURE.0 | Self::EMPTY_RESPONSE.0 | Self::RESPONSE_TIMEOUT.0;
        self.0 & all == all
    }
    /// What a keyword of `retry-on` names; `none` is the empty set.
    #[must_use]
    pub fn named(word: &str) -> Option<Self> {
        Some(match word {
            "none" => Self::NONE,
            "conn-failure" => Self::CONN_FAILURE,
            "empty-response" => Self::EMPTY_RESPONSE,
            "junk-response" => Self::JUNK_RESPONSE,
            "response-timeout" => Self::RESPONSE_TIMEOUT,
            "0rtt-rejected" => Self::REJECTED_0RTT,
            "all-retryable-errors" => [500, 502, 503, 504]
                .into_iter()
                .map(Self::status)
                .fold(Self(Self::CONN_FAILURE.0 | 2 | 4 | 8 | 16), Self::or),
            other => Self::status(STATUSES.iter().find(|(name, _)| *name == other)?.1),
        })
    }
}

impl Default for RetryOn {
    fn default() -> Self {
        Self::CONN_FAILURE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        let all = RetryOn::named("all-retryable-errors").unwrap_or_default();
        for word in
            ["conn-failure", "empty-response", "junk-response", "response-timeout", "0rtt-rejected", "503"]
        {
            assert!(all.has(RetryOn::named(word).unwrap_or(RetryOn::NONE)), "{word}");
        }
        assert!(!all.has(RetryOn::status(404)) && RetryOn::status(404).wants_requests());
        assert_eq!((RetryOn::named("418"), RetryOn::status(418)), (None, RetryOn::NONE));
        assert!(!RetryOn::default().wants_requests());
    }
}
