//! Operators and keys: each row is a condition, and whether it holds.

use super::*;

/// Everything the rows below speak of.
fn full() -> Request {
    let mut request = request("kms:Decrypt", USER);
    request.encryption_context = pairs(&[("App", "pay"), ("Tenant", "acme")]);
    request.parameters = pairs(&[("KeyId", "alias/one")]);
    request.attestation = Some(attestation(AttestationKind::Enclave, &[(0, "ab12"), (3, "cd34")]));
    request
}

/// For each row: an Allow under the condition allows, and a Deny under it denies,
/// exactly where it holds.
fn check(request: &Request, rows: &[(&str, bool)]) {
    for (condition, holds) in rows {
        let allowed = ask(&under("Allow", condition), request) == Decision::Allow;
        let denied = ask(&under("Deny", condition), request) != Decision::NoOpinion;
        assert_eq!((allowed, denied), (*holds, *holds), "{condition}");
    }
}

#[test]
fn string_operators() {
    check(
        &full(),
        &[
            (r#""StringEquals":{"kms:EncryptionContext:App":"pay"}"#, true),
            (r#""StringEquals":{"kms:EncryptionContext:App":"PAY"}"#, false),
            (r#""StringEquals":{"kms:EncryptionContext:App":["x","pay"]}"#, true),
            (r#""StringEquals":{"kms:EncryptionContext:App":"p*"}"#, false),
            (r#""StringEquals":{"kms:EncryptionContext:None":"pay"}"#, false),
            (r#""StringNotEquals":{"kms:EncryptionContext:App":"x"}"#, true),
            (r#""StringNotEquals":{"kms:EncryptionContext:App":"pay"}"#, false),
            (r#""StringNotEquals":{"kms:EncryptionContext:App":["x","pay"]}"#, false),
            (r#""StringNotEquals":{"kms:EncryptionContext:None":"x"}"#, true),
            (r#""StringEqualsIgnoreCase":{"kms:EncryptionContext:App":"PAY"}"#, true),
            (r#""StringNotEqualsIgnoreCase":{"kms:EncryptionContext:App":"PAY"}"#, false),
            (r#""StringLike":{"kms:EncryptionContext:App":"p?y"}"#, true),
            (r#""StringLike":{"kms:EncryptionContext:App":"P*"}"#, false),
            (r#""StringLike":{"kms:EncryptionContext:App":["x*","*y"]}"#, true),
            (r#""StringNotLike":{"kms:EncryptionContext:App":"p*"}"#, false),
            (r#""StringNotLike":{"kms:EncryptionContext:None":"*"}"#, true),
        ],
    );
}

#[test]
fn several_operators_and_keys_must_all_hold() {
    check(
        &full(),
        &[
            (
                r#""StringEquals":{"kms:EncryptionContext:App":"pay","kms:EncryptionContext:Tenant":"acme"}"#,
                true,
            ),
            (
                r#""StringEquals":{"kms:EncryptionContext:App":"pay","kms:EncryptionContext:Tenant":"x"}"#,
                false,
            ),
            (
                r#""StringEquals":{"kms:KeySpec":"SYMMETRIC_DEFAULT"},"StringLike":{"kms:EncryptionContext:App":"x"}"#,
                false,
            ),
        ],
    );
}

#[test]
fn absence() {
    check(
        &full(),
        &[
            (r#""Null":{"kms:EncryptionContext:App":"false"}"#, true),
            (r#""Null":{"kms:EncryptionContext:App":true}"#, false),
            (r#""Null":{"kms:EncryptionContext:None":"true"}"#, true),
            (r#""Null":{"kms:ResourceAliases":false}"#, true),
            (r#""Null":{"kms:RecipientAttestation:PCR4":"true"}"#, true),
            (r#""StringEqualsIfExists":{"kms:EncryptionContext:None":"x"}"#, true),
            (r#""StringEqualsIfExists":{"kms:EncryptionContext:App":"x"}"#, false),
            (r#""StringNotEqualsIfExists":{"kms:EncryptionContext:App":"pay"}"#, false),
        ],
    );
}

#[test]
fn quantifiers() {
    check(
        &full(),
        &[
            (r#""ForAnyValue:StringEquals":{"kms:EncryptionContextKeys":"App"}"#, true),
            (r#""ForAnyValue:StringEquals":{"kms:EncryptionContextKeys":"app"}"#, false),
            (r#""ForAnyValue:StringEqualsIgnoreCase":{"kms:EncryptionContextKeys":"app"}"#, true),
            (
                r#""ForAllValues:StringEquals":{"kms:EncryptionContextKeys":["App","Tenant","X"]}"#,
                true,
            ),
            (r#""ForAllValues:StringEquals":{"kms:EncryptionContextKeys":"App"}"#, false),
            (r#""ForAnyValue:StringNotEquals":{"kms:EncryptionContextKeys":"App"}"#, true),
            (
                r#""ForAnyValue:StringNotEquals":{"kms:EncryptionContextKeys":["App","Tenant"]}"#,
                false,
            ),
            (r#""ForAllValues:StringNotEquals":{"kms:EncryptionContextKeys":"App"}"#, false),
            (r#""ForAllValues:StringNotEquals":{"kms:EncryptionContextKeys":"X"}"#, true),
            (r#""ForAnyValue:StringLike":{"kms:ResourceAliases":"alias/t*"}"#, true),
            (r#""ForAllValues:StringLike":{"kms:ResourceAliases":"alias/t*"}"#, false),
        ],
    );
    let mut empty = full();
    empty.encryption_context.clear();
    check(
        &empty,
        &[
            (r#""ForAllValues:StringEquals":{"kms:EncryptionContextKeys":"App"}"#, true),
            (r#""ForAnyValue:StringEquals":{"kms:EncryptionContextKeys":"App"}"#, false),
            (r#""ForAnyValue:StringNotEquals":{"kms:EncryptionContextKeys":"App"}"#, false),
            (r#""ForAnyValue:StringEqualsIfExists":{"kms:EncryptionContextKeys":"App"}"#, true),
        ],
    );
}

#[test]
fn every_key() {
    check(
        &full(),
        &[
            (r#""StringEquals":{"kms:KeySpec":"SYMMETRIC_DEFAULT"}"#, true),
            (r#""StringEquals":{"KMS:keyspec":"SYMMETRIC_DEFAULT"}"#, true),
            (r#""StringEquals":{"kms:KeyUsage":"ENCRYPT_DECRYPT"}"#, true),
            (r#""StringEquals":{"kms:KeyOrigin":"EXTERNAL"}"#, false),
            (r#""StringEquals":{"kms:RequestAlias":"alias/one"}"#, true),
            (r#""StringEquals":{"kms:RequestAlias":"alias/two"}"#, false),
            (r#""StringEquals":{"kms:CallerAccount":"111122223333"}"#, true),
            (r#""StringEquals":{"kms:CallerAccount":111122223333}"#, true),
            (r#""StringEquals":{"aws:PrincipalAccount":"444455556666"}"#, false),
            (r#""StringLike":{"aws:PrincipalArn":"arn:aws:iam::*:user/*"}"#, true),
            (r#""ArnLike":{"aws:PrincipalArn":"arn:aws:iam::*:user/*"}"#, true),
            (r#""ArnLike":{"aws:PrincipalArn":"arn:aws:*::*:user/*"}"#, true),
            (r#""ArnLike":{"aws:PrincipalArn":"arn:*:*:*:*:role/*"}"#, false),
            (r#""ArnEquals":{"aws:PrincipalArn":"arn:aws:iam::111122223333:user/ada"}"#, true),
            (r#""ArnNotLike":{"aws:PrincipalArn":"arn:aws:iam::*:role/*"}"#, true),
            (r#""StringEquals":{"aws:PrincipalTag/team":"risk"}"#, true),
            (r#""StringEquals":{"aws:ResourceTag/Stage":"prod"}"#, true),
            (r#""Bool":{"aws:SecureTransport":"true"}"#, true),
            (r#""Bool":{"aws:SecureTransport":false}"#, false),
            (r#""Bool":{"aws:PrincipalIsAWSService":"False"}"#, true),
            (r#""StringEquals":{"kms:RecipientAttestation:ImageSha384":"ab12"}"#, true),
            (r#""StringEqualsIgnoreCase":{"kms:RecipientAttestation:ImageSha384":"AB12"}"#, true),
            (r#""StringEquals":{"kms:RecipientAttestation:PCR3":"cd34"}"#, true),
            (r#""StringEquals":{"kms:recipientattestation:pcr3":"ab12"}"#, false),
            (r#""StringEquals":{"kms:RecipientAttestation:PCR4":"cd34"}"#, false),
            (r#""StringLike":{"kms:RecipientAttestation:PCR3":"cd*"}"#, true),
            (r#""StringEquals":{"kms:RecipientAttestation:NitroTPMPCR3":"cd34"}"#, false),
        ],
    );
}

#[test]
fn attestation_keys_speak_of_their_own_kind_of_machine() {
    let mut request = full();
    request.attestation = Some(attestation(AttestationKind::NitroTpm, &[(4, "ab12")]));
    check(
        &request,
        &[
            (r#""StringEquals":{"kms:RecipientAttestation:NitroTPMPCR4":"ab12"}"#, true),
            (r#""StringEquals":{"kms:RecipientAttestation:PCR4":"ab12"}"#, false),
            (r#""Null":{"kms:RecipientAttestation:ImageSha384":"true"}"#, true),
        ],
    );
    request.attestation = None;
    check(
        &request,
        &[
            (r#""StringEquals":{"kms:RecipientAttestation:ImageSha384":"ab12"}"#, false),
            (r#""StringNotEquals":{"kms:RecipientAttestation:ImageSha384":"ab12"}"#, true),
        ],
    );
}

#[test]
fn an_alias_arn_is_an_alias_too() {
    let mut request = full();
    for (key_id, holds) in [
        ("alias/one", true),
        ("arn:aws:kms:eu-central-1:111122223333:alias/one", true),
        ("1234abcd", false),
        (KEY, false),
    ] {
        request.parameters = pairs(&[("KeyId", key_id)]);
        check(&request, &[(r#""StringEquals":{"kms:RequestAlias":"alias/one"}"#, holds)]);
    }
}

/// Names of the encryption context that differ in case alone meet one condition key.
#[test]
fn names_that_differ_in_case_are_taken_against_the_caller() {
    let mut request = request("kms:Decrypt", USER);
    request.encryption_context = pairs(&[("App", "pay"), ("app", "x")]);
    let equals = r#""StringEquals":{"kms:EncryptionContext:App":"pay"}"#;
    let differs = r#""StringNotEquals":{"kms:EncryptionContext:App":"pay"}"#;
    for condition in [equals, differs] {
        assert_eq!(ask(&under("Allow", condition), &request), Decision::NoOpinion);
        assert_ne!(ask(&under("Deny", condition), &request), Decision::NoOpinion);
    }
}
