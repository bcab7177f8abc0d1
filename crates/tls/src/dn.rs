//! Distinguished names as text: what their attributes are called, and the two formats of the `ssl_*_dn` fetches (manual
//! section 7.3.4).

use crate::der::{BITS, Der, Element, OID, SEQUENCE, SET, dotted};
use crate::x509::{attributes, text};

/// Last arcs and names, in ascending order.
type Names = &'static [(u8, &'static str)];

/// What attributes are called: all of their identifier but its last arc, and the names by this one.
#[rustfmt::skip]
const ATTRIBUTES: &[(&[u8], Names)] = &[
    // 2.5.4: X.520 (RFC 4519)
    (
        &[0x55, 4],
        &[
            (3, "CN"),
            (4, "SN"),
            (5, "serialNumber"),
            (6, "C"),
            (7, "L"),
            (8, "ST"),
            (9, "street"),
            (10, "O"),
            (11, "OU"),
            (12, "title"),
            (13, "description"),
            (14, "searchGuide"),
            (15, "businessCategory"),
            (16, "postalAddress"),
            (17, "postalCode"),
            (18, "postOfficeBox"),
            (19, "physicalDeliveryOfficeName"),
            (20, "telephoneNumber"),
            (21, "telexNumber"),
            (22, "teletexTerminalIdentifier"),
            (23, "facsimileTelephoneNumber"),
            (24, "x121Address"),
            (25, "internationaliSDNNumber"),
            (26, "registeredAddress"),
            (27, "destinationIndicator"),
            (28, "preferredDeliveryMethod"),
            (29, "presentationAddress"),
            (30, "supportedApplicationContext"),
            (31, "member"),
            (32, "owner"),
            (33, "roleOccupant"),
            (34, "seeAlso"),
            (35, "userPassword"),
            (36, "userCertificate"),
            (37, "cACertificate"),
            (38, "authorityRevocationList"),
            (39, "certificateRevocationList"),
            (40, "crossCertificatePair"),
            (41, "name"),
            (42, "GN"),
            (43, "initials"),
            (44, "generationQualifier"),
            (45, "x500UniqueIdentifier"),
            (46, "dnQualifier"),
            (47, "enhancedSearchGuide"),
            (48, "protocolInformation"),
            (49, "distinguishedName"),
            (50, "uniqueMember"),
            (51, "houseIdentifier"),
            (52, "supportedAlgorithms"),
            (53, "deltaRevocationList"),
            (54, "dmdName"),
            (65, "pseudonym"),
            (97, "organizationIdentifier"),
            (98, "c3"),
            (99, "n3"),
            (100, "dnsName"),
        ],
    ),
    // 0.9.2342.19200300.100.1: the COSINE schema (RFC 1274, RFC 4524)
    (
        &[9, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1],
        &[
            (1, "UID"),
            (2, "textEncodedORAddress"),
            (3, "mail"),
            (4, "info"),
            (5, "favouriteDrink"),
            (6, "roomNumber"),
            (7, "photo"),
            (8, "userClass"),
            (9, "host"),
            (10, "manager"),
            (11, "documentIdentifier"),
            (12, "documentTitle"),
            (13, "documentVersion"),
            (14, "documentAuthor"),
            (15, "documentLocation"),
            (20, "homeTelephoneNumber"),
            (21, "secretary"),
            (22, "otherMailbox"),
            (23, "lastModifiedTime"),
            (24, "lastModifiedBy"),
            (25, "DC"),
            (26, "aRecord"),
            (27, "pilotAttributeType27"),
            (28, "mXRecord"),
            (29, "nSRecord"),
            (30, "sOARecord"),
            (31, "cNAMERecord"),
            (37, "associatedDomain"),
            (38, "associatedName"),
            (39, "homePostalAddress"),
            (40, "personalTitle"),
            (41, "mobileTelephoneNumber"),
            (42, "pagerTelephoneNumber"),
            (43, "friendlyCountryName"),
            (44, "uid"),
            (45, "organizationalStatus"),
            (46, "janetMailbox"),
            (47, "mailPreferenceOption"),
            (48, "buildingName"),
            (49, "dSAQuality"),
            (50, "singleLevelQuality"),
            (51, "subtreeMinimumQuality"),
            (52, "subtreeMaximumQuality"),
            (53, "personalSignature"),
            (54, "dITRedirect"),
            (55, "audio"),
            (56, "documentPublisher"),
        ],
    ),
    // 1.2.840.113549.1.9: PKCS #9 (RFC 2985)
    (
        &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9],
        &[
            (1, "emailAddress"),
            (2, "unstructuredName"),
            (3, "contentType"),
            (4, "messageDigest"),
            (5, "signingTime"),
            (6, "countersignature"),
            (7, "challengePassword"),
            (8, "unstructuredAddress"),
            (9, "extendedCertificateAttributes"),
        ],
    ),
    // 1.3.6.1.4.1.311.60.2.1: jurisdictions of incorporation (the CA/Browser Forum's EV guidelines)
    (
        &[0x2b, 6, 1, 4, 1, 0x82, 0x37, 0x3c, 2, 1],
        &[
            (1, "jurisdictionL"),
            (2, "jurisdictionST"),
            (3, "jurisdictionC"),
        ],
    ),
    // 1.3.6.1.4.1.311.20.2: Microsoft
    (
        &[0x2b, 6, 1, 4, 1, 0x82, 0x37, 0x14, 2],
        &[
            (3, "msUPN"),
        ],
    ),
    // 1.2.643.3.131.1: taxpayers in Russia
    (
        &[0x2a, 0x85, 3, 3, 0x81, 3, 1],
        &[
            (1, "INN"),
        ],
    ),
    // 1.2.643.100: persons and firms in Russia
    (
        &[0x2a, 0x85, 3, 0x64],
        &[
            (1, "OGRN"),
            (3, "SNILS"),
        ],
    ),
    // 1.3.6.1.5.5.7.9: personal data (RFC 3739)
    (
        &[0x2b, 6, 1, 5, 5, 7, 9],
        &[
            (1, "id-pda-dateOfBirth"),
            (4, "id-pda-countryOfCitizenship"),
        ],
    ),
    // 2.5.29: an extension that some use as an attribute
    (
        &[0x55, 0x1d],
        &[
            (17, "subjectAltName"),
        ],
    ),
];

/// What an attribute is called, by its object identifier (DER).
#[must_use]
pub fn attribute(oid: &[u8]) -> Option<&'static str> {
    let (last, before) = oid.split_last()?;
    let (_, names) = ATTRIBUTES.iter().find(|(all, _)| *all == before)?;
    let at = names.binary_search_by_key(last, |(arc, _)| *arc).ok()?;
    names.get(at).map(|(_, name)| *name)
}

/// A value as it is shown: its bytes, but for strings whose characters have two of them.
#[must_use]
pub fn shown(value: Element<'_>) -> Vec<u8> {
    match value.tag {
        0x1e => text(value).into_bytes(),
        BITS => value.content.get(1..).unwrap_or(&[]).to_vec(),
        _ => value.content.to_vec(),
    }
}

/// A name in one line, `/C=FR/CN=x`.
#[must_use]
pub fn one_line(name: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for (oid, value) in attributes(name) {
        out.push(b'/');
        match attribute(oid) {
            Some(name) => out.extend_from_slice(name.as_bytes()),
            None => out.extend_from_slice(dotted(oid).as_bytes()),
        }
        out.push(b'=');
        out.extend(shown(value));
    }
    out
}

/// A name as RFC 2253 writes it: the last part first, commas between, and `+` between the attributes of one part.
#[must_use]
pub fn rfc2253(name: &[u8]) -> String {
    let parts = Der(name).inside(SEQUENCE).unwrap_or(Der(&[])).filter(|part| part.tag == SET);
    let mut parts: Vec<String> = parts.map(part).collect();
    parts.reverse();
    parts.join(",")
}

fn part(set: Element<'_>) -> String {
    let mut all: Vec<String> = Der(set.content).filter_map(pair).collect();
    all.reverse();
    all.join("+")
}

/// `CN=x`. Values of unknown attributes, and those that are no text, are their DER.
fn pair(pair: Element<'_>) -> Option<String> {
    let mut d = Der(pair.content);
    let (oid, value) = (d.tagged(OID)?.content, d.next()?);
    let der = || value.whole.iter().fold("#".to_owned(), |out, b| out + &format!("{b:02X}"));
    Some(match attribute(oid) {
        Some(name) if is_text(value.tag) => format!("{name}={}", escaped(&characters(value))),
        Some(name) => format!("{name}={}", der()),
        None => format!("{}={}", dotted(oid), der()),
    })
}

/// Is it a string of characters?
fn is_text(tag: u8) -> bool {
    matches!(tag, 0x0c | 0x12..=0x14 | 0x16 | 0x1a | 0x1c | 0x1e)
}

/// The characters of a string.
fn characters(value: Element<'_>) -> String {
    match value.tag {
        0x1c => {
            let all = value.content.chunks_exact(4).filter_map(|c| c.try_into().ok()).map(u32::from_be_bytes);
            all.map(|c| char::from_u32(c).unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
        }
        _ => text(value),
    }
}

/// What is special gets a backslash; bytes that are no printable ASCII are written as hexadecimal digits.
fn escaped(text: &str) -> String {
    let last = text.len().saturating_sub(1);
    let mut out = String::new();
    for (i, b) in text.bytes().enumerate() {
        let edge = (b == b' ' && (i == 0 || i == last)) || (b == b'#' && i == 0);
        match b {
            0..0x20 | 0x7f.. => out += &format!("\\{b:02X}"),
            _ => {
                if edge || b",+\"\\<>;".contains(&b) {
                    out.push('\\');
                }
                out.push(b.into());
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::der::element;

    type Pair<'p> = (&'p [u8], u8, &'p [u8]);

    fn name(parts: &[&[Pair<'_>]]) -> Vec<u8> {
        let pair = |(oid, tag, value): &Pair<'_>| {
            element(SEQUENCE, &[&element(OID, &[oid]), &element(*tag, &[value])])
        };
        let part = |pairs: &&[Pair<'_>]| element(SET, &[&pairs.iter().flat_map(pair).collect::<Vec<u8>>()]);
        element(SEQUENCE, &[&parts.iter().flat_map(part).collect::<Vec<u8>>()])
    }

    const CN: &[u8] = &[0x55, 4, 3];
    const O: &[u8] = &[0x55, 4, 10];
    const UNIQUE: &[u8] = &[0x55, 4, 0x2d];

    #[test]
    fn attributes_have_their_names() {
        assert!(ATTRIBUTES.iter().all(|(_, names)| names.is_sorted_by(|a, b| a.0 < b.0)));
        assert_eq!(attribute(CN), Some("CN"));
        assert_eq!(attribute(&[0x55, 4, 0x61]), Some("organizationIdentifier"));
        assert_eq!(attribute(&[0x2b, 6, 1, 4, 1, 0x82, 0x37, 0x3c, 2, 1, 3]), Some("jurisdictionC"));
        assert_eq!(attribute(&[0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 1]), Some("UID"));
        for none in [&[][..], &[0x55, 4, 0], &[0x55, 4], &[0x2a, 3, 4, 5]] {
            assert_eq!(attribute(none), None);
        }
    }

    #[test]
    fn names_in_one_line() {
        let both = name(&[&[(CN, 0x0c, b"a/b"), (O, 0x14, b"J\xfc")], &[(&[0x2a, 3], 0x0c, b"v")]]);
        assert_eq!(one_line(&both), b"/CN=a/b/O=J\xfc/1.2.3=v");
        let bits = name(&[&[(UNIQUE, BITS, &[0, 1])], &[(CN, 0x1e, &[0x65, 0xe5])]]);
        assert_eq!(one_line(&bits), "/x500UniqueIdentifier=\u{1}/CN=日".as_bytes());
        assert_eq!(one_line(b"\x30\x84"), b"");
    }

    #[test]
    fn names_of_rfc_2253() {
        let multi = name(&[&[(CN, 0x0c, b"a"), (O, 0x0c, b"o")], &[(CN, 0x13, b"b")]]);
        assert_eq!(rfc2253(&multi), "CN=b,O=o+CN=a");
        for (value, shown) in [
            (r#"a,b+c"d\e<f>g;h#i=j"#, r#"a\,b\+c\"d\\e\<f\>g\;h#i=j"#),
            (" lead trail ", r"\ lead trail\ "),
            ("#hash", r"\#hash"),
            ("Jürgen", r"J\C3\BCrgen"),
            ("a\u{1}b\nc\u{7f}\0", r"a\01b\0Ac\7F\00"),
        ] {
            assert_eq!(rfc2253(&name(&[&[(CN, 0x0c, value.as_bytes())]])), format!("CN={shown}"));
        }
        assert_eq!(rfc2253(&name(&[&[(CN, 0x1c, &[0, 0, 0x65, 0xe5])]])), r"CN=\E6\97\A5");
        assert_eq!(rfc2253(&name(&[&[(&[0x2a, 3, 4, 5], 0x0c, b"v")]])), "1.2.3.4.5=#0C0176");
        assert_eq!(rfc2253(&name(&[&[(UNIQUE, BITS, &[0, 1])]])), "x500UniqueIdentifier=#03020001");
    }
}
