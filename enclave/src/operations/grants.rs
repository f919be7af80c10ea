//! CreateGrant, RetireGrant, RevokeGrant; ListGrants and ListRetirableGrants in a file beside.

mod listings;

pub(crate) use listings::{ListGrants, ListRetirableGrants};

use super::{Input, KEY_ID, change};
use crate::api::{ApiError, Facts, Fields, Form, GRANT_TOKEN, Options, Pattern, Subject, Text};
use crate::authorize::Permit;
use crate::keys::Key;
use crate::keys::arn::Place;
use crate::keys::grants::{Constraint, Grant, GrantTerms, GrantToken, MAX_GRANTS};
use crate::keys::spec::KeyType;
use crate::secret::fill_random;
use crate::service::Service;
use serde_json::{Value, json};

/// `GrantOperation` of AWS's service model.
const OPERATIONS: &[&str] = &[
    "Decrypt",
    "Encrypt",
    "GenerateDataKey",
    "GenerateDataKeyWithoutPlaintext",
    "ReEncryptFrom",
    "ReEncryptTo",
    "Sign",
    "Verify",
    "GetPublicKey",
    "CreateGrant",
    "RetireGrant",
    "DescribeKey",
    "GenerateDataKeyPair",
    "GenerateDataKeyPairWithoutPlaintext",
    "GenerateMac",
    "VerifyMac",
    "DeriveSharedSecret",
    "Encapsulate",
    "Decapsulate",
];
/// `PrincipalIdType`, `GrantNameType`, `GrantIdType`.
const PRINCIPAL: Text = Text {
    min: 1,
    max: 256,
    pattern: Some(Pattern {
        text: "^[\\w+=,.@:/-]+$",
        allows: |letter| letter.is_ascii_alphanumeric() || "_+=,.@:/-".contains(letter),
    }),
};
const NAME: Text = Text {
    min: 1,
    max: 256,
    pattern: Some(Pattern {
        text: "^[a-zA-Z0-9:/_-]+$",
        allows: |letter| letter.is_ascii_alphanumeric() || ":/_-".contains(letter),
    }),
};
const GRANT_ID: Text = Text::length(1, 128);
/// Reads a `ServicePrincipalType`.
fn service_principal(fields: &mut Fields, name: &str) -> Result<Option<String>, ApiError> {
    fields.formed_text(name, Text::length(1, 128), Form::SERVICE_PRINCIPAL)
}

/// AWS's limit for the encryption context of a grant's constraint, characters.
const MAX_CONSTRAINT: usize = 384;

pub(crate) struct CreateGrant {
    key_id: String,
    grantee: Option<String>,
    retiring: Option<String>,
    /// A principal of an AWS service: there are none here.
    of_service: bool,
    operations: Vec<String>,
    constraints: Vec<Constraint>,
    source_arn: bool,
    name: Option<String>,
    options: Options,
}

impl Input for CreateGrant {
    fn read(fields: &mut Fields) -> Result<Self, ApiError> {
        let service = service_principal(fields, "GranteeServicePrincipal")?;
        let retiring_service = service_principal(fields, "RetiringServicePrincipal")?;
        let operations = fields.choices("Operations", OPERATIONS)?;
        let mut operations = fields.required("Operations", operations);
        operations.sort();
        operations.dedup();
        let (mut constraints, mut source_arn) = (Vec::new(), false);
        if let Some(mut nested) = fields.structure("Constraints")? {
            let form = Form::GRANT_CONSTRAINT_SOURCE_ARN;
            source_arn = nested.formed_text("SourceArn", Text::length(20, 512), form)?.is_some();
            for (name, make) in [
                ("EncryptionContextSubset", Constraint::Subset as fn(_) -> _),
                ("EncryptionContextEquals", Constraint::Equals as fn(_) -> _),
            ] {
                let context = nested.encryption_context(name)?;
                let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
                let pairs: Vec<_> = context.iter().map(owned).collect();
                constraints.extend((!pairs.is_empty()).then(|| make(pairs)));
            }
            fields.absorb("Constraints", nested);
        }
        Ok(Self {
            key_id: fields.required_text("KeyId", KEY_ID)?,
            grantee: fields.text("GranteePrincipal", PRINCIPAL)?,
            retiring: fields.text("RetiringPrincipal", PRINCIPAL)?,
            of_service: service.is_some() || retiring_service.is_some(),
            operations,
            constraints,
            source_arn,
            name: fields.text("Name", NAME)?,
            options: fields.options()?,
        })
    }

    fn check(&self) -> Result<(), ApiError> {
        let refuse = |text: &str| Err(ApiError::Validation(text.into()));
        if self.of_service || self.source_arn {
            return Err(ApiError::UnsupportedOperation(
                "Grants for service principals are not supported: no AWS service calls this one."
                    .into(),
            ));
        }
        if self.constraints.len() > 1 {
            return refuse(
                "Only one of EncryptionContextSubset and EncryptionContextEquals can be specified.",
            );
        }
        let pairs = self.constraints.iter().flat_map(|constraint| match constraint {
            Constraint::Subset(pairs) | Constraint::Equals(pairs) => pairs,
        });
        let length: usize = pairs.map(|(name, value)| name.len().saturating_add(value.len())).sum();
        if length > MAX_CONSTRAINT {
            return refuse("The encryption context of the grant constraint is too long.");
        }
        if self.operations == ["CreateGrant"] {
            return refuse("Grants must not contain only the CreateGrant operation.");
        }
        let Some(grantee) = &self.grantee else {
            return refuse("GranteePrincipal must be specified.");
        };
        let mut principals = [Some(grantee), self.retiring.as_ref()].into_iter().flatten();
        match principals.find(|principal| !Place::is_principal(principal)) {
            Some(other) => Err(ApiError::InvalidArn(format!(
                "ARN does not refer to a valid principal: {other}"
            ))),
            None => Ok(()),
        }
    }

    fn facts(&self) -> Facts<'_> {
        let kind = self.constraints.first().map(|constraint| match constraint {
            Constraint::Subset(_) => "EncryptionContextSubset",
            Constraint::Equals(_) => "EncryptionContextEquals",
        });
        Facts::of(Subject::Key(&self.key_id))
            .options(&self.options)
            .optional("GrantConstraintType", kind)
            .each("Operations", &self.operations)
            .optional("GranteePrincipal", self.grantee.as_ref())
            .optional("RetiringPrincipal", self.retiring.as_ref())
    }

    /// A grant is for what its key can do, and who was let by a grant gives no more than they have.
    fn suits(&self, permit: &Permit) -> Result<(), ApiError> {
        let terms = self.terms()?;
        let key = &permit.key()?.key;
        if let Some(other) = self.operations.iter().find(|one| !key.supports_grant_of(one)) {
            let (spec, usage) = (key.spec.name(), key.usage.name());
            return Err(ApiError::Validation(format!(
                "Operation {other} is not supported by a key of spec {spec} and usage {usage}."
            )));
        }
        if terms.constraint.is_some() && key.spec.key_type() != KeyType::Symmetric {
            return Err(ApiError::Validation(
                "An encryption context grant constraint needs a symmetric encryption key.".into(),
            ));
        }
        match permit.granted() {
            Some(grants) if !grants.iter().any(|grant| grant.may_give(&terms)) => {
                Err(permit.refusal())
            }
            _ => Ok(()),
        }
    }

    async fn perform(self, service: &Service, permit: Permit) -> Result<Value, ApiError> {
        let terms = self.terms()?;
        let mut random = [0; 32];
        fill_random(&mut random)?;
        let mut id = hex::encode(random);
        let grant = Grant { id: id.clone(), created: permit.time(), terms };
        change(service, &permit, |key| {
            // The same again under the same name is a retry.
            let same = |known: &&Grant| known.terms.name.is_some() && known.terms == grant.terms;
            if let Some(known) = key.grants.iter().find(same) {
                id = known.id.clone();
                return Ok(());
            }
            if key.grants.len() >= MAX_GRANTS {
                return Err(ApiError::LimitExceeded(format!("The key has {MAX_GRANTS} grants")));
            }
            key.grants.push(grant);
            key.grants.sort_by(|one, other| one.id.cmp(&other.id));
            Ok(())
        })
        .await?;
        let token = GrantToken { key: permit.key()?.key.id, grant: id };
        Ok(json!({ "GrantToken": token.to_text()?, "GrantId": token.grant }))
    }
}

impl CreateGrant {
    fn terms(&self) -> Result<GrantTerms, ApiError> {
        Ok(GrantTerms {
            name: self.name.clone(),
            grantee: self.grantee.clone().ok_or(ApiError::Internal)?,
            retiring: self.retiring.clone(),
            operations: self.operations.clone(),
            constraint: self.constraints.first().cloned(),
        })
    }
}

pub(crate) struct RevokeGrant {
    key_id: String,
    grant_id: String,
    options: Options,
}

impl Input for RevokeGrant {
    fn read(fields: &mut Fields) -> Result<Self, ApiError> {
        Ok(Self {
            key_id: fields.required_text("KeyId", KEY_ID)?,
            grant_id: fields.required_text("GrantId", GRANT_ID)?,
            options: fields.options()?,
        })
    }

    fn facts(&self) -> Facts<'_> {
        Facts::of(Subject::Key(&self.key_id)).options(&self.options)
    }

    fn suits(&self, permit: &Permit) -> Result<(), ApiError> {
        let found = permit.key()?.key.grant(&self.grant_id);
        found.map(|_| ()).ok_or_else(|| no_such_grant(&self.grant_id))
    }

    async fn perform(self, service: &Service, permit: Permit) -> Result<Value, ApiError> {
        end(service, &permit, &self.grant_id).await
    }
}

pub(crate) struct RetireGrant {
    /// Of the token, or of the other two members.
    grant: Option<(String, String)>,
    options: Options,
}

impl Input for RetireGrant {
    fn read(fields: &mut Fields) -> Result<Self, ApiError> {
        let token = fields.text("GrantToken", GRANT_TOKEN)?;
        let (key_id, id) = (fields.text("KeyId", KEY_ID)?, fields.text("GrantId", GRANT_ID)?);
        let token = token.map(|token| GrantToken::read(&token).ok_or(ApiError::InvalidGrantToken));
        let named = fields.understood(token.transpose());
        let named = named.map(|token| (token.key.to_string(), token.grant));
        let grant = named.or_else(|| key_id.zip(id));
        Ok(Self { grant, options: fields.options()? })
    }

    fn check(&self) -> Result<(), ApiError> {
        if self.grant.is_none() {
            return Err(ApiError::Validation(
                "Either GrantToken or KeyId and GrantId must be specified.".into(),
            ));
        }
        Ok(())
    }

    fn facts(&self) -> Facts<'_> {
        let subject = self.grant.as_ref().map(|(key_id, _)| Subject::Key(key_id));
        Facts {
            grant: self.grant.as_ref().map(|(_, id)| id.as_str()),
            ..Facts::of(subject.unwrap_or_default()).options(&self.options)
        }
    }

    fn suits(&self, permit: &Permit) -> Result<(), ApiError> {
        let id = self.grant.as_ref().map_or("", |(_, id)| id);
        permit.key()?.key.grant(id).map(|_| ()).ok_or_else(|| no_such_grant(id))
    }

    async fn perform(self, service: &Service, permit: Permit) -> Result<Value, ApiError> {
        let (_, id) = self.grant.ok_or(ApiError::Internal)?;
        end(service, &permit, &id).await
    }
}

async fn end(service: &Service, permit: &Permit, id: &str) -> Result<Value, ApiError> {
    let remove = |key: &mut Key| {
        let before = key.grants.len();
        key.grants.retain(|grant| grant.id != id);
        if key.grants.len() == before { Err(no_such_grant(id)) } else { Ok(()) }
    };
    change(service, permit, remove).await?;
    Ok(json!({}))
}

fn no_such_grant(id: &str) -> ApiError {
    ApiError::NotFound(format!("Grant ID {id} not found"))
}
