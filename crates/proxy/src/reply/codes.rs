//! Status codes that the proxy answers with itself, and the page that each has unless the configuration gives another.

/// A built-in page: status, reason phrase, does it close the connection, and its body.
pub struct BuiltIn {
    /// Status code.
    pub status: u16,
    /// Reason phrase.
    pub reason: &'static str,
    /// The page says `connection: close`.
    pub closes: bool,
    /// Body, `text/html`.
    pub body: &'static str,
}

/// Every status that has an error page (manual section 4.2 "errorfile"), lowest first.
pub const PAGES: [BuiltIn; 21] = [
    BuiltIn {
        status: 200,
        reason: "OK",
        closes: false,
        body: "<html><body><h1>200 OK</h1>\nService ready.\n</body></html>\n",
    },
    BuiltIn {
        status: 400,
        reason: "Bad request",
        closes: true,
        body: "<html><body><h1>400 Bad request</h1>\nYour browser sent an invalid request.\n</body></html>\n",
    },
    BuiltIn {
        status: 401,
        reason: "Unauthorized",
        closes: false,
        body: "<html><body><h1>401 Unauthorized</h1>\nYou need a valid user and password to access this content.\n</body></html>\n",
    },
    BuiltIn {
        status: 403,
        reason: "Forbidden",
        closes: false,
        body: "<html><body><h1>403 Forbidden</h1>\nRequest forbidden by administrative rules.\n</body></html>\n",
    },
    BuiltIn {
        status: 404,
        reason: "Not Found",
        closes: false,
        body: "<html><body><h1>404 Not Found</h1>\nThe resource could not be found.\n</body></html>\n",
    },
    BuiltIn {
        status: 405,
        reason: "Method Not Allowed",
        closes: false,
        body: "<html><body><h1>405 Method Not Allowed</h1>\nA request was made of a resource using a request method not supported by that resource.\n</body></html>\n",
    },
    BuiltIn {
        status: 407,
        reason: "Unauthorized",
        closes: false,
        body: "<html><body><h1>407 Unauthorized</h1>\nYou need a valid user and password to access this content.\n</body></html>\n",
    },
    BuiltIn {
        status: 408,
        reason: "Request Time-out",
        closes: true,
        body: "<html><body><h1>408 Request Time-out</h1>\nYour browser didn't send a complete request in time.\n</body></html>\n",
    },
    BuiltIn {
        status: 410,
        reason: "Gone",
        closes: false,
        body: "<html><body><h1>410 Gone</h1>\nThe resource is no longer available and will not be available again.\n</body></html>\n",
    },
    BuiltIn {
        status: 413,
        reason: "Payload Too Large",
        closes: false,
        body: "<html><body><h1>413 Payload Too Large</h1>\nThe request entity exceeds the maximum allowed.\n</body></html>\n",
    },
    BuiltIn {
        status: 414,
        reason: "URI Too Long",
        closes: false,
        body: "<html><body><h1>414 URI Too Long</h1>\nThe URI provided was too long for the server to process.\n</body></html>\n",
    },
    BuiltIn {
        status: 421,
        reason: "Misdirected Request",
        closes: false,
        body: "<html><body><h1>421 Misdirected Request</h1>\nRequest sent to a non-authoritative server.\n</body></html>\n",
    },
    BuiltIn {
        status: 422,
        reason: "Unprocessable Content",
        closes: false,
        body: "<html><body><h1>422 Unprocessable Content</h1>\nThe server cannot process the contained instructions.\n</body></html>\n",
    },
    BuiltIn {
        status: 425,
        reason: "Too Early",
        closes: false,
        body: "<html><body><h1>425 Too Early</h1>\nYour browser sent early data.\n</body></html>\n",
    },
    BuiltIn {
        status: 429,
        reason: "Too Many Requests",
        closes: false,
        body: "<html><body><h1>429 Too Many Requests</h1>\nYou have sent too many requests in a given amount of time.\n</body></html>\n",
    },
    BuiltIn {
        status: 431,
        reason: "Request Header Fields Too Large",
        closes: false,
        body: "<html><body><h1>431 Request Header Fields Too Large</h1>\nRequest Header Fields Too Large.\n</body></html>\n",
    },
    BuiltIn {
        status: 500,
        reason: "Internal Server Error",
        closes: false,
        body: "<html><body><h1>500 Internal Server Error</h1>\nAn internal server error occurred.\n</body></html>\n",
    },
    BuiltIn {
        status: 501,
        reason: "Not Implemented",
        closes: false,
        body: "<html><body><h1>501 Not Implemented</h1>\nThe server does not support the functionality required to fulfill the request.\n</body></html>\n",
    },
    BuiltIn {
        status: 502,
        reason: "Bad Gateway",
        closes: false,
        body: "<html><body><h1>502 Bad Gateway</h1>\nThe server returned an invalid or incomplete response.\n</body></html>\n",
    },
    BuiltIn {
        status: 503,
        reason: "Service Unavailable",
        closes: false,
        body: "<html><body><h1>503 Service Unavailable</h1>\nNo server is available to handle this request.\n</body></html>\n",
    },
    BuiltIn {
        status: 504,
        reason: "Gateway Time-out",
        closes: false,
        body: "<html><body><h1>504 Gateway Time-out</h1>\nThe server didn't respond in time.\n</body></html>\n",
    },
];

/// Where a status stands in [`PAGES`], if it has a page.
#[must_use]
pub fn index(status: u16) -> Option<usize> {
    PAGES.binary_search_by_key(&status, |p| p.status).ok()
}

/// The reason phrase of any status: the registered one, or that of its class.
#[must_use]
pub fn reason(status: u16) -> &'static str {
    let known = match status {
        422 => "Unprocessable Content",
        _ => portcullis_message::status::reason(status),
    };
    match (known, status) {
        ("", 100..=199) => "Informational",
        ("", 200..=299) => "Success",
        ("", 300..=399) => "Redirection",
        ("", 400..=499) => "Client Error",
        ("", 500..=599) => "Server Error",
        ("", _) => "Other",
        (known, _) => known,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_sorted_and_found() {
        assert!(PAGES.windows(2).all(|w| w[0].status < w[1].status));
        assert_eq!(index(503).map(|i| PAGES[i].reason), Some("Service Unavailable"));
        assert_eq!(index(418), None);
        assert_eq!(PAGES.iter().map(|p| p.body.len()).sum::<usize>(), 2195);
    }

    #[test]
    fn every_status_has_a_reason() {
        for (status, expected) in [
            (200, "OK"),
            (240, "Success"),
            (399, "Redirection"),
            (419, "Client Error"),
            (599, "Server Error"),
            (777, "Other"),
        ] {
            assert_eq!(reason(status), expected);
        }
    }
}
