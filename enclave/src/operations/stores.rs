//! The operations on custom key stores, as AWS answers them in an account that has none: this
//! service keeps all its keys itself.

use super::{Input, limit, offset, page_from};
use crate::api::{AccountResource, ApiError, Facts, Fields, Form, Pattern, Text};
use crate::authorize::Permit;
use crate::service::Service;
use serde_json::{Value, json};

/// `CustomKeyStoreIdType` and `CustomKeyStoreNameType` of AWS's service model.
pub(super) const STORE_ID: Text = Text::length(1, 64);
const STORE_NAME: Text = Text::length(1, 256);
/// `XksProxyAuthenticationAccessKeyIdType` and `XksProxyAuthenticationRawSecretAccessKeyType`.
const ACCESS_KEY_ID: Text = Text {
    min: 20,
    max: 30,
    pattern: Some(Pattern {
        text: "^[A-Z2-7]+$",
        allows: |letter| matches!(letter, 'A'..='Z' | '2'..='7'),
    }),
};
const SECRET_ACCESS_KEY: Text = Text {
    min: 43,
    max: 64,
    pattern: Some(Pattern {
        text: "^[a-zA-Z0-9\\/+=]+$",
        allows: |letter| letter.is_ascii_alphanumeric() || "/+=".contains(letter),
    }),
};
const STORE_TYPES: &[&str] = &["AWS_CLOUDHSM", "EXTERNAL_KEY_STORE"];

pub(super) fn no_such_store(id: &str) -> ApiError {
    ApiError::CustomKeyStoreNotFound(format!("Custom key store '{id}' does not exist"))
}

/// Reads the members that tell of a cluster or of a proxy. None of them leads anywhere here.
fn read_connection(fields: &mut Fields) -> Result<(), ApiError> {
    for (name, min, max, form) in [
        ("CloudHsmClusterId", 19, 24, Form::CLOUD_HSM_CLUSTER_ID),
        ("XksProxyUriEndpoint", 10, 128, Form::XKS_PROXY_URI_ENDPOINT),
        ("XksProxyUriPath", 10, 128, Form::XKS_PROXY_URI_PATH),
        ("XksProxyVpcEndpointServiceName", 20, 64, Form::XKS_PROXY_VPC_ENDPOINT_SERVICE_NAME),
        ("XksProxyVpcEndpointServiceOwner", 12, 12, Form::ACCOUNT_ID),
    ] {
        fields.formed_text(name, Text::length(min, max), form)?;
    }
    fields.choice("XksProxyConnectivity", &["PUBLIC_ENDPOINT", "VPC_ENDPOINT_SERVICE"])?;
    fields.sensitive_text("KeyStorePassword", Text::length(7, 32))?;
    const CREDENTIAL: &str = "XksProxyAuthenticationCredential";
    if let Some(mut credential) = fields.structure(CREDENTIAL)? {
        for (name, shape) in
            [("AccessKeyId", ACCESS_KEY_ID), ("RawSecretAccessKey", SECRET_ACCESS_KEY)]
        {
            let text = credential.sensitive_text(name, shape)?;
            credential.required_sensitive(name, text);
        }
        fields.absorb(CREDENTIAL, credential);
    }
    Ok(())
}

pub(crate) struct CreateCustomKeyStore {
    kind: &'static str,
}

impl Input for CreateCustomKeyStore {
    fn read(fields: &mut Fields) -> Result<Self, ApiError> {
        fields.required_text("CustomKeyStoreName", STORE_NAME)?;
        fields.text("TrustAnchorCertificate", Text::length(1, 5000))?;
        read_connection(fields)?;
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
    ($($name:ident: $read:expr),+ $(,)?) => {
        $(
            pub(crate) struct $name {
                id: String,
            }

            impl Input for $name {
                fn read(fields: &mut Fields) -> Result<Self, ApiError> {
                    let id = fields.required_text("CustomKeyStoreId", STORE_ID)?;
                    let rest: fn(&mut Fields) -> Result<(), ApiError> = $read;
                    rest(fields).map(|()| Self { id })
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

on_a_store! {
    ConnectCustomKeyStore: |_| Ok(()),
    DeleteCustomKeyStore: |_| Ok(()),
    DisconnectCustomKeyStore: |_| Ok(()),
    UpdateCustomKeyStore: |fields| {
        fields.text("NewCustomKeyStoreName", STORE_NAME)?;
        read_connection(fields)
    },
}
