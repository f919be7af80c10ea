//! RotateRootKey, GetRootKeyStatus: Sekisho's own.

use super::{Input, seconds};
use crate::api::{AccountResource, ApiError, Facts, Fields};
use crate::authorize::Permit;
use crate::keys::store::StoreFault;
use crate::root_rotation::{NotRotated, Standing};
use crate::service::Service;
use crate::unseal::Failure;
use serde_json::{Value, json};

pub(crate) struct RotateRootKey;

impl Input for RotateRootKey {
    fn read(_: &mut Fields) -> Result<Self, ApiError> {
        Ok(Self)
    }

    async fn perform(self, service: &Service, _: Permit) -> Result<Value, ApiError> {
        match service.root_rotation.rotate().await {
            Ok(standing) => Ok(described(&standing)),
            Err(refused) => Err(refused.into()),
        }
    }

    fn facts(&self) -> Facts<'_> {
        Facts::account(AccountResource::Any)
    }
}

pub(crate) struct GetRootKeyStatus;

impl Input for GetRootKeyStatus {
    fn read(_: &mut Fields) -> Result<Self, ApiError> {
        Ok(Self)
    }

    async fn perform(self, service: &Service, _: Permit) -> Result<Value, ApiError> {
        Ok(described(&service.root_rotation.standing()))
    }

    fn facts(&self) -> Facts<'_> {
        Facts::account(AccountResource::Any)
    }
}

fn described(standing: &Standing) -> Value {
    let mut answer = json!({
        "Generation": standing.generation,
        "Rotating": standing.rotating,
        "RecordsLeft": standing.records_left,
    });
    if let (Some(since), Some(members)) = (standing.since, answer.as_object_mut()) {
        members.insert("Since".into(), seconds(since));
    }
    answer
}

impl From<NotRotated> for ApiError {
    fn from(refused: NotRotated) -> Self {
        match refused {
            NotRotated::UnderWay => Self::InvalidState(format!("{refused}.")),
            NotRotated::Failed(Failure::NoKeeper) => {
                Self::UnsupportedOperation(format!("{}.", Failure::NoKeeper))
            }
            // What the KMS or the host did is in the worker's log.
            NotRotated::Failed(Failure::Internal) | NotRotated::Keyring(_) => Self::Internal,
            NotRotated::Failed(_) => Self::DependencyTimeout,
            NotRotated::Journal(error) => StoreFault::from(error).into(),
        }
    }
}
