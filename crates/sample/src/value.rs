//! Typed values, and the three answers that evaluating a sample can give.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Bytes that are borrowed where they stand (header, configuration) or were made by a converter.
pub type Bytes<'a> = Cow<'a, [u8]>;

/// A typed value (manual section 7.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// Boolean.
    Bool(bool),
    /// Signed 64-bit integer.
    Int(i64),
    /// IPv4 address.
    V4(Ipv4Addr),
    /// IPv6 address.
    V6(Ipv6Addr),
    /// String.
    Str(Bytes<'a>),
    /// Block of bytes.
    Bin(Bytes<'a>),
    /// HTTP method.
    Method(Bytes<'a>),
}

/// What evaluating an expression gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sample<'a> {
    /// It is there.
    There(Value<'a>),
    /// It is absent, and stays so.
    Missing,
    /// It can't be decided yet: data is still to come.
    NotYet,
}

impl<'a> Sample<'a> {
    /// The value, if it is there.
    #[must_use]
    pub fn there(self) -> Option<Value<'a>> {
        match self {
            Self::There(v) => Some(v),
            _ => None,
        }
    }
}

impl<'a> From<Option<Value<'a>>> for Sample<'a> {
    fn from(v: Option<Value<'a>>) -> Self {
        v.map_or(Sample::Missing, Sample::There)
    }
}
impl<'a> From<Value<'a>> for Sample<'a> {
    fn from(v: Value<'a>) -> Self {
        Sample::There(v)
    }
}

/// Types of samples, of converters' input and output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Type {
    /// Any type.
    Any,
    /// The type that came in.
    Same,
    /// Boolean.
    Bool,
    /// Integer.
    Int,
    /// IPv4 or IPv6 address.
    Addr,
    /// IPv4 address.
    V4,
    /// IPv6 address.
    V6,
    /// String.
    Str,
    /// Bytes.
    Bin,
    /// HTTP method.
    Method,
}

impl Type {
    /// The name that the `-dK` dumps use.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Any => "any",
            Self::Same => "same",
            Self::Bool => "bool",
            Self::Int => "sint",
            Self::Addr => "addr",
            Self::V4 => "ipv4",
            Self::V6 => "ipv6",
            Self::Str => "str",
            Self::Bin => "bin",
            Self::Method => "meth",
        }
    }
    /// Is there a way from this type to `to`?
    #[must_use]
    pub fn casts_to(self, to: Type) -> bool {
        use Type::{Addr, Any, Bin, Bool, Int, Method, Same, Str, V4, V6};
        match (self, to) {
            (Any | Same, _) | (_, Any | Same) => true,
            (a, b) if a == b => true,
            (Bool, Int | Str | Bin) | (Int, Bool | V4 | V6 | Addr | Str | Bin) => true,
            (V4, Int) => true,
            (Addr | V4 | V6, V4 | V6 | Addr | Str | Bin) => true,
            (Str, _) => true,
            (Bin, Str) | (Method, Str | Bin) => true,
            _ => false,
        }
    }
}

/// `inet_pton`-like reading of an IPv4 or IPv6 address.
#[must_use]
pub fn parse_ip(text: &[u8]) -> Option<IpAddr> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// The address that a text is cast to. Numbers of an IPv4 address may begin with zeros, and what is behind it may be anything
/// but a dot: a port, a mask, further addresses.
fn cast_ip(text: &[u8]) -> Option<IpAddr> {
    parse_ip(text).or_else(|| leading_v4(text).map(IpAddr::V4))
}

fn leading_v4(text: &[u8]) -> Option<Ipv4Addr> {
    let mut rest = text;
    let mut octets = [0u8; 4];
    for (i, octet) in octets.iter_mut().enumerate() {
        if i > 0 {
            rest = rest.strip_prefix(b".")?;
        }
        let len = rest.iter().take_while(|b| b.is_ascii_digit()).count();
        let (digits, behind) = rest.split_at_checked(len).filter(|(digits, _)| !digits.is_empty())?;
        let number = |n: u8, d: &u8| n.checked_mul(10)?.checked_add(d - b'0');
        *octet = digits.iter().try_fold(0, number)?;
        rest = behind;
    }
    (rest.first() != Some(&b'.')).then(|| octets.into())
}

/// Leading integer of a text: blanks, a sign and digits, saturating; 0 where there is none.
#[must_use]
pub fn leading_int(text: &[u8]) -> i64 {
    let text = text.trim_ascii_start();
    let (negative, digits) = match text.split_first() {
        Some((b'-', rest)) => (true, rest),
        Some((b'+', rest)) => (false, rest),
        _ => (false, text),
    };
    let mut n: i64 = 0;
    for d in digits.iter().take_while(|b| b.is_ascii_digit()) {
        let d = i64::from(d - b'0');
        n = n.saturating_mul(10);
        n = if negative { n.saturating_sub(d) } else { n.saturating_add(d) };
    }
    n
}

/// The number that fetches like `hdr_val` make of a text: a minus sign and digits, of which 32 bits are kept, as in HAProxy.
#[must_use]
pub fn short_int(text: &[u8]) -> i64 {
    let (negative, digits) = match text.split_first() {
        Some((b'-', rest)) => (true, rest),
        _ => (false, text),
    };
    let digits = digits.iter().take_while(|b| b.is_ascii_digit());
    let n = digits.fold(0i32, |n, d| n.wrapping_mul(10).wrapping_add(i32::from(d - b'0')));
    i64::from(if negative { n.wrapping_neg() } else { n })
}

impl<'a> Value<'a> {
    /// A borrowed string.
    #[inline]
    #[must_use]
    pub fn str(s: &'a [u8]) -> Self {
        Value::Str(Cow::Borrowed(s))
    }
    /// A borrowed block.
    #[inline]
    #[must_use]
    pub fn bin(s: &'a [u8]) -> Self {
        Value::Bin(Cow::Borrowed(s))
    }
    /// An address.
    #[must_use]
    pub fn ip(ip: IpAddr) -> Self {
        match ip {
            IpAddr::V4(a) => Value::V4(a),
            IpAddr::V6(a) => Value::V6(a),
        }
    }
    /// Its type.
    #[must_use]
    pub fn kind(&self) -> Type {
        match self {
            Value::Bool(_) => Type::Bool,
            Value::Int(_) => Type::Int,
            Value::V4(_) => Type::V4,
            Value::V6(_) => Type::V6,
            Value::Str(_) => Type::Str,
            Value::Bin(_) => Type::Bin,
            Value::Method(_) => Type::Method,
        }
    }
    /// The bytes, if it has any.
    #[inline]
    #[must_use]
    pub fn bytes(&self) -> Option<&[u8]> {
        match self {
            Value::Str(b) | Value::Bin(b) | Value::Method(b) => Some(b),
            _ => None,
        }
    }
    /// As text in `out`, as a format shows it (`hex` is for binary samples, which are shown in hex).
    pub fn write(&self, out: &mut Vec<u8>) {
        match self {
            Value::Bool(b) => out.push(b'0' + u8::from(*b)),
            Value::Int(i) => crate::number::signed(out, *i),
            Value::V4(a) => crate::number::v4(out, *a),
            Value::V6(a) => crate::number::v6(out, *a),
            Value::Str(b) | Value::Bin(b) | Value::Method(b) => out.extend_from_slice(b),
        }
    }
    /// As text; borrowed where it is text already.
    #[must_use]
    pub fn into_text(self) -> Bytes<'a> {
        match self {
            Value::Str(b) | Value::Bin(b) | Value::Method(b) => b,
            other => {
                let mut out = Vec::with_capacity(40);
                other.write(&mut out);
                Cow::Owned(out)
            }
        }
    }
    /// Detached from what it borrows.
    #[must_use]
    pub fn into_owned(self) -> Value<'static> {
        match self {
            Value::Bool(b) => Value::Bool(b),
            Value::Int(i) => Value::Int(i),
            Value::V4(a) => Value::V4(a),
            Value::V6(a) => Value::V6(a),
            Value::Str(b) => Value::Str(Cow::Owned(b.into_owned())),
            Value::Bin(b) => Value::Bin(Cow::Owned(b.into_owned())),
            Value::Method(b) => Value::Method(Cow::Owned(b.into_owned())),
        }
    }
    /// As another type; `None` when this value has no such form.
    #[must_use]
    pub fn cast(self, to: Type) -> Option<Value<'a>> {
        Some(match to {
            Type::Any | Type::Same => self,
            Type::Bool => match self {
                Value::Bool(_) => self,
                Value::Int(i) => Value::Bool(i != 0),
                Value::Str(s) if s.is_empty() => return None,
                Value::Str(s) => Value::Bool(leading_int(&s) != 0),
                _ => return None,
            },
            Type::Int => Value::Int(self.to_int()?),
            Type::Addr => match self {
                Value::V4(_) | Value::V6(_) => self,
                Value::Int(i) => Value::V4(Ipv4Addr::from(i as u32)),
                Value::Str(s) => Value::ip(cast_ip(&s)?),
                _ => return None,
            },
            Type::V4 => match self {
                Value::V4(_) => self,
                Value::V6(a) => Value::V4(embedded_v4(a)?),
                Value::Int(i) => Value::V4(Ipv4Addr::from(i as u32)),
                Value::Str(s) => match cast_ip(&s)? {
                    IpAddr::V4(a) => Value::V4(a),
                    IpAddr::V6(_) => return None,
                },
                _ => return None,
            },
            Type::V6 => match self {
                Value::V6(_) => self,
                Value::V4(a) => Value::V6(a.to_ipv6_mapped()),
                Value::Int(i) => Value::V6(Ipv4Addr::from(i as u32).to_ipv6_mapped()),
                Value::Str(s) => match cast_ip(&s)? {
                    IpAddr::V6(a) => Value::V6(a),
                    IpAddr::V4(_) => return None,
                },
                _ => return None,
            },
            Type::Str => match self {
                Value::Str(_) => self,
                // a string ends where a C string would
                Value::Bin(b) => Value::Str(until_nul(b)),
                other => Value::Str(other.into_text()),
            },
            Type::Bin => match self {
                Value::Bin(_) => self,
                Value::Str(b) | Value::Method(b) => Value::Bin(b),
                Value::Int(i) => Value::Bin(Cow::Owned(i.to_be_bytes().to_vec())),
                Value::V4(a) => Value::Bin(Cow::Owned(a.octets().to_vec())),
                Value::V6(a) => Value::Bin(Cow::Owned(a.octets().to_vec())),
                Value::Bool(b) => Value::Bin(Cow::Owned(i64::from(b).to_be_bytes().to_vec())),
            },
            Type::Method => match self {
                Value::Method(_) => self,
                Value::Str(b) => Value::Method(b),
                _ => return None,
            },
        })
    }
    /// As an integer.
    #[inline]
    #[must_use]
    pub fn to_int(&self) -> Option<i64> {
        Some(match self {
            Value::Int(i) => *i,
            Value::Bool(b) => i64::from(*b),
            // an empty text is no number
            Value::Str(s) if s.is_empty() => return None,
            Value::Str(s) => leading_int(s),
            Value::V4(a) => i64::from(u32::from(*a)),
            _ => return None,
        })
    }
}

/// A text as far as C would see it.
pub(crate) fn until_nul(b: Bytes<'_>) -> Bytes<'_> {
    match b.iter().position(|c| *c == 0) {
        None => b,
        Some(n) => match b {
            Cow::Borrowed(b) => Cow::Borrowed(b.get(..n).unwrap_or(b)),
            Cow::Owned(mut b) => {
                b.truncate(n);
                Cow::Owned(b)
            }
        },
    }
}

/// The IPv4 address in `2002:IPV4::`, `::IPV4` or `::ffff:IPV4` (manual section 7.1.6).
#[must_use]
pub fn embedded_v4(a: Ipv6Addr) -> Option<Ipv4Addr> {
    let s = a.segments();
    let tail = || Ipv4Addr::from((u32::from(s[6]) << 16) | u32::from(s[7]));
    if s[..5] == [0; 5] && (s[5] == 0 || s[5] == 0xffff) {
        Some(tail())
    } else if s[0] == 0x2002 {
        Some(Ipv4Addr::from((u32::from(s[1]) << 16) | u32::from(s[2])))
    } else {
        None
    }
}
