//! `Tags` of a key or a principal.

use crate::api::{ApiError, Fields, Text};

/// AWS's quota of tags for one resource.
const MAX_TAGS: usize = 50;

/// Reads the member `Tags`; sorted by name.
pub(super) fn read_tags(fields: &mut Fields) -> Result<Vec<(String, String)>, ApiError> {
    let mut tags = Vec::new();
    for (at, mut tag) in fields.structures("Tags", MAX_TAGS)?.into_iter().enumerate() {
        let name = tag.required_text("TagKey", Text::length(1, 128))?;
        let value = tag.required_text("TagValue", Text::length(0, 256))?;
        fields.absorb(&format!("tags.{}.member", at.saturating_add(1)), tag);
        tags.push((name, value));
    }
    tags.sort();
    Ok(tags)
}

/// Names are unique and not AWS's own.
pub(super) fn check(tags: &[(String, String)]) -> Result<(), ApiError> {
    if tags.iter().any(|(name, _)| name.starts_with("aws:")) {
        return Err(ApiError::Tag("Tag keys beginning with 'aws:' are reserved".into()));
    }
    if tags.iter().zip(tags.iter().skip(1)).any(|(one, next)| one.0 == next.0) {
        return Err(ApiError::Tag("Duplicate tag keys".into()));
    }
    Ok(())
}
