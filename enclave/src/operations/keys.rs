//! CreateKey, DescribeKey, ListKeys.

use super::imports::expiration;
use super::stores::{STORE_ID, no_such_store};
use super::tags::read_tags;
use super::{Input, KEY_ID, MARKER, POLICY, change, limit, page, seconds, tags};
use crate::api::{AccountResource, ApiError, Facts, Fields, Options, Pattern, Subject, Text};
use crate::authorize::{MULTI_REGION_KEY_TYPE, Permit};
use crate::keys::Key;
use crate::keys::arn::Place;
use crate::keys::id::KeyId;
use crate::keys::import::Origin;
use crate::keys::material::KeyMaterial;
use crate::keys::multi_region::MultiRegion;
use crate::keys::pair;
use crate::keys::policy::default_document;
use crate::keys::private::PrivateMaterial;
use crate::keys::spec::{KeySpec, KeyType, KeyUsage, SYMMETRIC_DEFAULT};
use crate::keys::state::KeyState;
use crate::service::Service;
use serde_json::{Value, json};

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
    "ML_KEM_512",
    "ML_KEM_768",
    "ML_KEM_1024",
];
/// `CustomerMasterKeySpec` of AWS's service model has those of its time alone.
const OLD_KEY_SPECS: &[&str] = KEY_SPECS.split_at(13).0;
/// `XksKeyIdType` of AWS's service model.
const XKS_KEY_ID: Text = Text {
    min: 1,
    max: 128,
    pattern: Some(Pattern {
        text: "^[a-zA-Z0-9-_.]+$",
        allows: |letter| letter.is_ascii_alphanumeric() || "-_.".contains(letter),
    }),
};
/// `DescriptionType` of AWS's service model.
pub(super) const DESCRIPTION: Text = Text::length(0, 8192);
const KEY_USAGES: &[&str] = &[
    "SIGN_VERIFY",
    "ENCRYPT_DECRYPT",
    "GENERATE_VERIFY_MAC",
    "KEY_AGREEMENT",
    "ENCAPSULATE_DECAPSULATE",
];
/// What AWS imports no material of.
const NOT_IMPORTED: [&str; 2] = ["ML_DSA_", "ML_KEM_"];
const ORIGINS: &[&str] = &["AWS_KMS", "EXTERNAL", "AWS_CLOUDHSM", "EXTERNAL_KEY_STORE"];

pub(crate) struct CreateKey {
    policy: Option<String>,
    description: String,
    spec: &'static str,
    /// The spec's name of before, given beside its name of today.
    two_specs: bool,
    usage: Option<&'static str>,
    origin: &'static str,
    multi_region: bool,
    store: Option<String>,
    external: bool,
    bypass_lockout_check: bool,
    tags: Vec<(String, String)>,
}

impl CreateKey {
    /// Spec and usage, which have to go together.
    fn kind(&self) -> Result<(KeySpec, KeyUsage), ApiError> {
        let spec = KeySpec::named(self.spec).ok_or(ApiError::Internal)?;
        let usage = match self.usage {
            Some(usage) => usage,
            None if spec.key_type() == KeyType::Symmetric => "ENCRYPT_DECRYPT",
            None => {
                return Err(ApiError::Validation(
                    "You must specify a KeyUsage value for all KMS keys except for symmetric \
                     encryption keys."
                        .into(),
                ));
            }
        };
        let fitting = KeyUsage::named(usage).filter(|usage| !spec.algorithms(*usage).is_empty());
        fitting.map(|usage| (spec, usage)).ok_or_else(|| {
            ApiError::Validation(format!(
                "KeyUsage {usage} is not compatible with KeySpec {}",
                self.spec
            ))
        })
    }
}

/// New material of a key that is no symmetric encryption key.
async fn private(service: &Service, spec: KeySpec) -> Result<Option<PrivateMaterial>, ApiError> {
    match spec.key_type() {
        KeyType::Symmetric => Ok(None),
        KeyType::Hmac => {
            let made = PrivateMaterial::generate_hmac(spec);
            made.map(Some).map_err(|_| ApiError::Internal)
        }
        KeyType::Asymmetric => {
            let (cost, make) = (pair::cost_of_generating(spec), move || pair::generate(spec));
            let made = service.computing.making.run(cost, make).await?;
            let made = made.map_err(|_| ApiError::Internal)?;
            Ok(Some(PrivateMaterial::new(made)))
        }
    }
}

impl Input for CreateKey {
    fn read(fields: &mut Fields) -> Result<Self, ApiError> {
        let old_spec = fields.choice("CustomerMasterKeySpec", OLD_KEY_SPECS)?;
        let spec = fields.choice("KeySpec", KEY_SPECS)?;
        let store = fields.text("CustomKeyStoreId", STORE_ID)?;
        let external = fields.text("XksKeyId", XKS_KEY_ID)?;
        let tags = read_tags(fields)?;
        Ok(Self {
            policy: fields.text("Policy", POLICY)?,
            description: fields.text("Description", DESCRIPTION)?.unwrap_or_default(),
            two_specs: spec.is_some() && old_spec.is_some(),
            spec: spec.or(old_spec).unwrap_or(SYMMETRIC_DEFAULT),
            usage: fields.choice("KeyUsage", KEY_USAGES)?,
            origin: fields.choice("Origin", ORIGINS)?.unwrap_or(Origin::AwsKms.name()),
            multi_region: fields.boolean("MultiRegion")?,
            store,
            external: external.is_some(),
            bypass_lockout_check: fields.boolean("BypassPolicyLockoutSafetyCheck")?,
            tags,
        })
    }

    async fn perform(self, service: &Service, permit: Permit) -> Result<Value, ApiError> {
        let place = &service.keys.place;
        let (spec, usage) = self.kind()?;
        let document = self.policy.unwrap_or_else(|| default_document(&place.root_arn()));
        let (id, now) = (KeyId::generate(self.multi_region), permit.time());
        let key = if self.origin == Origin::External.name() {
            Key::external(id, now, self.description, self.tags, (spec, usage))
        } else {
            let material = KeyMaterial::generate(now)?;
            let key = Key::symmetric(id, now, self.description, self.tags, material);
            match private(service, spec).await? {
                Some(private) => key.with_private(spec, usage, private),
                None => key,
            }
        };
        let multi_region = self.multi_region.then(|| MultiRegion::primary(&place.region));
        let key = key.with_regions(multi_region);
        let bypass = self.bypass_lockout_check;
        let policy = permit.new_policy(service, &key, &[], &document, bypass).await?;
        let held = service.keys.create(key, policy).await?;
        Ok(json!({ "KeyMetadata": metadata(place, &held.key, now) }))
    }

    fn check(&self) -> Result<(), ApiError> {
        tags::check(&self.tags)?;
        if let Some(store) = &self.store {
            return Err(no_such_store(store));
        }
        let unsupported = |what: &str, value: &str| {
            Err(ApiError::UnsupportedOperation(format!(
                "{what} {value} is not supported by this version of Sekisho; it makes keys of \
                 every spec but SM2, with origin AWS_KMS or EXTERNAL"
            )))
        };
        if self.two_specs {
            return Err(ApiError::Validation(
                "You cannot specify KeySpec and CustomerMasterKeySpec in the same request. \
                 CustomerMasterKeySpec is deprecated."
                    .into(),
            ));
        }
        let is_external = self.origin == Origin::External.name();
        if is_external && NOT_IMPORTED.iter().any(|family| self.spec.starts_with(family)) {
            return Err(ApiError::Validation(format!(
                "KeySpec {} is not supported for Origin EXTERNAL",
                self.spec
            )));
        }
        if KeySpec::named(self.spec).is_none() {
            return unsupported("KeySpec", self.spec);
        }
        if !is_external && self.origin != Origin::AwsKms.name() {
            return unsupported("Origin", self.origin);
        }
        if self.external {
            return unsupported("XksKeyId", "of an external key");
        }
        self.kind().map(|_| ())
    }

    fn facts(&self) -> Facts<'_> {
        let key_type = self.multi_region.then_some("PRIMARY");
        Facts::account(AccountResource::Any)
            .optional(MULTI_REGION_KEY_TYPE, key_type)
            .parameter("BypassPolicyLockoutSafetyCheck", self.bypass_lockout_check)
            .parameter("KeySpec", self.spec)
            .parameter("KeyUsage", self.usage.unwrap_or("ENCRYPT_DECRYPT"))
            .parameter("MultiRegion", self.multi_region)
            .parameter("Origin", self.origin)
            .tags_of_new_key(&self.tags, "")
    }
}

pub(crate) struct DescribeKey {
    key_id: String,
    options: Options,
}

impl Input for DescribeKey {
    fn read(fields: &mut Fields) -> Result<Self, ApiError> {
        Ok(Self { key_id: fields.required_text("KeyId", KEY_ID)?, options: fields.grant_tokens()? })
    }

    fn facts(&self) -> Facts<'_> {
        Facts::of(Subject::Named(&self.key_id)).options(&self.options)
    }

    async fn perform(self, service: &Service, permit: Permit) -> Result<Value, ApiError> {
        let held = permit.key()?;
        Ok(json!({ "KeyMetadata": metadata(&service.keys.place, &held.key, permit.time()) }))
    }
}

pub(crate) struct UpdateKeyDescription {
    key_id: String,
    description: String,
}

impl Input for UpdateKeyDescription {
    fn read(fields: &mut Fields) -> Result<Self, ApiError> {
        Ok(Self {
            key_id: fields.required_text("KeyId", KEY_ID)?,
            description: fields.required_text("Description", DESCRIPTION)?,
        })
    }

    fn facts(&self) -> Facts<'_> {
        Facts::of(Subject::Key(&self.key_id))
    }

    async fn perform(self, service: &Service, permit: Permit) -> Result<Value, ApiError> {
        let describe = |key: &mut Key| {
            key.description = self.description;
            Ok(())
        };
        change(service, &permit, describe).await?;
        Ok(json!({}))
    }
}

/// `ResourceOwnersList` of AWS's service model.
const SELF: &str = "SELF";
const OWNERS: &[&str] = &[SELF, "OTHER_ACCOUNTS_VIA_RAM"];

pub(crate) struct ListKeys {
    /// No other account shares its keys with this one.
    own: bool,
    limit: usize,
    after: Option<KeyId>,
}

impl Input for ListKeys {
    fn read(fields: &mut Fields) -> Result<Self, ApiError> {
        let after = fields.text("Marker", MARKER)?;
        let after = after
            .map(|marker| KeyId::parse(&marker).map_err(|_| ApiError::InvalidMarker))
            .transpose();
        let after = fields.understood(after);
        let owners = fields.some_choices("ResourceOwners", OWNERS, 1, 2)?;
        let own = owners.is_none_or(|owners| owners.iter().any(|owner| owner == SELF));
        // AWS's default page.
        Ok(Self { own, limit: limit(fields, 100, 1000)?, after })
    }

    fn facts(&self) -> Facts<'_> {
        Facts::account(AccountResource::Any)
    }

    async fn perform(self, service: &Service, _: Permit) -> Result<Value, ApiError> {
        let wanted = if self.own { self.limit.saturating_add(1) } else { 0 };
        let found = service.keys.key_ids(self.after, wanted);
        let place = &service.keys.place;
        let item = |id: &KeyId| json!({ "KeyId": id.to_string(), "KeyArn": place.key_arn(*id) });
        Ok(page(found, self.limit, "Keys", KeyId::to_string, item))
    }
}

pub(super) fn metadata(place: &Place, key: &Key, now: u64) -> Value {
    let state = key.state_at(now);
    let mut metadata = json!({
        "AWSAccountId": place.account,
        "KeyId": key.id.to_string(),
        "Arn": place.key_arn(key.id),
        "CreationDate": seconds(key.created),
        "Enabled": state == KeyState::Enabled,
        "Description": key.description,
        "KeyUsage": key.usage.name(),
        "KeyState": state.name(),
        "Origin": key.origin.name(),
        "KeyManager": "CUSTOMER",
        "CustomerMasterKeySpec": key.spec.name(),
        "KeySpec": key.spec.name(),
        key.usage.algorithms_member(): key.algorithms(),
        "MultiRegion": key.multi_region.is_some(),
    });
    if let (Some(multi_region), Some(members)) = (&key.multi_region, metadata.as_object_mut()) {
        let related = |region: &String| {
            let arn = place.in_region(region).key_arn(key.id);
            json!({ "Arn": arn, "Region": region })
        };
        let configuration = json!({
            "MultiRegionKeyType": multi_region.key_type(),
            "PrimaryKey": related(&multi_region.primary),
            "ReplicaKeys": multi_region.replicas.iter().map(related).collect::<Vec<_>>(),
        });
        members.insert("MultiRegionConfiguration".into(), configuration);
    }
    if let (Some(material), Some(members)) = (key.current_material(), metadata.as_object_mut()) {
        members.insert("CurrentKeyMaterialId".into(), material.id().to_string().into());
    }
    if let (true, Some(members)) = (key.origin == Origin::External, metadata.as_object_mut())
        && state != KeyState::PendingImport
        && !key.lacks_material()
    {
        expiration(members, key.valid_to());
    }
    if let (KeyState::PendingDeletion { deletion }, Some(members)) =
        (state, metadata.as_object_mut())
    {
        members.insert("DeletionDate".into(), seconds(deletion));
    }
    if let (KeyState::PendingReplicaDeletion { window }, Some(members)) =
        (state, metadata.as_object_mut())
    {
        members.insert("PendingDeletionWindowInDays".into(), window.into());
    }
    metadata
}
