//! CreateKey, DescribeKey, ListKeys.

use super::tags::read_tags;
use super::{KEY_ID, MARKER, POLICY, page, seconds, tags};
use crate::api::{AccountResource, ApiError, Fields, Input, Subject, Text};
use crate::authorize::Permit;
use crate::keys::Key;
use crate::keys::arn::Place;
use crate::keys::material::KeyMaterial;
use crate::keys::policy::default_document;
use crate::service::Service;
use serde_json::{Value, json};
use uuid::Uuid;

/// `KeySpec` of AWS's service model.
const KEY_SPECS: &[&str] = &[
    "RSA_2048",
    "RSA_3072",
    "RSA_4096",
    "ECC_NIST_P256",
    "ECC_NIST_P384",
    "ECC_NIST_P521",
    "ECC_SECG_P256K1",
    "SYMMETRIC_DEFAULT",
    "HMAC_224",
    "HMAC_256",
    "HMAC_384",
    "HMAC_512",
    "SM2",
    "ML_DSA_44",
    "ML_DSA_65",
    "ML_DSA_87",
    "ECC_NIST_EDWARDS25519",
];
const KEY_USAGES: &[&str] =
    &["SIGN_VERIFY", "ENCRYPT_DECRYPT", "GENERATE_VERIFY_MAC", "KEY_AGREEMENT"];
const ORIGINS: &[&str] = &["AWS_KMS", "EXTERNAL", "AWS_CLOUDHSM", "EXTERNAL_KEY_STORE"];

pub(crate) struct CreateKey {
    policy: Option<String>,
    description: String,
    spec: &'static str,
    usage: &'static str,
    origin: &'static str,
    multi_region: bool,
    other_store: bool,
    bypass_lockout_check: bool,
    tags: Vec<(String, String)>,
}

impl CreateKey {
    pub(crate) fn read(fields: &mut Fields) -> Result<Self, ApiError> {
        let old_spec = fields.choice("CustomerMasterKeySpec", KEY_SPECS)?;
        let spec = fields.choice("KeySpec", KEY_SPECS)?;
        let store = fields.text("CustomKeyStoreId", Text::length(1, 64))?;
        let external = fields.text("XksKeyId", Text::length(1, 128))?;
        let tags = read_tags(fields)?;
        Ok(Self {
            policy: fields.text("Policy", POLICY)?,
            description: fields.text("Description", Text::length(0, 8192))?.unwrap_or_default(),
            spec: spec.or(old_spec).unwrap_or("SYMMETRIC_DEFAULT"),
            usage: fields.choice("KeyUsage", KEY_USAGES)?.unwrap_or("ENCRYPT_DECRYPT"),
            origin: fields.choice("Origin", ORIGINS)?.unwrap_or("AWS_KMS"),
            multi_region: fields.boolean("MultiRegion")?,
            other_store: store.is_some() || external.is_some(),
            bypass_lockout_check: fields.boolean("BypassPolicyLockoutSafetyCheck")?,
            tags,
        })
    }

    pub(crate) async fn perform(
        self,
        service: &Service,
        permit: Permit,
    ) -> Result<Value, ApiError> {
        let place = &service.keys.place;
        let document = self.policy.unwrap_or_else(|| default_document(&place.root_arn()));
        let now = permit.time();
        let material = KeyMaterial::generate(now)?;
        let key = Key::symmetric(Uuid::new_v4(), now, self.description, self.tags, material);
        let policy = permit.new_policy(service, &key, &[], &document, self.bypass_lockout_check)?;
        let held = service.keys.create(key, policy).await?;
        Ok(json!({ "KeyMetadata": metadata(place, &held.key) }))
    }
}

impl Input for CreateKey {
    fn check(&self) -> Result<(), ApiError> {
        tags::check(&self.tags)?;
        let unsupported = |what: &str, value: &str| {
            Err(ApiError::UnsupportedOperation(format!(
                "{what} {value} is not supported by this version of Sekisho; it makes \
                 SYMMETRIC_DEFAULT keys with origin AWS_KMS in one region"
            )))
        };
        if self.spec != "SYMMETRIC_DEFAULT" {
            return unsupported("KeySpec", self.spec);
        }
        if self.origin != "AWS_KMS" {
            return unsupported("Origin", self.origin);
        }
        if self.multi_region {
            return unsupported("MultiRegion", "true");
        }
        if self.other_store {
            return unsupported("A custom key store", "");
        }
        if self.usage != "ENCRYPT_DECRYPT" {
            return Err(ApiError::Validation(format!(
                "KeyUsage {} is not compatible with KeySpec {}",
                self.usage, self.spec
            )));
        }
        Ok(())
    }

    fn subject(&self) -> Subject<'_> {
        Subject::Account
    }

    fn account_resource(&self) -> Option<AccountResource<'_>> {
        Some(AccountResource::Any)
    }

    fn parameters(&self) -> Vec<(&'static str, String)> {
        let bypass = self.bypass_lockout_check.to_string();
        vec![
            ("BypassPolicyLockoutSafetyCheck", bypass),
            ("KeySpec", self.spec.into()),
            ("KeyUsage", self.usage.into()),
            ("MultiRegion", self.multi_region.to_string()),
            ("Origin", self.origin.into()),
        ]
    }
}

pub(crate) struct DescribeKey {
    key_id: String,
}

impl DescribeKey {
    pub(crate) fn read(fields: &mut Fields) -> Result<Self, ApiError> {
        fields.grant_tokens()?;
        Ok(Self { key_id: fields.required_text("KeyId", KEY_ID)? })
    }

    pub(crate) fn perform(self, service: &Service, permit: Permit) -> Result<Value, ApiError> {
        let held = permit.key()?;
        Ok(json!({ "KeyMetadata": metadata(&service.keys.place, &held.key) }))
    }
}

impl Input for DescribeKey {
    fn subject(&self) -> Subject<'_> {
        Subject::Named(&self.key_id)
    }
}

pub(crate) struct ListKeys {
    limit: usize,
    after: Option<Uuid>,
}

impl ListKeys {
    /// AWS's default page.
    const DEFAULT_LIMIT: i64 = 100;

    pub(crate) fn read(fields: &mut Fields) -> Result<Self, ApiError> {
        let limit = fields.integer("Limit", 1, 1000)?.unwrap_or(Self::DEFAULT_LIMIT);
        let after = fields.text("Marker", MARKER)?;
        let after = after
            .map(|marker| Uuid::try_parse(&marker).map_err(|_| ApiError::InvalidMarker))
            .transpose()?;
        Ok(Self { limit: usize::try_from(limit).unwrap_or_default(), after })
    }

    pub(crate) fn perform(self, service: &Service) -> Result<Value, ApiError> {
        let found = service.keys.key_ids(self.after, self.limit.saturating_add(1));
        let place = &service.keys.place;
        let item = |id: &Uuid| json!({ "KeyId": id.to_string(), "KeyArn": place.key_arn(*id) });
        Ok(page(found, self.limit, "Keys", Uuid::to_string, item))
    }
}

impl Input for ListKeys {
    fn subject(&self) -> Subject<'_> {
        Subject::Account
    }

    fn account_resource(&self) -> Option<AccountResource<'_>> {
        Some(AccountResource::Any)
    }
}

fn metadata(place: &Place, key: &Key) -> Value {
    json!({
        "AWSAccountId": place.account,
        "KeyId": key.id.to_string(),
        "Arn": place.key_arn(key.id),
        "CreationDate": seconds(key.created),
        "Enabled": true,
        "Description": key.description,
        "KeyUsage": key.usage.name(),
        "KeyState": key.state.name(),
        "Origin": "AWS_KMS",
        "KeyManager": "CUSTOMER",
        "CustomerMasterKeySpec": key.spec.name(),
        "KeySpec": key.spec.name(),
        "EncryptionAlgorithms": ["SYMMETRIC_DEFAULT"],
        "MultiRegion": false,
        "CurrentKeyMaterialId": key.current_material().map(|material| material.id().to_string()),
    })
}
