//! The comparator of the field: `moto_server`, if the environment says where one is.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::Result;
use crate::load::Target;

/// Where the command is, of `pip install 'moto[server]'` in some virtual environment.
const COMMAND: &str = "SEKISHO_BENCH_MOTO";
/// It takes seconds to import itself.
const PATIENCE: u32 = 300;

pub(crate) struct Moto {
    pub(crate) target: Target,
    child: Child,
}

impl Moto {
    /// None where the environment names no command.
    pub(crate) fn start() -> Result<Option<Self>> {
        let Some(command) = std::env::var_os(COMMAND) else {
            println!("moto_server is left out: {COMMAND} does not say where it is");
            return Ok(None);
        };
        // A port that was free a moment ago.
        let address = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?;
        let child = Command::new(command)
            .args(["-H", "127.0.0.1", "-p", &address.port().to_string()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let moto = Self { target: Target::plain(address), child };
        wait_for(address)?;
        Ok(Some(moto))
    }
}

fn wait_for(address: SocketAddr) -> Result {
    for _ in 0..PATIENCE {
        if TcpStream::connect(address).is_ok() {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    Err("moto_server does not start".into())
}

impl Drop for Moto {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
