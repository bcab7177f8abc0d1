//! Persistence as a section says it: `cookie`, `dynamic-cookie-key`, `persist rdp-cookie` (manual section 4.2).

/// `cookie`
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cookie {
    /// Its name.
    pub name: Vec<u8>,
    /// What is done with it in responses.
    pub mode: CookieMode,
    /// `indirect`
    pub indirect: bool,
    /// `nocache`
    pub nocache: bool,
    /// `postonly`
    pub postonly: bool,
    /// `preserve`
    pub preserve: bool,
    /// `httponly`
    pub httponly: bool,
    /// `secure`
    pub secure: bool,
    /// `dynamic`
    pub dynamic: bool,
    /// `domain`, in order.
    pub domains: Vec<String>,
    /// `maxidle` in seconds; 0: none.
    pub maxidle: u32,
    /// `maxlife` in seconds; 0: none.
    pub maxlife: u32,
    /// `attr`, in order.
    pub attrs: Vec<Vec<u8>>,
}

/// What is done with the persistence cookie.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CookieMode {
    /// Only looked at in requests.
    #[default]
    Passive,
    /// `rewrite`
    Rewrite,
    /// `insert`
    Insert,
    /// `prefix`
    Prefix,
}
