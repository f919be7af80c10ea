use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd as _;

use aws_nitro_enclaves_nsm_api::driver::nsm_process_request;

use crate::Nsm;
use crate::wire::{Request, Response};

const PATH: &str = "/dev/nsm";

/// The module of the enclave that this process runs in: `/dev/nsm`, driven by AWS's crate.
#[derive(Debug)]
pub struct Device(File);

impl Device {
    /// Opens the device.
    ///
    /// # Errors
    /// [`NoDevice`], most often because this is not an enclave.
    pub fn open() -> Result<Self, NoDevice> {
        let device = OpenOptions::new().read(true).write(true).open(PATH);
        device.map(Self).map_err(|source| NoDevice { source })
    }
}

impl Nsm for Device {
    fn process(&self, request: Request) -> Response {
        nsm_process_request(self.0.as_raw_fd(), request)
    }
}

/// The device cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error(
    "{PATH}: this is not a Nitro enclave, or its kernel lacks the NSM driver ({source}); \
     `sekisho dev` has a module for development"
)]
pub struct NoDevice {
    #[source]
    source: io::Error,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_the_device_the_error_says_what_is_missing() {
        if std::path::Path::new(PATH).exists() {
            return;
        }
        let message = Device::open().unwrap_err().to_string();
        assert!(message.starts_with("/dev/nsm: this is not a Nitro enclave"), "{message}");
    }
}
