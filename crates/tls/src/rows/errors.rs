//! X509 errors by name, for `crt-ignore-err`, `ca-ignore-err` and `x509_v_err_str`.

use crate::verify::Ignored;

/// Number and name of the errors that OpenSSL has, by number.
pub const NAMES: &[(u32, &str)] = &[
    (0, "X509_V_OK"),
    (1, "X509_V_ERR_UNSPECIFIED"),
    (2, "X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT"),
    (3, "X509_V_ERR_UNABLE_TO_GET_CRL"),
    (4, "X509_V_ERR_UNABLE_TO_DECRYPT_CERT_SIGNATURE"),
    (5, "X509_V_ERR_UNABLE_TO_DECRYPT_CRL_SIGNATURE"),
    (6, "X509_V_ERR_UNABLE_TO_DECODE_ISSUER_PUBLIC_KEY"),
    (7, "X509_V_ERR_CERT_SIGNATURE_FAILURE"),
    (8, "X509_V_ERR_CRL_SIGNATURE_FAILURE"),
    (9, "X509_V_ERR_CERT_NOT_YET_VALID"),
    (10, "X509_V_ERR_CERT_HAS_EXPIRED"),
    (11, "X509_V_ERR_CRL_NOT_YET_VALID"),
    (12, "X509_V_ERR_CRL_HAS_EXPIRED"),
    (13, "X509_V_ERR_ERROR_IN_CERT_NOT_BEFORE_FIELD"),
    (14, "X509_V_ERR_ERROR_IN_CERT_NOT_AFTER_FIELD"),
    (15, "X509_V_ERR_ERROR_IN_CRL_LAST_UPDATE_FIELD"),
    (16, "X509_V_ERR_ERROR_IN_CRL_NEXT_UPDATE_FIELD"),
    (17, "X509_V_ERR_OUT_OF_MEM"),
    (18, "X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT"),
    (19, "X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN"),
    (20, "X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY"),
    (21, "X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE"),
    (22, "X509_V_ERR_CERT_CHAIN_TOO_LONG"),
    (23, "X509_V_ERR_CERT_REVOKED"),
    (24, "X509_V_ERR_NO_ISSUER_PUBLIC_KEY"),
    (25, "X509_V_ERR_PATH_LENGTH_EXCEEDED"),
    (26, "X509_V_ERR_INVALID_PURPOSE"),
    (27, "X509_V_ERR_CERT_UNTRUSTED"),
    (28, "X509_V_ERR_CERT_REJECTED"),
    (29, "X509_V_ERR_SUBJECT_ISSUER_MISMATCH"),
    (30, "X509_V_ERR_AKID_SKID_MISMATCH"),
    (31, "X509_V_ERR_AKID_ISSUER_SERIAL_MISMATCH"),
    (32, "X509_V_ERR_KEYUSAGE_NO_CERTSIGN"),
    (33, "X509_V_ERR_UNABLE_TO_GET_CRL_ISSUER"),
    (34, "X509_V_ERR_UNHANDLED_CRITICAL_EXTENSION"),
    (35, "X509_V_ERR_KEYUSAGE_NO_CRL_SIGN"),
    (36, "X509_V_ERR_UNHANDLED_CRITICAL_CRL_EXTENSION"),
    (37, "X509_V_ERR_INVALID_NON_CA"),
    (38, "X509_V_ERR_PROXY_PATH_LENGTH_EXCEEDED"),
    (39, "X509_V_ERR_KEYUSAGE_NO_DIGITAL_SIGNATURE"),
    (40, "X509_V_ERR_PROXY_CERTIFICATES_NOT_ALLOWED"),
    (41, "X509_V_ERR_INVALID_EXTENSION"),
    (42, "X509_V_ERR_INVALID_POLICY_EXTENSION"),
    (43, "X509_V_ERR_NO_EXPLICIT_POLICY"),
    (44, "X509_V_ERR_DIFFERENT_CRL_SCOPE"),
    (45, "X509_V_ERR_UNSUPPORTED_EXTENSION_FEATURE"),
    (46, "X509_V_ERR_UNNESTED_RESOURCE"),
    (47, "X509_V_ERR_PERMITTED_VIOLATION"),
    (48, "X509_V_ERR_EXCLUDED_VIOLATION"),
    (49, "X509_V_ERR_SUBTREE_MINMAX"),
    (50, "X509_V_ERR_APPLICATION_VERIFICATION"),
    (51, "X509_V_ERR_UNSUPPORTED_CONSTRAINT_TYPE"),
    (52, "X509_V_ERR_UNSUPPORTED_CONSTRAINT_SYNTAX"),
    (53, "X509_V_ERR_UNSUPPORTED_NAME_SYNTAX"),
    (54, "X509_V_ERR_CRL_PATH_VALIDATION_ERROR"),
    (55, "X509_V_ERR_PATH_LOOP"),
    (56, "X509_V_ERR_SUITE_B_INVALID_VERSION"),
    (57, "X509_V_ERR_SUITE_B_INVALID_ALGORITHM"),
    (58, "X509_V_ERR_SUITE_B_INVALID_CURVE"),
    (59, "X509_V_ERR_SUITE_B_INVALID_SIGNATURE_ALGORITHM"),
    (60, "X509_V_ERR_SUITE_B_LOS_NOT_ALLOWED"),
    (61, "X509_V_ERR_SUITE_B_CANNOT_SIGN_P_384_WITH_P_256"),
    (62, "X509_V_ERR_HOSTNAME_MISMATCH"),
    (63, "X509_V_ERR_EMAIL_MISMATCH"),
    (64, "X509_V_ERR_IP_ADDRESS_MISMATCH"),
    (65, "X509_V_ERR_DANE_NO_MATCH"),
    (66, "X509_V_ERR_EE_KEY_TOO_SMALL"),
    (67, "X509_V_ERR_CA_KEY_TOO_SMALL"),
    (68, "X509_V_ERR_CA_MD_TOO_WEAK"),
    (69, "X509_V_ERR_INVALID_CALL"),
    (70, "X509_V_ERR_STORE_LOOKUP"),
    (71, "X509_V_ERR_NO_VALID_SCTS"),
    (72, "X509_V_ERR_PROXY_SUBJECT_NAME_VIOLATION"),
    (73, "X509_V_ERR_OCSP_VERIFY_NEEDED"),
    (74, "X509_V_ERR_OCSP_VERIFY_FAILED"),
    (75, "X509_V_ERR_OCSP_CERT_UNKNOWN"),
    (76, "X509_V_ERR_UNSUPPORTED_SIGNATURE_ALGORITHM"),
    (77, "X509_V_ERR_SIGNATURE_ALGORITHM_MISMATCH"),
    (78, "X509_V_ERR_SIGNATURE_ALGORITHM_INCONSISTENCY"),
    (79, "X509_V_ERR_INVALID_CA"),
    (80, "X509_V_ERR_PATHLEN_INVALID_FOR_NON_CA"),
    (81, "X509_V_ERR_PATHLEN_WITHOUT_KU_KEY_CERT_SIGN"),
    (82, "X509_V_ERR_KU_KEY_CERT_SIGN_INVALID_FOR_NON_CA"),
    (83, "X509_V_ERR_ISSUER_NAME_EMPTY"),
    (84, "X509_V_ERR_SUBJECT_NAME_EMPTY"),
    (85, "X509_V_ERR_MISSING_AUTHORITY_KEY_IDENTIFIER"),
    (86, "X509_V_ERR_MISSING_SUBJECT_KEY_IDENTIFIER"),
    (87, "X509_V_ERR_EMPTY_SUBJECT_ALT_NAME"),
    (88, "X509_V_ERR_EMPTY_SUBJECT_SAN_NOT_CRITICAL"),
    (89, "X509_V_ERR_CA_BCONS_NOT_CRITICAL"),
    (90, "X509_V_ERR_AUTHORITY_KEY_IDENTIFIER_CRITICAL"),
    (91, "X509_V_ERR_SUBJECT_KEY_IDENTIFIER_CRITICAL"),
    (92, "X509_V_ERR_CA_CERT_MISSING_KEY_USAGE"),
    (93, "X509_V_ERR_EXTENSIONS_REQUIRE_VERSION_3"),
    (94, "X509_V_ERR_EC_KEY_EXPLICIT_PARAMS"),
];

/// Reads `all`, or numbers and names with commas between. What stands behind a number up to the comma does not count (as in 3.5).
///
/// # Errors
/// In HAProxy's words.
pub fn ignored(text: &str) -> Result<Ignored, String> {
    if text == "all" {
        return Ok(Ignored { all: true, numbers: Vec::new() });
    }
    let most = NAMES.last().map_or(0, |(n, _)| *n);
    let number = |item: &str| {
        let digits = item.bytes().take_while(u8::is_ascii_digit).count();
        let n = item.get(..digits)?.parse::<u32>().ok().filter(|n| (1..=most).contains(n));
        (digits > 0).then(|| n.ok_or_else(|| format!("ID '{item}' out of range (1..{most})")))
    };
    let one = |item: &str| {
        let named = NAMES.iter().find(|(_, n)| *n == item).map(|(n, _)| Ok(*n));
        let found = named.or_else(|| number(item));
        let found = found.unwrap_or_else(|| Err(format!("error constant '{item}' unknown")));
        found.map_err(|why| format!("{why} in error IDs list '{text}'"))
    };
    let numbers = text.split(',').filter(|item| !item.is_empty()).map(one).collect::<Result<_, _>>()?;
    Ok(Ignored { all: false, numbers })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists() {
        let numbers = |text| ignored(text).map(|i| i.numbers);
        assert!(ignored("all").is_ok_and(|i| i.all));
        assert_eq!(numbers("10,X509_V_ERR_UNABLE_TO_GET_CRL,"), Ok(vec![10, 3]));
        assert_eq!(numbers("10;20"), Ok(vec![10]));
        assert_eq!(numbers("0"), Err("ID '0' out of range (1..94) in error IDs list '0'".to_owned()));
        assert_eq!(
            numbers("10,all"),
            Err("error constant 'all' unknown in error IDs list '10,all'".to_owned())
        );
        assert!(numbers("95").is_err() && numbers("foo").is_err() && numbers("99999999999").is_err());
    }
}
