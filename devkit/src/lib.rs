//! An emulated NSM with a development certificate chain, for laptops and tests.
