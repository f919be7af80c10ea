//! The types of values that are more than text: how a policy's value is read, and how
//! it is compared with one of a request, which is always text.

pub(crate) mod address;
pub(crate) mod binary;
pub(crate) mod date;
pub(crate) mod decimal;
