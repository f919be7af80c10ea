//! What the worker keeps at the host: sealed, named by nothing the host can read, in a checked order.

pub(crate) mod checkpoint;
mod index;
pub(crate) mod journal;
pub(crate) mod record;
pub(crate) mod tenure;

#[cfg(test)]
pub(crate) mod opponent;
#[cfg(test)]
mod rotation_tests;
#[cfg(test)]
mod snapshot_tests;
#[cfg(test)]
mod tenure_tests;
#[cfg(test)]
mod tests;
