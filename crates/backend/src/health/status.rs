//! What a check can find: names, numbers and texts as statistics and logs show them (management manual 9.1 and 9.3).

/// What a check means for its server (`srv_check_result` in `show servers state`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Verdict {
    /// Nothing was found yet.
    #[default]
    Unknown = 0,
    /// It says nothing about the server's state.
    Neutral = 1,
    /// The server does not work.
    Failed = 2,
    /// It works.
    Passed = 3,
    /// It works, but wants no new clients.
    Conditional = 4,
}

/// The status of a check; the number is `srv_check_status` in `show servers state`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Status {
    /// No check was configured.
    #[default]
    Unknown = 0,
    /// None has ended yet.
    Initializing = 1,
    /// It ended without news (agents).
    Checked = 3,
    /// What was seen of traffic (`observe`).
    Analyzed = 4,
    /// The socket failed.
    SocketError = 5,
    /// Connected.
    L4Ok = 6,
    /// Not connected in time.
    L4Timeout = 7,
    /// Not connected.
    L4Connection = 8,
    /// The transport above is there.
    L6Ok = 9,
    /// It did not come in time.
    L6Timeout = 10,
    /// It made no sense.
    L6Response = 11,
    /// No answer in time.
    L7Timeout = 12,
    /// An answer that makes no sense.
    L7Response = 13,
    /// A good answer.
    L7Ok = 15,
    /// A good answer, but no new clients are wanted.
    L7Conditional = 16,
    /// A bad answer.
    L7Status = 17,
    /// The program failed.
    ProcessError = 18,
    /// The program did not end in time.
    ProcessTimeout = 19,
    /// The program ended well.
    ProcessOk = 20,
}

/// Name, text and meaning of each status.
const ROWS: &[(Status, &str, &str, Verdict)] = &[
    (Status::Unknown, "UNK", "Unknown", Verdict::Unknown),
    (Status::Initializing, "INI", "Initializing", Verdict::Unknown),
    (Status::Checked, "CHECKED", "No status change", Verdict::Neutral),
    (Status::Analyzed, "HANA", "Health analyze", Verdict::Failed),
    (Status::SocketError, "SOCKERR", "Socket error", Verdict::Failed),
    (Status::L4Ok, "L4OK", "Layer4 check passed", Verdict::Passed),
    (Status::L4Timeout, "L4TOUT", "Layer4 timeout", Verdict::Failed),
    (Status::L4Connection, "L4CON", "Layer4 connection problem", Verdict::Failed),
    (Status::L6Ok, "L6OK", "Layer6 check passed", Verdict::Passed),
    (Status::L6Timeout, "L6TOUT", "Layer6 timeout", Verdict::Failed),
    (Status::L6Response, "L6RSP", "Layer6 invalid response", Verdict::Failed),
    (Status::L7Timeout, "L7TOUT", "Layer7 timeout", Verdict::Failed),
    (Status::L7Response, "L7RSP", "Layer7 invalid response", Verdict::Failed),
    (Status::L7Ok, "L7OK", "Layer7 check passed", Verdict::Passed),
    (Status::L7Conditional, "L7OKC", "Layer7 check conditionally passed", Verdict::Conditional),
    (Status::L7Status, "L7STS", "Layer7 wrong status", Verdict::Failed),
    (Status::ProcessError, "PROCERR", "External check error", Verdict::Failed),
    (Status::ProcessTimeout, "PROCTOUT", "External check timeout", Verdict::Failed),
    (Status::ProcessOk, "PROCOK", "External check passed", Verdict::Passed),
];

impl Status {
    fn row(self) -> (&'static str, &'static str, Verdict) {
        ROWS.iter().find(|r| r.0 == self).map_or(("UNK", "Unknown", Verdict::Unknown), |r| (r.1, r.2, r.3))
    }
    /// As `check_status` shows it.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.row().0
    }
    /// As logs and `check_desc` show it.
    #[must_use]
    pub fn text(self) -> &'static str {
        self.row().1
    }
    /// What it means.
    #[must_use]
    pub fn verdict(self) -> Verdict {
        self.row().2
    }
    /// The status of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        ROWS.iter().find(|r| r.1 == name).map(|r| r.0)
    }
    /// The status of this number.
    #[must_use]
    pub fn numbered(number: u8) -> Option<Self> {
        ROWS.iter().find(|r| r.0 as u8 == number).map(|r| r.0)
    }
    /// Has it a code (`check_code`)?
    #[must_use]
    pub fn has_code(self) -> bool {
        self >= Self::L7Ok
    }
}
