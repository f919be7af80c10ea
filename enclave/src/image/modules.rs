//! The kernel's modules: those in the ramdisk, in the order of their names.
//!
//! Which there are is the builder's choice, and measured with the ramdisk: a kernel with all of it
//! built in needs none. One needs a parameter: a kernel that does not read the places of its virtio
//! devices off the command line is given them by a module of ours (`deploy/eif/vmmio/`).

use rustix::system::finit_module;
use std::ffi::CString;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use thiserror::Error;

const FOLDER: &str = "/modules";
/// Ends the name of the module that is given the places of devices.
const DEVICES: &str = "vmmio.ko";
/// What a hypervisor announces a virtio device with on the command line.
const ANNOUNCED: &str = "virtio_mmio.device=";
/// More devices than a machine without a disk and a network has.
const MAX_DEVICES: usize = 16;

pub(super) fn load_all() -> Result<(), ModuleError> {
    let entries = match fs::read_dir(FOLDER) {
        Ok(entries) => entries.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => Err(error),
    };
    let failed = |path: &Path, source| ModuleError::Load { path: path.to_owned(), source };
    let mut paths = entries.map_err(|error| failed(Path::new(FOLDER), error))?;
    paths.sort();
    for path in paths {
        let parameters = match path.to_string_lossy().ends_with(DEVICES) {
            true => devices(&fs::read_to_string("/proc/cmdline").map_err(|e| failed(&path, e))?)?,
            false => CString::default(),
        };
        let file = File::open(&path).map_err(|error| failed(&path, error))?;
        finit_module(file, &parameters, 0).map_err(|error| failed(&path, error.into()))?;
    }
    Ok(())
}

/// `devices=` with what the hypervisor announced. Where a device is, is the hypervisor's to say: who
/// says something wrong takes the worker's devices away, and gives it none that it trusts.
fn devices(command_line: &str) -> Result<CString, ModuleError> {
    let words = command_line.split_ascii_whitespace();
    let devices: Vec<_> = words.filter_map(|word| word.strip_prefix(ANNOUNCED)).collect();
    if devices.len() > MAX_DEVICES || !devices.iter().all(|device| is_device(device)) {
        return Err(ModuleError::Devices);
    }
    CString::new(format!("devices={}", devices.join(","))).map_err(|_| ModuleError::Devices)
}

/// `<size>@<base>:<irq>[:<id>]` ("virtio_mmio.device" in the kernel's parameters).
fn is_device(text: &str) -> bool {
    let in_a_device = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'@' | b':');
    let mut fields = text.splitn(2, '@');
    let sized = fields.next().is_some_and(|size| !size.is_empty());
    let placed = fields.next().is_some_and(|rest| (1..=2).contains(&rest.matches(':').count()));
    text.len() <= 64 && text.bytes().all(in_a_device) && sized && placed
}

/// A module could not be loaded.
#[derive(Debug, Error)]
pub enum ModuleError {
    /// By the kernel.
    #[error("{}: the kernel does not take this module: {source}", path.display())]
    Load {
        /// In the ramdisk.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The places of devices are not of their form.
    #[error("the virtio devices on the kernel's command line are not like 0x200@0xd0000000:5")]
    Devices,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn announced_devices_are_the_modules_parameter() {
        let line = "reboot=t console=ttyS0 virtio_mmio.device=512@0xfeb00e00:12 x=y \
                    virtio_mmio.device=0x200@0xd0001000:6:1\n";
        let parameters = devices(line).unwrap();
        let expected = "devices=512@0xfeb00e00:12,0x200@0xd0001000:6:1";
        assert_eq!(parameters.to_str(), Ok(expected));
        assert_eq!(devices("quiet").unwrap().to_str(), Ok("devices="));
    }

    #[test]
    fn what_is_no_device_is_refused() {
        for text in ["", "1", "@1:2", "1@2", "1@2:3:4:5", "1@2:3,4@5:6", "1@2:3\"", "1@2:é"] {
            let line = format!("{ANNOUNCED}{text}");
            assert!(matches!(devices(&line), Err(ModuleError::Devices)), "{text:?}");
        }
        let many = "virtio_mmio.device=1@2:3 ".repeat(MAX_DEVICES + 1);
        assert!(matches!(devices(&many), Err(ModuleError::Devices)));
    }
}
