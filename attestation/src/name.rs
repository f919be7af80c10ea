//! Distinguished names (RFC 5280 §4.1.2.4). They are compared as bytes: AWS's certificates repeat
//! an issuer's name exactly, and string preparation would only widen what is taken as equal.

use std::fmt;

use x509_cert::der::asn1::{AnyRef, ObjectIdentifier};
use x509_cert::der::{self, Decode as _, Reader, SliceReader, Tag, Tagged as _};

const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");

/// A distinguished name of the right form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Name<'c> {
    der: &'c [u8],
}

/// The bytes are not a distinguished name.
pub(crate) struct NotAName;

impl From<der::Error> for NotAName {
    fn from(_: der::Error) -> Self {
        Self
    }
}

impl<'c> Name<'c> {
    /// Reads a complete TLV. A name is not empty (RFC 5280 §4.1.2.4).
    pub(crate) fn decode(der: &'c [u8]) -> Result<Self, NotAName> {
        let mut attributes = 0_usize;
        for_each_attribute(der, |_, _| attributes = attributes.saturating_add(1))?;
        if attributes == 0 { Err(NotAName) } else { Ok(Self { der }) }
    }

    pub(crate) fn as_der(&self) -> &'c [u8] {
        self.der
    }

    /// The common name, if there is exactly one and it is a string.
    pub(crate) fn common_name(&self) -> Option<&'c str> {
        let mut found = None;
        let mut count = 0_usize;
        for_each_attribute(self.der, |id, value| {
            if id == COMMON_NAME {
                count = count.saturating_add(1);
                found = text(value);
            }
        })
        .ok()?;
        if count == 1 { found } else { None }
    }
}

/// `CN=…, OU=…`: for people, not to be compared.
impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        let mut result = Ok(());
        let walked = for_each_attribute(self.der, |id, value| {
            let id = match id.to_string().as_str() {
                "2.5.4.3" => "CN".to_owned(),
                "2.5.4.6" => "C".to_owned(),
                "2.5.4.7" => "L".to_owned(),
                "2.5.4.8" => "ST".to_owned(),
                "2.5.4.10" => "O".to_owned(),
                "2.5.4.11" => "OU".to_owned(),
                other => other.to_owned(),
            };
            let value = text(value).unwrap_or("?").escape_debug();
            result = result.and_then(|()| write!(f, "{separator}{id}={value}"));
            separator = ", ";
        });
        walked.map_err(|_| fmt::Error).and(result)
    }
}

fn text(value: AnyRef<'_>) -> Option<&str> {
    match value.tag() {
        Tag::Utf8String => core::str::from_utf8(value.value()).ok(),
        Tag::PrintableString if value.value().is_ascii() => {
            core::str::from_utf8(value.value()).ok()
        }
        _ => None,
    }
}

/// `SEQUENCE OF SET SIZE (1..MAX) OF SEQUENCE { type OBJECT IDENTIFIER, value ANY }`
fn for_each_attribute<'c>(
    der: &'c [u8],
    mut visit: impl FnMut(ObjectIdentifier, AnyRef<'c>),
) -> Result<(), NotAName> {
    let mut relative = content(AnyRef::from_der(der)?, Tag::Sequence)?;
    while !relative.is_finished() {
        let mut attributes = content(AnyRef::decode(&mut relative)?, Tag::Set)?;
        if attributes.is_finished() {
            return Err(NotAName);
        }
        while !attributes.is_finished() {
            let mut attribute = content(AnyRef::decode(&mut attributes)?, Tag::Sequence)?;
            let id = ObjectIdentifier::decode(&mut attribute)?;
            let value = AnyRef::decode(&mut attribute)?;
            attribute.finish()?;
            visit(id, value);
        }
    }
    Ok(())
}

fn content(any: AnyRef<'_>, tag: Tag) -> Result<SliceReader<'_>, NotAName> {
    if any.tag() == tag { Ok(SliceReader::new(any.value())?) } else { Err(NotAName) }
}
