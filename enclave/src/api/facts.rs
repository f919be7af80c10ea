//! What a request tells about itself before it is allowed: to the policies, and to the stages that
//! find its key and verify its document.

use super::Recipient;
use crate::keys::context::EncryptionContext;
use std::borrow::Cow;

/// What every input can tell.
#[derive(Default)]
pub(crate) struct Facts<'a> {
    pub(crate) subject: Subject<'a>,
    pub(crate) second: Option<Second<'a>>,
    /// The account's resource that is asked for beside the key, for the account's policy.
    pub(crate) account_resource: Option<AccountResource<'a>>,
    /// What policies call the operation on that, where it has a name of its own.
    pub(crate) account_action: Option<&'static str>,
    /// The Region of a key that is made with tags, if there are any: the account is asked for
    /// `kms:TagResource` beside. The caller's own where it is empty.
    pub(crate) tagged_in: Option<&'a str>,
    pub(crate) encryption_context: Option<&'a EncryptionContext>,
    pub(crate) recipient: Option<&'a Recipient>,
    pub(crate) options: Option<&'a Options>,
    /// The id of the grant that is to be retired.
    pub(crate) grant: Option<&'a str>,
    /// The other parameters, for policies: AWS's names, sorted.
    pub(crate) parameters: Vec<(Cow<'static, str>, String)>,
}

/// Which key a request is about.
#[derive(Debug, Default)]
pub(crate) enum Subject<'a> {
    /// None: the account.
    #[default]
    Account,
    /// The key of a `KeyId` parameter that may be an alias.
    Named(&'a str),
    /// The key of a `KeyId` parameter that is a key id or a key ARN.
    Key(&'a str),
    /// The multi-Region key in another Region that is related to the key of a `KeyId` parameter,
    /// if there is one.
    Related { key_id: &'a str, region: &'a str },
    /// The key that a ciphertext names, and the `KeyId` that it must agree with.
    Ciphertext { blob: &'a [u8], key_id: Option<&'a str> },
}

/// A second key, which is asked for beside the first.
pub(crate) struct Second<'a> {
    pub(crate) subject: Subject<'a>,
    /// What policies call the operation on the first key and on the second, where they have names of
    /// their own for it.
    pub(crate) actions: Option<(&'static str, &'static str)>,
    pub(crate) encryption_context: Option<&'a EncryptionContext>,
}

/// A resource that belongs to the account and not to a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AccountResource<'a> {
    /// `*`
    Any,
    /// An alias by its name, `alias/…`.
    Alias(&'a str),
    /// A principal by its name.
    Principal(&'a str),
    /// The principal that asks.
    Caller,
}

/// The members that nearly every operation with a key has.
#[derive(Debug, Default)]
pub(crate) struct Options {
    pub(crate) dry_run: bool,
    /// A dry run that looks at no ciphertext (`DryRunModifiers`).
    pub(crate) ignores_ciphertext: bool,
}

impl<'a> Subject<'a> {
    /// The key as the caller named it (`kms:RequestAlias` reads it).
    pub(crate) fn key_id(&self) -> Option<&'a str> {
        match self {
            Self::Account => None,
            Self::Named(key_id) | Self::Key(key_id) | Self::Related { key_id, .. } => Some(key_id),
            Self::Ciphertext { key_id, .. } => *key_id,
        }
    }
}

impl<'a> Facts<'a> {
    pub(crate) fn of(subject: Subject<'a>) -> Self {
        Self { subject, ..Self::default() }
    }

    pub(crate) fn account(resource: AccountResource<'a>) -> Self {
        Self { account_resource: Some(resource), ..Self::default() }
    }

    pub(crate) fn and_account(self, resource: AccountResource<'a>) -> Self {
        Self { account_resource: Some(resource), ..self }
    }

    /// The account is asked for leave to do `action` in place of the operation.
    pub(crate) fn of_account(self, action: &'static str) -> Self {
        Self { account_action: Some(action), ..self }
    }

    pub(crate) fn and(self, second: Second<'a>) -> Self {
        Self { second: Some(second), ..self }
    }

    pub(crate) fn context(self, context: &'a EncryptionContext) -> Self {
        Self { encryption_context: Some(context), ..self }
    }

    pub(crate) fn recipient(self, recipient: Option<&'a Recipient>) -> Self {
        Self { recipient, ..self }
    }

    pub(crate) fn options(self, options: &'a Options) -> Self {
        Self { options: Some(options), ..self }
    }

    /// Names may come in any order.
    pub(crate) fn parameter(
        mut self,
        name: impl Into<Cow<'static, str>>,
        value: impl ToString,
    ) -> Self {
        let name = name.into();
        let at = self.parameters.partition_point(|(known, _)| *known <= name);
        self.parameters.insert(at, (name, value.to_string()));
        self
    }

    /// One parameter for each value.
    pub(crate) fn each(self, name: &'static str, values: &[impl ToString]) -> Self {
        values.iter().fold(self, |facts, value| facts.parameter(name, value.to_string()))
    }

    /// Tags of a key that is made in a Region, the caller's own where it is empty.
    pub(crate) fn tags_of_new_key(self, tags: &[(String, String)], region: &'a str) -> Self {
        let tagged_in = (!tags.is_empty()).then_some(region);
        Self { tagged_in, ..self.tags(tags) }
    }

    /// Tags that come with a request: `Tags/<name>` with the tag's value.
    pub(crate) fn tags(self, tags: &[(String, String)]) -> Self {
        tags.iter()
            .fold(self, |facts, (name, value)| facts.parameter(format!("Tags/{name}"), value))
    }

    pub(crate) fn optional(self, name: &'static str, value: Option<impl ToString>) -> Self {
        match value {
            Some(value) => self.parameter(name, value),
            None => self,
        }
    }
}
