//! Everything that crosses between Sekisho's host and its worker.
