//! `Tags` of a key or a principal; TagResource, UntagResource, ListResourceTags.

use super::{Input, KEY_ID, change, limit, offset, page_from};
use crate::api::{ApiError, Facts, Fields, Subject, Text};
use crate::authorize::Permit;
use crate::service::Service;
use serde_json::{Value, json};

/// AWS's quota of tags for one resource.
const MAX_TAGS: usize = 50;
/// Tags of a request that are looked at: AWS's service model leaves their number open.
const MAX_READ: usize = 1000;
/// `TagKeyType` and `TagValueType` of AWS's service model.
const TAG_KEY: Text = Text::length(1, 128);
const TAG_VALUE: Text = Text::length(0, 256);

/// Reads the member `Tags`; sorted by name.
pub(super) fn read_tags(fields: &mut Fields) -> Result<Vec<(String, String)>, ApiError> {
    let tags = fields.structures("Tags", MAX_READ)?.unwrap_or_default();
    tags_of(fields, tags)
}

fn tags_of(
    fields: &mut Fields,
    structures: Vec<Fields>,
) -> Result<Vec<(String, String)>, ApiError> {
    let mut tags = Vec::new();
    for (at, mut tag) in structures.into_iter().enumerate() {
        let name = tag.required_text("TagKey", TAG_KEY)?;
        let value = tag.required_text("TagValue", TAG_VALUE)?;
        fields.absorb(&format!("tags.{}.member", at.saturating_add(1)), tag);
        tags.push((name, value));
    }
    tags.sort();
    Ok(tags)
}

/// Names are unique and not AWS's own.
pub(super) fn check(tags: &[(String, String)]) -> Result<(), ApiError> {
    check_number(tags.len())?;
    check_reserved(tags.iter().map(|(name, _)| name))?;
    if !tags.iter().all(|(name, value)| name.chars().chain(value.chars()).all(is_of_tags)) {
        return Err(ApiError::Tag("Invalid tag".into()));
    }
    if tags.iter().zip(tags.iter().skip(1)).any(|(one, next)| one.0 == next.0) {
        return Err(ApiError::Tag("Duplicate tag keys".into()));
    }
    Ok(())
}

/// AWS, "Tag naming and usage conventions": letters, numbers and spaces of any script, and these.
fn is_of_tags(letter: char) -> bool {
    letter.is_alphanumeric() || letter.is_whitespace() || "_.:/=+-@".contains(letter)
}

fn check_number(tags: usize) -> Result<(), ApiError> {
    if tags > MAX_TAGS { Err(ApiError::Tag("Too many tags".into())) } else { Ok(()) }
}

fn check_reserved<'a>(mut names: impl Iterator<Item = &'a String>) -> Result<(), ApiError> {
    let reserved =
        |name: &String| name.get(..4).is_some_and(|one| one.eq_ignore_ascii_case("aws:"));
    if names.any(reserved) {
        return Err(ApiError::Tag("Tags beginning with aws: are reserved".into()));
    }
    Ok(())
}

pub(super) fn description((name, value): &(String, String)) -> Value {
    json!({ "TagKey": name, "TagValue": value })
}

pub(crate) struct TagResource {
    key_id: String,
    tags: Vec<(String, String)>,
}

impl Input for TagResource {
    fn read(fields: &mut Fields) -> Result<Self, ApiError> {
        let key_id = fields.required_text("KeyId", KEY_ID)?;
        let tags = fields.structures("Tags", MAX_READ)?;
        let tags = fields.required("Tags", tags);
        Ok(Self { key_id, tags: tags_of(fields, tags)? })
    }

    fn check(&self) -> Result<(), ApiError> {
        check(&self.tags)
    }

    fn facts(&self) -> Facts<'_> {
        Facts::of(Subject::Key(&self.key_id)).tags(&self.tags)
    }

    async fn perform(self, service: &Service, permit: Permit) -> Result<Value, ApiError> {
        let Self { tags, .. } = self;
        change(service, &permit, |key| {
            key.tags.retain(|(name, _)| !tags.iter().any(|(new, _)| new == name));
            key.tags.extend(tags);
            key.tags.sort();
            if key.tags.len() > MAX_TAGS {
                return Err(ApiError::LimitExceeded("Too many tags".into()));
            }
            Ok(())
        })
        .await?;
        Ok(json!({}))
    }
}

pub(crate) struct UntagResource {
    key_id: String,
    names: Vec<String>,
}

impl Input for UntagResource {
    fn read(fields: &mut Fields) -> Result<Self, ApiError> {
        let names = fields.texts("TagKeys", MAX_READ, TAG_KEY)?;
        Ok(Self {
            key_id: fields.required_text("KeyId", KEY_ID)?,
            names: fields.required("TagKeys", names),
        })
    }

    fn check(&self) -> Result<(), ApiError> {
        check_number(self.names.len())?;
        check_reserved(self.names.iter())
    }

    fn facts(&self) -> Facts<'_> {
        Facts::of(Subject::Key(&self.key_id)).each("TagKeys", &self.names)
    }

    async fn perform(self, service: &Service, permit: Permit) -> Result<Value, ApiError> {
        change(service, &permit, |key| {
            key.tags.retain(|(name, _)| !self.names.contains(name));
            Ok(())
        })
        .await?;
        Ok(json!({}))
    }
}

pub(crate) struct ListResourceTags {
    key_id: String,
    offset: usize,
    limit: usize,
}

impl Input for ListResourceTags {
    fn read(fields: &mut Fields) -> Result<Self, ApiError> {
        let key_id = fields.required_text("KeyId", KEY_ID)?;
        // AWS's largest page, and its default.
        Ok(Self { key_id, offset: offset(fields)?, limit: limit(fields, 50, 50)? })
    }

    fn facts(&self) -> Facts<'_> {
        Facts::of(Subject::Key(&self.key_id))
    }

    async fn perform(self, _: &Service, permit: Permit) -> Result<Value, ApiError> {
        let tags = permit.key()?.key.tags.iter();
        Ok(page_from(tags, self.offset, self.limit, "Tags", |tag| description(tag)))
    }
}
