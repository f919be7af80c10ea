//! Automatic rotation: new material for a key each time its period is over.

use super::Key;
use super::material::{KeyMaterial, RotationType};
use crate::secret::RandomUnavailable;
use serde::{Deserialize, Serialize};

/// A day in milliseconds.
pub(crate) const DAY: u64 = 24 * 60 * 60 * 1000;

/// AWS KMS `KeyRotationEnabled`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Rotation {
    /// Days.
    pub(crate) period: u32,
    /// Milliseconds since 1970.
    pub(crate) next: u64,
}

impl Rotation {
    /// Every `period` days from `now` on.
    pub(crate) fn every(period: u32, now: u64) -> Self {
        Self { period, next: now.saturating_add(u64::from(period).saturating_mul(DAY)) }
    }

    /// After the rotation that was due; one that came late (a key that was disabled) counts from
    /// when it came.
    fn after(self, now: u64) -> Self {
        let on_time = Self::every(self.period, self.next);
        if on_time.next > now { on_time } else { Self::every(self.period, now) }
    }
}

impl Key {
    /// Does the automatic rotation that is due.
    pub(super) fn rotate_automatically(&mut self, now: u64) -> Result<(), RandomUnavailable> {
        self.rotate(KeyMaterial::rotated(now, RotationType::Automatic)?);
        self.rotation = self.rotation.map(|rotation| rotation.after(now));
        Ok(())
    }
}
