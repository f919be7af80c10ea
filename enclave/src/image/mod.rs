//! The worker as the init of an image: PID 1 of a machine that has nothing else on it.
//!
//! The kernel hands over a console, a ramdisk with this program and some modules, and a command line
//! that whoever started the machine may have added to. So no argument and no variable counts: what
//! the worker is started with comes from the host over the one port of the handover, and is
//! measured. In the order of a start:
//!
//! 1. [`Machine::prepare`]: file systems, modules, limits; then no further module can be loaded.
//! 2. [`Machine::trust_the_nsm`]: randomness and time from the NSM.
//! 3. [`receive`](sekisho_wire::handover::receive): the configuration.
//! 4. [`restart`], when the worker has ended: there is no state but the host's store.

mod clock;
mod heartbeat;
mod machine;
mod memory;
mod modules;
mod sent_lines;

pub use clock::{ClockError, keep_time};
pub use heartbeat::beat;
pub use machine::{Machine, MachineError, is_init, restart};
pub(crate) use memory::Memory;
pub use memory::watch_memory;
pub use modules::ModuleError;
pub use sent_lines::{SentLog, start_sent_log};
