//! Conditions of `.if`, `.elif` and `-cc` (manual section 2.4).

use crate::env::Env;

/// What is wrong with a condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadCondition {
    /// In HAProxy's words.
    pub message: String,
    /// Offset in the condition.
    pub at: usize,
}

/// Features that `feature()` and `-vv` know: those of HAProxy built with AWS-LC. What is not supported yet is not there: a
/// configuration that asks first goes without.
pub const FEATURES: &[(&str, bool)] = &[
    ("51DEGREES", false),
    ("ACCEPT4", true),
    ("ACME", true),
    ("BACKTRACE", true),
    ("CLOSEFROM", false),
    ("CPU_AFFINITY", true),
    ("CRYPT_H", true),
    ("DEVICEATLAS", false),
    ("DL", true),
    ("ECH", false),
    ("ENGINE", false),
    ("EPOLL", true),
    ("EVPORTS", false),
    ("FCGI", false),
    ("GETADDRINFO", true),
    ("H2", true),
    ("HAVE_TCP_MD5SIG", true),
    ("KQUEUE", false),
    ("KTLS", true),
    ("LIBATOMIC", false),
    ("LIBCRYPT", true),
    ("LINUX_CAP", true),
    ("LINUX_SPLICE", true),
    ("LINUX_TPROXY", true),
    ("LUA", false),
    ("MATH", true),
    ("MEMORY_PROFILING", false),
    ("NETFILTER", true),
    ("NS", true),
    ("OBSOLETE_LINKER", false),
    ("OPENSSL", true),
    ("OPENSSL_AWSLC", true),
    ("OPENSSL_WOLFSSL", false),
    ("PCRE", false),
    ("PCRE2", true),
    ("PCRE2_JIT", true),
    ("PCRE_JIT", false),
    ("POLL", true),
    ("PRCTL", true),
    ("PROCCTL", false),
    ("PROMEX", true),
    ("PTHREAD_EMULATION", false),
    ("QUIC", false),
    ("QUIC_OPENSSL_COMPAT", false),
    ("RT", true),
    ("SHM_OPEN", true),
    ("SLZ", false),
    ("SPOE", false),
    ("SSL", true),
    ("STATIC_PCRE", false),
    ("STATIC_PCRE2", false),
    ("TFO", true),
    ("THREAD", true),
    ("THREAD_DUMP", true),
    ("TPROXY", true),
    ("TRACE", true),
    ("WURFL", false),
    ("ZLIB", false),
];

/// The name that `ssllib_name_startswith()` compares with, and the OpenSSL version that AWS-LC claims.
pub const SSL_LIBRARY: &str = "AWS-LC";
const OPENSSL_VERSION: &str = "1.1.1";
/// AWS-LC's API number.
const AWSLC_API: u64 = 35;

/// Evaluates a condition. Empty is false.
///
/// # Errors
/// Where it cannot be parsed.
pub fn evaluate(text: &str, env: &Env) -> Result<bool, BadCondition> {
    let mut p = Parser { text: text.as_bytes(), at: 0, depth: 0, env };
    p.blanks();
    if p.at == p.text.len() {
        return Ok(false);
    }
    let value = p.or()?;
    p.blanks();
    if p.at < p.text.len() {
        let odd = text.get(p.at..).and_then(|t| t.chars().next()).unwrap_or(' ');
        return Err(
            p.bad(format!("unexpected character '{odd}' at the end of conditional expression '{text}'"))
        );
    }
    Ok(value)
}

struct Parser<'a> {
    text: &'a [u8],
    at: usize,
    /// Parentheses that are open.
    depth: usize,
    env: &'a Env,
}

/// Parentheses within each other.
const DEEPEST: usize = 500;

impl Parser<'_> {
    fn text(&self) -> std::borrow::Cow<'_, str> {
        String::from_utf8_lossy(self.text)
    }
    fn bad(&self, message: impl Into<String>) -> BadCondition {
        BadCondition { message: message.into(), at: self.at }
    }
    fn blanks(&mut self) {
        while matches!(self.text.get(self.at), Some(b' ' | b'\t')) {
            self.at += 1;
        }
    }
    fn accept(&mut self, token: &[u8]) -> bool {
        self.blanks();
        let yes = self.text.get(self.at..).is_some_and(|r| r.starts_with(token));
        self.at += if yes { token.len() } else { 0 };
        yes
    }
    fn or(&mut self) -> Result<bool, BadCondition> {
        let mut value = self.and()?;
        while self.accept(b"||") {
            value |= self.and()?;
        }
        Ok(value)
    }
    fn and(&mut self) -> Result<bool, BadCondition> {
        let mut value = self.term()?;
        while self.accept(b"&&") {
            value &= self.term()?;
        }
        Ok(value)
    }
    fn term(&mut self) -> Result<bool, BadCondition> {
        let mut negated = false;
        while self.accept(b"!") {
            negated = !negated;
        }
        Ok(self.operand()? != negated)
    }
    fn operand(&mut self) -> Result<bool, BadCondition> {
        if self.accept(b"(") {
            self.depth += 1;
            if self.depth > DEEPEST {
                return Err(self.bad("too many parentheses within each other in a conditional expression"));
            }
            let value = self.or()?;
            self.depth -= 1;
            if !self.accept(b")") {
                return Err(self.bad(format!("expected ')' after conditional expression '{}'", self.text())));
            }
            return Ok(value);
        }
        self.blanks();
        let start = self.at;
        if let Some(value) = self.number() {
            return Ok(value);
        }
        let word = |b: &u8| b.is_ascii_alphanumeric() || *b == b'_';
        while self.text.get(self.at).is_some_and(word) {
            self.at += 1;
        }
        let name = String::from_utf8_lossy(&self.text[start..self.at]).into_owned();
        if name.is_empty() {
            return Err(self.bad(format!("unparsable conditional expression '{}'", self.text())));
        }
        let Some(&(_, takes)) = PREDICATES.iter().find(|p| p.0 == name) else {
            return Err(BadCondition {
                message: format!("unknown predicate '{name}' used in conditional expression"),
                at: start,
            });
        };
        let behind = self.at;
        let mut args = self.arguments(&name)?;
        if takes <= 1 && args.is_empty() {
            args.push(String::new());
        }
        if args.len() > takes.max(1) || (takes == 0 && args.iter().any(|a| !a.is_empty())) {
            let message = format!(
                "expected ')' in argument {} of predicate '{name}' used in conditional expression",
                takes.saturating_sub(1)
            );
            return Err(BadCondition { message, at: behind });
        }
        if args.len() < takes {
            let (got, at) = (args.len(), self.at.saturating_sub(1));
            let message = format!(
                "missing arguments (got {got}/{takes}), type 'string' expected in argument {got} of predicate '{name}' used in conditional expression"
            );
            return Err(BadCondition { message, at });
        }
        let refs: Vec<&str> = args.iter().map(String::as_str).collect();
        predicate(&name, &refs, self.env).ok_or_else(|| BadCondition {
            message: format!("invalid argument to conditional expression predicate '{name}': '{}'", refs[0]),
            at: behind,
        })
    }

    /// An integer: is it another one than zero?
    fn number(&mut self) -> Option<bool> {
        let rest = self.text.get(self.at..)?;
        let signed = usize::from(matches!(rest.first(), Some(b'+' | b'-')));
        let digits = rest.get(signed..)?.iter().take_while(|b| b.is_ascii_digit()).count();
        if digits == 0 {
            return None;
        }
        self.at += signed + digits;
        Some(rest[signed..signed + digits].iter().any(|b| *b != b'0'))
    }

    /// `(a,b)`; the second level of quoting applies.
    fn arguments(&mut self, name: &str) -> Result<Vec<String>, BadCondition> {
        if self.text.get(self.at) != Some(&b'(') {
            return Ok(Vec::new());
        }
        self.at += 1;
        let mut all = Vec::new();
        let mut now = Vec::new();
        let mut quote = None;
        loop {
            let Some(&b) = self.text.get(self.at) else {
                return Err(self.bad(format!(
                    "expected ')' in argument {} of predicate '{name}' used in conditional expression",
                    all.len()
                )));
            };
            self.at += 1;
            match (quote, b) {
                (None, b')') => break,
                (None, b',') => all.push(std::mem::take(&mut now)),
                (None, b'"' | b'\'') => quote = Some(b),
                (Some(q), b) if q == b => quote = None,
                (q, b'\\') if q != Some(b'\'') => {
                    now.push(*self.text.get(self.at).unwrap_or(&b'\\'));
                    self.at += 1;
                }
                (_, b) => now.push(b),
            }
        }
        all.push(now);
        Ok(all.into_iter().map(|a| String::from_utf8_lossy(&a).into_owned()).collect())
    }
}

/// Every predicate and how many arguments it takes.
const PREDICATES: &[(&str, usize)] = &[
    ("awslc_api_atleast", 1),
    ("awslc_api_before", 1),
    ("defined", 1),
    ("enabled", 1),
    ("feature", 1),
    ("fips_mode", 0),
    ("openssl_version_atleast", 1),
    ("openssl_version_before", 1),
    ("ssllib_name_startswith", 1),
    ("streq", 2),
    ("strneq", 2),
    ("strstr", 2),
    ("version_atleast", 1),
    ("version_before", 1),
];

/// `None`: the argument is not what it should be.
fn predicate(name: &str, args: &[&str], env: &Env) -> Option<bool> {
    let arg = |i: usize| args.get(i).copied().unwrap_or("");
    let number = |s: &str| s.parse::<u64>().ok();
    let openssl = |s: &str| s.starts_with(|c: char| c.is_ascii_digit()).then(|| version(s));
    Some(match name {
        "awslc_api_atleast" => AWSLC_API >= number(arg(0))?,
        "awslc_api_before" => AWSLC_API < number(arg(0))?,
        "defined" => !arg(0).starts_with('.') && env.get(arg(0)).is_some(),
        "enabled" => {
            ["POLL", "EPOLL", "SPLICE", "GETADDRINFO", "REUSEPORT", "FAST-FORWARD"].contains(&arg(0))
        }
        "feature" => FEATURES.iter().any(|f| f.0 == arg(0) && f.1),
        "openssl_version_atleast" => version(OPENSSL_VERSION) >= openssl(arg(0))?,
        "openssl_version_before" => version(OPENSSL_VERSION) < openssl(arg(0))?,
        "ssllib_name_startswith" => SSL_LIBRARY.starts_with(arg(0)),
        "streq" => arg(0) == arg(1),
        "strneq" => arg(0) != arg(1),
        "strstr" => arg(0).contains(arg(1)),
        "version_atleast" => version(crate::VERSION) >= version(arg(0)),
        "version_before" => version(crate::VERSION) < version(arg(0)),
        _ => false,
    })
}

/// `2.4-dev19-abc-5` as numbers that compare; a release is later than its development versions.
fn version(text: &str) -> [u32; 5] {
    let mut out = [0, 0, 0, u32::MAX, 0];
    let (numbers, rest) = text.split_once('-').map_or((text, None), |(n, r)| (n, Some(r)));
    for (slot, part) in out.iter_mut().zip(numbers.split('.')).take(3) {
        let digits: String = part.chars().take_while(char::is_ascii_digit).collect();
        *slot = digits.parse().unwrap_or(0);
    }
    if let Some(rest) = rest {
        let mut parts = rest.split('-');
        let first = parts.next().unwrap_or("");
        match first.strip_prefix("dev") {
            Some(n) => out[3] = n.parse().unwrap_or(0),
            None => out[4] = first.parse().unwrap_or(0),
        }
        if let Some(n) = parts.next_back().and_then(|p| p.parse().ok()) {
            out[4] = n;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depth_has_an_end() {
        let env = Env::default();
        assert_eq!(evaluate(&format!("{}1", "!".repeat(100_001)), &env), Ok(false));
        let within = |n: usize| format!("{}1{}", "(".repeat(n), ")".repeat(n));
        assert_eq!(evaluate(&within(DEEPEST), &env), Ok(true));
        assert!(evaluate(&within(100_000), &env).is_err());
    }

    #[test]
    fn conditions_of_the_manual() {
        let mut env = Env::default();
        env.set("SSL", b"1".to_vec());
        for (text, expected) in [
            ("", false),
            ("0", false),
            ("12", true),
            ("!0", true),
            ("(1 && 0) || 1", true),
            ("1 && 0 || 0 && 1", false),
            ("!(1 || 0)", false),
            ("defined(SSL)", true),
            ("defined( SSL )", false),
            ("streq(0, 1)", false),
            ("streq(a,a)", true),
            ("streq(\"a,b\",\"a,b\")", true),
            ("strneq(a,b)", true),
            ("strstr(abc,bc)", true),
            ("feature(OPENSSL) && feature(OPENSSL_AWSLC) && feature(THREAD)", true),
            ("feature(WURFL)", false),
            ("ssllib_name_startswith(AWS-LC)", true),
            ("openssl_version_atleast(1.1.1)", true),
            ("openssl_version_before(3.5.0)", true),
            ("version_atleast(3.5-dev0)", true),
            ("version_atleast(3.5)", false),
            ("version_before(3.5)", true),
            ("version_atleast(2.4-dev19)", true),
            ("version_before(2.4)", false),
            ("enabled(EPOLL)", true),
            ("enabled(KQUEUE)", false),
            ("fips_mode()", false),
            ("defined", false),
            ("defined(.LINE)", false),
            ("-1 && +1", true),
            ("-0", false),
        ] {
            assert_eq!(evaluate(text, &env), Ok(expected), "{text}");
        }
    }

    #[test]
    fn malformed_conditions() {
        let env = Env::default();
        let e = evaluate("streq(a,b", &env).unwrap_err();
        assert_eq!(
            e.message,
            "expected ')' in argument 1 of predicate 'streq' used in conditional expression"
        );
        for bad in [
            "foo(1)",
            "streq(a)",
            "streq(a,b,c)",
            "fips_mode(1)",
            "awslc_api_atleast(x)",
            "1 &&",
            "(1",
            "1 2",
            "&& 1",
            "!",
        ] {
            assert!(evaluate(bad, &env).is_err(), "{bad}");
        }
    }
}
