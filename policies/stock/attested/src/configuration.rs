//! The configuration as its author writes it, and as the state keeps it.

use crate::action::{Action, Actions};
use crate::measurement::Measurement;
use sekisho_policy::ConfigurationError;
use sekisho_policy::json::{self, Cursor};
use sekisho_policy::state::Writer;

/// A configuration that was read and found right.
#[derive(Debug)]
pub(crate) struct Configuration {
    measurements: Vec<Measurement>,
    /// What needs an attestation.
    actions: Actions,
    encryptors: Vec<String>,
    administrators: Vec<String>,
}

impl Configuration {
    pub(crate) fn parse(text: &[u8]) -> Result<Self, ConfigurationError> {
        json::with(text, |root| {
            let mut configuration = Self {
                measurements: Vec::new(),
                actions: Actions::RELEASE,
                encryptors: Vec::new(),
                administrators: Vec::new(),
            };
            for (member, value) in root.object()? {
                match member {
                    "measurements" => configuration.measurements = measurements(&value)?,
                    "actions" => configuration.actions = actions(&value)?,
                    "encryptors" => configuration.encryptors = principals(&value)?,
                    "administrators" => configuration.administrators = principals(&value)?,
                    _ => return Err(value.error("is not a member of the configuration")),
                }
            }
            if configuration.measurements.is_empty() {
                return Err(root.error("`measurements` must list at least one"));
            }
            Ok(configuration)
        })
    }

    /// The actions, then the measurements, the encryptors and the
    /// administrators, each a block.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        self.actions.encode(&mut writer);
        writer.block(|block| {
            for measurement in &self.measurements {
                measurement.encode(block);
            }
        });
        for principals in [&self.encryptors, &self.administrators] {
            writer.block(|block| principals.iter().for_each(|arn| block.string(arn)));
        }
        writer.finish()
    }
}

fn measurements(at: &Cursor<'_>) -> Result<Vec<Measurement>, ConfigurationError> {
    let mut measurements: Vec<Measurement> = Vec::new();
    for element in at.array()? {
        let measurement = Measurement::parse(&element)?;
        if measurements.iter().any(|other| other.name == measurement.name) {
            return Err(element.error("another measurement has this name"));
        }
        measurements.push(measurement);
    }
    Ok(measurements)
}

fn actions(at: &Cursor<'_>) -> Result<Actions, ConfigurationError> {
    let mut actions = Actions::NONE;
    for element in at.array()? {
        match Action::named(element.string()?) {
            Some(action) => actions.insert(action),
            None => return Err(element.error("is not an operation that an attestation can allow")),
        }
    }
    if actions == Actions::NONE {
        return Err(at.error("at least one action is needed"));
    }
    Ok(actions)
}

fn principals(at: &Cursor<'_>) -> Result<Vec<String>, ConfigurationError> {
    at.array()?
        .iter()
        .map(|element| {
            let arn = element.string()?;
            if !arn.starts_with("arn:") || arn.contains(['*', '?']) || arn.len() > 2048 {
                return Err(element.error("is not a principal's ARN, whole and without wildcards"));
            }
            Ok(arn.into())
        })
        .collect()
}
