//! The operations on custom key stores, as AWS answers them in an account that has none: this
//! service keeps all its keys itself.

use super::{Input, limit, offset, page_from};
use crate::api::{AccountResource, ApiError, Facts, Fields, Pattern, Text};
use crate::authorize::Permit;
use crate::service::Service;
use serde_json::{Value, json};

/// `CustomKeyStoreIdType` and `CustomKeyStoreNameType` of AWS's service model.
pub(super) const STORE_ID: Text = Text::length(1, 64);
const STORE_NAME: Text = Text::length(1, 256);
/// `CloudHsmClusterIdType`.
const CLUSTER_ID: Text = Text {
    min: 19,
    max: 24,
    pattern: Some(Pattern {
        text: "cluster-[2-7a-zA-Z]{11,16}",
        allows: |letter| letter.is_ascii_alphanumeric() || letter == '-',
    }),
};
const STORE_TYPES: &[&str] = &["AWS_CLOUDHSM", "EXTERNAL_KEY_STORE"];

pub(super) fn no_such_store(id: &str) -> ApiError {
    ApiError::CustomKeyStoreNotFound(format!("Custom key store '{id}' does not exist"))
}

pub(crate) struct CreateCustomKeyStore {
    kind: &'static str,
}

impl Input for CreateCustomKeyStore {
    fn read(fields: &mut Fields) -> Result<Self, ApiError> {
        fields.required_text("CustomKeyStoreName", STORE_NAME)?;
        fields.text("CloudHsmClusterId", CLUSTER_ID)?;
        let kind = fields.choice("CustomKeyStoreType", STORE_TYPES)?;
        Ok(Self { kind: kind.unwrap_or("AWS_CLOUDHSM") })
    }

    fn facts(&self) -> Facts<'_> {
        Facts::account(AccountResource::Any)
    }

    async fn perform(self, _: &Service, _: Permit) -> Result<Value, ApiError> {
        Err(match self.kind {
            "AWS_CLOUDHSM" => ApiError::CloudHsmClusterNotFound,
            _ => ApiError::XksProxyUriUnreachable,
        })
    }
}

pub(crate) struct DescribeCustomKeyStores {
    wanted: Option<String>,
    offset: usize,
    limit: usize,
}

impl Input for DescribeCustomKeyStores {
    fn read(fields: &mut Fields) -> Result<Self, ApiError> {
        let id = fields.text("CustomKeyStoreId", STORE_ID)?;
        let name = fields.text("CustomKeyStoreName", STORE_NAME)?;
        let limit = limit(fields, 100, 1000)?;
        Ok(Self { wanted: id.or(name), offset: offset(fields)?, limit })
    }

    fn facts(&self) -> Facts<'_> {
        Facts::account(AccountResource::Any)
    }

    async fn perform(self, _: &Service, _: Permit) -> Result<Value, ApiError> {
        match self.wanted {
            Some(wanted) => Err(no_such_store(&wanted)),
            None => {
                let none: [(); 0] = [];
                Ok(page_from(none, self.offset, self.limit, "CustomKeyStores", |()| json!({})))
            }
        }
    }
}

/// The operations that name a store: there is none of this name.
macro_rules! on_a_store {
    ($($name:ident),+) => {
        $(
            pub(crate) struct $name {
                id: String,
            }

            impl Input for $name {
                fn read(fields: &mut Fields) -> Result<Self, ApiError> {
                    Ok(Self { id: fields.required_text("CustomKeyStoreId", STORE_ID)? })
                }

                fn facts(&self) -> Facts<'_> {
                    Facts::account(AccountResource::Any)
                }

                async fn perform(self, _: &Service, _: Permit) -> Result<Value, ApiError> {
                    Err(no_such_store(&self.id))
                }
            }
        )+
    };
}

on_a_store!(
    ConnectCustomKeyStore,
    DeleteCustomKeyStore,
    DisconnectCustomKeyStore,
    UpdateCustomKeyStore
);
