//! GenerateRandom.

use super::Input;
use super::stores::{STORE_ID, no_such_store};
use crate::api::{AccountResource, ApiError, Facts, Fields, Recipient};
use crate::authorize::Permit;
use crate::secret::fill_random;
use crate::service::Service;
use serde_json::{Value, json};
use zeroize::Zeroizing;

pub(crate) struct GenerateRandom {
    bytes: Option<usize>,
    store: Option<String>,
    recipient: Option<Recipient>,
}

impl Input for GenerateRandom {
    fn read(fields: &mut Fields) -> Result<Self, ApiError> {
        let bytes = fields.integer("NumberOfBytes", 1, 1024)?;
        Ok(Self {
            bytes: bytes.and_then(|bytes| usize::try_from(bytes).ok()),
            store: fields.text("CustomKeyStoreId", STORE_ID)?,
            recipient: Recipient::read(fields)?,
        })
    }

    fn check(&self) -> Result<(), ApiError> {
        let missing = || ApiError::Validation("NumberOfBytes is required.".into());
        self.bytes.map(|_| ()).ok_or_else(missing)
    }

    fn facts(&self) -> Facts<'_> {
        Facts::account(AccountResource::Any)
            .recipient(self.recipient.as_ref())
            .optional("NumberOfBytes", self.bytes)
    }

    async fn perform(self, _: &Service, permit: Permit) -> Result<Value, ApiError> {
        if let Some(store) = self.store {
            return Err(no_such_store(&store));
        }
        let mut random = Zeroizing::new(vec![0; self.bytes.unwrap_or_default()]);
        fill_random(&mut random)?;
        let mut answer = json!({});
        permit.release("Plaintext", &random, &mut answer)?;
        Ok(answer)
    }
}
