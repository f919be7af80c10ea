//! The Nitro Secure Module as a trait, and the real device.
