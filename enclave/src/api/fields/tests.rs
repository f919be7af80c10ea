//! How members are read, and what is said of those that break a constraint.

use super::*;

fn message(result: Result<(), ApiError>) -> String {
    result.unwrap_err().message()
}

#[test]
fn violations_are_collected_in_awss_words() {
    let mut fields = Fields::parse(br#"{"KeyId":"","Limit":0,"KeySpec":"X"}"#).unwrap();
    fields.required_text("KeyId", Text::length(1, 8)).unwrap();
    fields.integer("Limit", 1, 10).unwrap();
    fields.choice("KeySpec", &["AES_256", "AES_128"]).unwrap();
    fields.required_blob("Plaintext", 1, 2).unwrap();
    assert_eq!(
        message(fields.finish()),
        "4 validation errors detected: \
         Value '' at 'keyId' failed to satisfy constraint: Member must have length greater \
         than or equal to 1; \
         Value '0' at 'limit' failed to satisfy constraint: Member must have value greater \
         than or equal to 1; \
         Value 'X' at 'keySpec' failed to satisfy constraint: Member must satisfy enum value \
         set: [AES_256, AES_128]; \
         Value null at 'plaintext' failed to satisfy constraint: Member must not be null"
    );
}

#[test]
fn a_secret_is_in_no_message() {
    let mut fields = Fields::parse(br#"{"Plaintext":"c2VjcmV0"}"#).unwrap();
    fields.blob("Plaintext", 1, 2).unwrap();
    let text = message(fields.finish());
    assert!(text.contains("Value at 'plaintext'"), "{text}");
    assert!(!text.contains("secret") && !text.contains("c2Vj"), "{text}");
}

#[test]
fn items_of_a_list_are_told_together() {
    let mut fields = Fields::parse(br#"{"TagKeys":["a",""],"Operations":["X","Y"]}"#).unwrap();
    fields.texts("TagKeys", 9, Text::length(1, 128)).unwrap();
    fields.some_choices("Operations", &["X"], 1, 1).unwrap();
    assert_eq!(
        message(fields.finish()),
        "2 validation errors detected: \
         Value '[a, ]' at 'tagKeys' failed to satisfy constraint: Member must satisfy constraint: \
         [Member must have length less than or equal to 128, Member must have length greater than \
         or equal to 1]; \
         Value '[X, Y]' at 'operations' failed to satisfy constraint: Member must have length less \
         than or equal to 1"
    );
}

#[test]
fn a_refusal_waits_for_the_constraints() {
    let mut fields = Fields::parse(br#"{"Limit":0}"#).unwrap();
    let nothing: Option<u8> = fields.understood(Err(ApiError::InvalidMarker));
    fields.integer("Limit", 1, 10).unwrap();
    assert!(nothing.is_none());
    assert!(matches!(fields.finish(), Err(ApiError::Constraints(_))));
    let mut fields = Fields::parse(b"{}").unwrap();
    fields.understood(Err::<(), _>(ApiError::InvalidMarker));
    assert!(matches!(fields.finish(), Err(ApiError::InvalidMarker)));
}

#[test]
fn wrong_types_and_broken_json_are_serialization_errors() {
    for body in ["", "[]", "{", "{\"a\":}", "7"] {
        let error = Fields::parse(body.as_bytes()).err().unwrap();
        assert_eq!(error.code(), "SerializationException", "{body}");
    }
    let deep = "[".repeat(100_000);
    assert!(Fields::parse(deep.as_bytes()).is_err());
    let mut fields = Fields::parse(br#"{"KeyId":7,"Plaintext":"*"}"#).unwrap();
    assert!(fields.text("KeyId", Text::length(0, 9)).is_err());
    assert!(fields.blob("Plaintext", 0, 9).is_err());
}

#[test]
fn times_are_seconds_with_a_fraction_or_without() {
    for (number, milliseconds) in [
        ("0", 0),
        ("1789209320", 1_789_209_320_000),
        ("1789209320.25", 1_789_209_320_250),
        ("-5", 0),
        ("1e300", u64::MAX),
    ] {
        let mut fields = Fields::parse(format!("{{\"ValidTo\":{number}}}").as_bytes()).unwrap();
        assert_eq!(fields.timestamp("ValidTo").unwrap(), Some(milliseconds), "{number}");
        assert_eq!(fields.timestamp("ValidTo").unwrap(), None);
    }
    let mut fields = Fields::parse(br#"{"ValidTo":"2026-01-31T00:00:00Z"}"#).unwrap();
    assert_eq!(fields.timestamp("ValidTo").unwrap_err().code(), "SerializationException");
}
