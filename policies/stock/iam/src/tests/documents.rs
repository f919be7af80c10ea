//! Documents that are refused, and where.

use super::*;

pub(super) fn place_of(document: &str) -> String {
    match Iam::configure(document.as_bytes()) {
        Ok(_) => panic!("taken: {document}"),
        Err(error) => error.place,
    }
}

#[test]
fn a_wrong_document_is_refused_at_its_place() {
    for (document, place) in [
        ("", "byte 0"),
        ("[]", ""),
        ("{}", ""),
        (r#"{"Statement":[]}"#, "Statement"),
        (r#"{"Statement":"x"}"#, "Statement"),
        (r#"{"Version":"2012-10-18","Statement":[]}"#, "Version"),
        (r#"{"statement":[]}"#, "statement"),
        (r#"{"Statement":[],"Statement":[]}"#, "byte 16"),
        (r#"{"Statement":[{}]}"#, "Statement[0]"),
    ] {
        assert_eq!(place_of(document), place, "{document}");
    }
}

#[test]
fn a_wrong_statement_is_refused_at_its_place() {
    let rest = r#""Principal":"*","Action":"*","Resource":"*""#;
    for (statement, place) in [
        (format!(r#""Effect":"allow",{rest}"#), ".Effect"),
        (rest.to_owned(), ""),
        (format!(r#""Effect":"Allow",{rest},"Extra":1"#), ".Extra"),
        (format!(r#""Effect":"Allow",{rest},"NotAction":"*""#), ".NotAction"),
        (format!(r#""Effect":"Allow",{rest},"NotPrincipal":"*""#), ".NotPrincipal"),
        (r#""Effect":"Allow","NotPrincipal":"*","Action":"*","Resource":"*""#.into(), ""),
        (
            r#""Effect":"Deny","NotPrincipal":[],"Action":"*","Resource":"*""#.into(),
            ".NotPrincipal",
        ),
        (format!(r#""Effect":"Allow",{rest},"Sid":"{}""#, "x".repeat(257)), ".Sid"),
        (format!(r#""Effect":"Allow",{rest},"Sid":1"#), ".Sid"),
        (r#""Effect":"Allow","Principal":"*","Action":"*""#.into(), ""),
        (r#""Effect":"Allow","Action":"*","Resource":"*""#.into(), ""),
    ] {
        let document = format!(r#"{{"Statement":[{{{statement}}}]}}"#);
        assert_eq!(place_of(&document), format!("Statement[0]{place}"), "{document}");
    }
}

#[test]
fn a_wrong_element_is_refused_at_its_place() {
    for (principal, action, resource, place) in [
        (r#""x""#, r#""*""#, r#""*""#, "Principal"),
        ("{}", r#""*""#, r#""*""#, "Principal"),
        (r#"{"AWS":[]}"#, r#""*""#, r#""*""#, "Principal"),
        (r#"{"AWS":"1111"}"#, r#""*""#, r#""*""#, "Principal.AWS"),
        (r#"{"AWS":["*",1]}"#, r#""*""#, r#""*""#, "Principal.AWS[1]"),
        (r#"{"AWS":"arn:aws:iam::111122223333:user/*"}"#, r#""*""#, r#""*""#, "Principal.AWS"),
        (r#"{"AWS":"arn:aws:iam::1111:root"}"#, r#""*""#, r#""*""#, "Principal.AWS"),
        (r#"{"AWS":"arn:aws:s3:::bucket"}"#, r#""*""#, r#""*""#, "Principal.AWS"),
        (r#"{"AWS":"arn:aws:iam::111122223333:group/x"}"#, r#""*""#, r#""*""#, "Principal.AWS"),
        (
            r#"{"AWS":"arn:aws:sts::111122223333:assumed-role/x"}"#,
            r#""*""#,
            r#""*""#,
            "Principal.AWS",
        ),
        (r#"{"Service":"s3.amazonaws.org"}"#, r#""*""#, r#""*""#, "Principal.Service"),
        (r#"{"Service":"*"}"#, r#""*""#, r#""*""#, "Principal.Service"),
        (r#"{"Federated":"*"}"#, r#""*""#, r#""*""#, "Principal.Federated"),
        (r#"{"CanonicalUser":"ab"}"#, r#""*""#, r#""*""#, "Principal.CanonicalUser"),
        (r#"{"aws":"*"}"#, r#""*""#, r#""*""#, "Principal.aws"),
        (r#""*""#, "[]", r#""*""#, "Action"),
        (r#""*""#, r#""Decrypt""#, r#""*""#, "Action"),
        (r#""*""#, r#"["kms:*","s3:GetObject"]"#, r#""*""#, "Action[1]"),
        (r#""*""#, r#""kms:""#, r#""*""#, "Action"),
        (r#""*""#, r#""*""#, "[]", "Resource"),
        (r#""*""#, r#""*""#, "[1]", "Resource[0]"),
        (r#""*""#, r#""*""#, r#""key/1234abcd""#, "Resource"),
        (r#""*""#, r#""*""#, r#""arn:aws:kms:eu-central-1""#, "Resource"),
        (r#""*""#, r#""*""#, r#""arn:aws:kms:*:*:key/${aws:usrname}""#, "Resource"),
        (r#""*""#, r#""*""#, r#""arn:aws:kms:*:*:key/${kms:ResourceAliases}""#, "Resource"),
        (r#""*""#, r#""*""#, r#""arn:aws:kms:*:*:key/${aws:username""#, "Resource"),
        (r#""*""#, r#""*""#, r#""arn:aws:kms:*:*:key/${aws:username, x}""#, "Resource"),
        (r#""*""#, r#""kms:${aws:username}""#, r#""*""#, "Action"),
    ] {
        let rest = format!(r#""Principal":{principal},"Action":{action},"Resource":{resource}"#);
        let document = statement("Allow", &rest);
        assert_eq!(place_of(&document), format!("Statement[0].{place}"), "{document}");
    }
}

#[test]
fn a_wrong_condition_is_refused_at_its_place() {
    for (condition, place) in [
        (r#""StringEqualz":{"kms:KeySpec":"x"}"#, "StringEqualz"),
        (r#""IpAddress":{"aws:SourceIp":"10.0.0.0/33"}"#, "IpAddress.aws:SourceIp"),
        (r#""IpAddress":{"aws:PrincipalArn":"10.0.0.0/8"}"#, "IpAddress.aws:PrincipalArn"),
        (
            r#""NumericEquals":{"kms:RotationPeriodInDays":"1e3"}"#,
            "NumericEquals.kms:RotationPeriodInDays",
        ),
        (r#""NumericEquals":{"kms:KeySpec":"1"}"#, "NumericEquals.kms:KeySpec"),
        (r#""DateLessThan":{"aws:CurrentTime":"tomorrow"}"#, "DateLessThan.aws:CurrentTime"),
        (r#""DateLessThan":{"aws:PrincipalArn":"2026"}"#, "DateLessThan.aws:PrincipalArn"),
        (
            r#""DateLessThan":{"aws:CurrentTime":"${aws:TokenIssueTime}"}"#,
            "DateLessThan.aws:CurrentTime",
        ),
        (
            r#""BinaryEquals":{"kms:EncryptionContext:a":"x"}"#,
            "BinaryEquals.kms:EncryptionContext:a",
        ),
        (r#""BinaryEquals":{"aws:CurrentTime":"AAAA"}"#, "BinaryEquals.aws:CurrentTime"),
        (r#""ArnLike":{"aws:PrincipalArn":"*"}"#, "ArnLike.aws:PrincipalArn"),
        (r#""ArnLike":{"aws:PrincipalArn":"arn:aws:iam::*"}"#, "ArnLike.aws:PrincipalArn"),
        (r#""ArnLike":{"aws:CurrentTime":"arn:a:b:c:d:e"}"#, "ArnLike.aws:CurrentTime"),
        (r#""ForSomeValue:StringEquals":{"kms:KeySpec":"x"}"#, "ForSomeValue:StringEquals"),
        (r#""NullIfExists":{"kms:KeySpec":"true"}"#, "NullIfExists"),
        (r#""ForAnyValue:Null":{"kms:KeySpec":"true"}"#, "ForAnyValue:Null"),
        (r#""StringEquals":{}"#, "StringEquals"),
        (r#""StringEquals":"x""#, "StringEquals"),
        (r#""StringEquals":{"kms:KeySpe":"x"}"#, "StringEquals.kms:KeySpe"),
        (r#""StringEquals":{"kms:KeySpecs":"x"}"#, "StringEquals.kms:KeySpecs"),
        (r#""StringEquals":{"kms:EncryptionContext:":"x"}"#, "StringEquals.kms:EncryptionContext:"),
        (
            r#""StringEquals":{"kms:EncryptionContext:é":"x"}"#,
            "StringEquals.kms:EncryptionContext:é",
        ),
        (
            r#""StringEquals":{"kms:RecipientAttestation:PCR32":"ab"}"#,
            "StringEquals.kms:RecipientAttestation:PCR32",
        ),
        (
            r#""StringEquals":{"kms:RecipientAttestation:PCR03":"ab"}"#,
            "StringEquals.kms:RecipientAttestation:PCR03",
        ),
        (
            r#""StringEquals":{"kms:RecipientAttestation:PCR3":"AB"}"#,
            "StringEquals.kms:RecipientAttestation:PCR3",
        ),
        (
            r#""StringEquals":{"kms:RecipientAttestation:PCR3":["ab","a*"]}"#,
            "StringEquals.kms:RecipientAttestation:PCR3[1]",
        ),
        (
            r#""StringEqualsIgnoreCase":{"kms:EncryptionContext:a":"é"}"#,
            "StringEqualsIgnoreCase.kms:EncryptionContext:a",
        ),
        (
            r#""StringEquals":{"kms:EncryptionContextKeys":"a"}"#,
            "StringEquals.kms:EncryptionContextKeys",
        ),
        (r#""StringEquals":{"kms:KeySpec":[]}"#, "StringEquals.kms:KeySpec"),
        (r#""StringEquals":{"kms:KeySpec":{}}"#, "StringEquals.kms:KeySpec"),
        (r#""StringEquals":{"kms:KeySpec":["a",null]}"#, "StringEquals.kms:KeySpec[1]"),
        (r#""StringEquals":{"kms:KeySpec":"${}"}"#, "StringEquals.kms:KeySpec"),
        (r#""StringEquals":{"kms:KeySpec":"${aws:usrname}"}"#, "StringEquals.kms:KeySpec"),
        (r#""StringEquals":{"kms:KeySpec":"${aws:TagKeys}"}"#, "StringEquals.kms:KeySpec"),
        (r#""StringEquals":{"kms:KeySpec":"${aws:username, 'x}"}"#, "StringEquals.kms:KeySpec"),
        (r#""Null":{"kms:KeySpec":"yes"}"#, "Null.kms:KeySpec"),
        (r#""Bool":{"aws:SecureTransport":"1"}"#, "Bool.aws:SecureTransport"),
        (r#""Bool":{"kms:KeySpec":"true"}"#, "Bool.kms:KeySpec"),
    ] {
        let document = under("Allow", condition);
        let expected = format!("Statement[0].Condition.{place}");
        assert_eq!(place_of(&document), expected, "{document}");
    }
}
