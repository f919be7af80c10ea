//! Names of keys and aliases: ARNs of one service, and what callers may write instead.

use super::id::{KeyId, NotAKeyId};
use crate::principals::ROOT;

/// The account and a Region that a service stands for; part of every ARN it gives out there.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) region: String,
    pub(crate) account: String,
}

impl Place {
    /// The same account in another Region.
    pub(crate) fn in_region(&self, region: &str) -> Self {
        Self { region: region.to_owned(), account: self.account.clone() }
    }

    pub(crate) fn key_arn(&self, id: KeyId) -> String {
        self.arn(&format!("key/{id}"))
    }

    /// What stands for any key: the resource of who would tag one that is not made yet.
    pub(crate) fn any_key_arn(&self) -> String {
        self.arn("key/*")
    }

    /// `name` with its prefix `alias/`.
    pub(crate) fn alias_arn(&self, name: &str) -> String {
        self.arn(name)
    }

    pub(crate) fn root_arn(&self) -> String {
        format!("arn:aws:iam::{}:root", self.account)
    }

    /// A principal that is kept in the journal: a user, or the account's root.
    pub(crate) fn principal_arn(&self, name: &str) -> String {
        if name == ROOT {
            return self.root_arn();
        }
        format!("arn:aws:iam::{}:user/{name}", self.account)
    }

    /// Whether a text has the form of a principal's ARN, of any account.
    pub(crate) fn is_principal(text: &str) -> bool {
        let mut parts = text.splitn(6, ':');
        let head = [parts.next(), parts.next(), parts.next(), parts.next()];
        let (account, resource) = (parts.next(), parts.next());
        let is_account = |account: &str| {
            account.len() == 12 && account.bytes().all(|digit| digit.is_ascii_digit())
        };
        matches!(head, [Some("arn"), Some("aws"), Some("iam" | "sts"), Some("")])
            && account.is_some_and(is_account)
            && resource.is_some_and(|resource| !resource.is_empty())
    }

    fn arn(&self, resource: &str) -> String {
        format!("arn:aws:kms:{}:{}:{resource}", self.region, self.account)
    }

    /// Reads a `KeyId` parameter: key id, key ARN, alias name or alias ARN.
    pub(crate) fn parse(&self, text: &str) -> Result<KeyName, NoSuchName> {
        let name = if text.starts_with("arn:") { self.strip(text)? } else { text };
        if name.starts_with("alias/") {
            return Ok(KeyName::Alias(name.to_owned()));
        }
        let id = match name.strip_prefix("key/") {
            Some(id) if text.starts_with("arn:") => id,
            _ => name,
        };
        match KeyId::parse(id) {
            Ok(id) => Ok(KeyName::Id(id)),
            Err(_) if text.starts_with("arn:") => Err(NoSuchName::Key(text.to_owned())),
            Err(NotAKeyId::Unused) => Err(NoSuchName::Key(self.arn(&format!("key/{id}")))),
            Err(NotAKeyId::Malformed) => Err(NoSuchName::Invalid(text.to_owned())),
        }
    }

    /// Reads a `KeyId` parameter that is a key id or a key ARN, and no alias.
    pub(crate) fn parse_key(&self, text: &str) -> Result<KeyName, NoSuchName> {
        match self.parse(text)? {
            KeyName::Alias(_) => Err(NoSuchName::Alias),
            id @ KeyName::Id(_) => Ok(id),
        }
    }

    /// The resource of an ARN of this service.
    fn strip<'a>(&self, arn: &'a str) -> Result<&'a str, NoSuchName> {
        let mut parts = arn.splitn(6, ':').skip(1);
        let (partition, service, region, account, resource) =
            (parts.next(), parts.next(), parts.next(), parts.next(), parts.next());
        if partition != Some("aws") || service != Some("kms") {
            return Err(NoSuchName::Invalid(arn.to_owned()));
        }
        if region != Some(&self.region) {
            return Err(NoSuchName::Region(region.unwrap_or_default().to_owned()));
        }
        match resource {
            Some(resource) if account == Some(&self.account) => Ok(resource),
            _ => Err(NoSuchName::Key(arn.to_owned())),
        }
    }
}

/// What a `KeyId` parameter names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum KeyName {
    Id(KeyId),
    /// With its prefix `alias/`.
    Alias(String),
}

/// A `KeyId` that cannot name a key here; each holds the words for AWS's message.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NoSuchName {
    Invalid(String),
    Region(String),
    Key(String),
    /// It names an alias where only a key is taken.
    Alias,
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "1234abcd-12ab-34cd-56ef-1234567890ab";
    /// Of the form of a multi-Region key's id.
    const NEVER: &str = "mrk-1234abcd12ab34cd56ef1234567890ab";

    fn place() -> Place {
        Place { region: "eu-central-1".into(), account: "111122223333".into() }
    }

    #[test]
    fn all_four_forms_name_a_key() {
        let id = KeyName::Id(KeyId::parse(ID).unwrap());
        let alias = KeyName::Alias("alias/a/b".into());
        for (text, wanted) in [
            (ID.to_owned(), &id),
            (format!("arn:aws:kms:eu-central-1:111122223333:key/{ID}"), &id),
            ("alias/a/b".to_owned(), &alias),
            ("arn:aws:kms:eu-central-1:111122223333:alias/a/b".to_owned(), &alias),
        ] {
            assert_eq!(&place().parse(&text).unwrap(), wanted, "{text}");
            assert_eq!(place().parse_key(&text).is_ok(), wanted == &id, "{text}");
        }
    }

    #[test]
    fn a_multi_region_key_has_one_id_and_an_arn_in_each_region() {
        let id = KeyId::generate(true);
        for place in [place(), place().in_region("us-east-1")] {
            let arn = place.key_arn(id);
            assert_eq!(arn, format!("arn:aws:kms:{}:111122223333:key/{id}", place.region));
            for text in [arn, id.to_string()] {
                assert_eq!(place.parse_key(&text), Ok(KeyName::Id(id)), "{text}");
            }
        }
        let elsewhere = place().in_region("us-east-1").key_arn(id);
        assert_eq!(place().parse(&elsewhere), Err(NoSuchName::Region("us-east-1".into())));
    }

    #[test]
    fn everything_else_is_refused_with_its_reason() {
        let invalid = |text: &str| NoSuchName::Invalid(text.into());
        let upper = ID.to_uppercase();
        let elsewhere = format!("arn:aws:kms:us-east-1:111122223333:key/{ID}");
        let foreign = format!("arn:aws:kms:eu-central-1:999999999999:key/{ID}");
        for (text, wanted) in [
            ("", invalid("")),
            ("key/x", invalid("key/x")),
            ("mrk-fake-key-id", invalid("mrk-fake-key-id")),
            (NEVER, NoSuchName::Key(format!("arn:aws:kms:eu-central-1:111122223333:key/{NEVER}"))),
            (&upper, invalid(&upper)),
            ("arn:aws:s3:::bucket", invalid("arn:aws:s3:::bucket")),
            (&elsewhere, NoSuchName::Region("us-east-1".into())),
            (&foreign, NoSuchName::Key(foreign.clone())),
        ] {
            assert_eq!(place().parse(text).unwrap_err(), wanted, "{text}");
        }
    }
}
