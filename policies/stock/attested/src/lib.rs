//! Stock policy: a list of allowed measurements.
