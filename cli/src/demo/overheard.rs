//! What the host knows at the end of the story.

use sekisho_devkit::search::{Haystack, Secret};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use super::scene::{Scene, Told, text};
use crate::service::identity::random;
use crate::service::root_key;

/// Bytes of a sealed entry that must be in the store's files just as the worker sent them.
const STORED_PIECE: usize = 64;

impl Scene {
    /// Everything that the host carried and stored, searched for what it must not know.
    pub(crate) async fn search(&self, data_key: Option<&[u8]>) -> Told {
        // The control: bytes that are sure to have passed the host in the clear.
        let mut control = [0; 32];
        random(&mut control).map_err(text)?;
        let control = hex::encode(control).into_bytes();
        let endpoint = self.service.endpoint();
        let mut stream =
            TcpStream::connect((endpoint.host(), endpoint.port())).await.map_err(text)?;
        stream.write_all(&control).await.map_err(text)?;
        stream.shutdown().await.map_err(text)?;
        drain(stream).await;

        let carried = Haystack::read(&self.folder.join("carried")).map_err(text)?;
        let to_store = Haystack::read_named(&self.folder.join("carried"), |name| {
            name.starts_with("store-") && name.ends_with("-from-worker.bin")
        })
        .map_err(text)?;
        let stored = Haystack::read(&self.service.folder().store()).map_err(text)?;
        if !carried.holds(&control) {
            return Err("the search does not even find bytes that were sent in the clear".into());
        }
        if !stored.shares(&to_store, STORED_PIECE) {
            return Err("what the worker sent to the store is not in the store's files".into());
        }

        let secrets = self.secrets(data_key)?;
        for (where_, haystack) in [("carried", &carried), ("stored", &stored)] {
            if let [first, ..] = haystack.leaks(&secrets).as_slice() {
                return Err(format!("the host {where_} {first}"));
            }
        }
        let found = format!(
            "{} KiB carried and {} KiB stored hold none of {} secrets in any form; both controls were found",
            carried.len() / 1024,
            stored.len() / 1024,
            secrets.len(),
        );
        Ok(((), found))
    }

    fn secrets(&self, data_key: Option<&[u8]>) -> Result<Vec<Secret>, String> {
        let lines = self.payroll.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        let mut secrets: Vec<_> = lines
            .enumerate()
            .map(|(number, line)| Secret::new(format!("line {} of the file", number + 1), line))
            .collect();
        if let Some(data_key) = data_key {
            secrets.push(Secret::new("the data key", data_key));
        }
        for credential in self.service.credentials() {
            let name = format!("the secret access key of {}", credential.profile());
            secrets.push(Secret::new(name, credential.secret_access_key.as_bytes()));
        }
        let root_key = root_key::open(&self.service.folder().root_key());
        secrets.push(Secret::new("the root key", root_key.map_err(text)?.as_ref()));
        Ok(secrets)
    }
}

/// Reads to the end, so that all that was sent has passed.
async fn drain(mut stream: TcpStream) {
    let mut nowhere = tokio::io::sink();
    let ended = tokio::io::copy(&mut stream, &mut nowhere);
    let _ = tokio::time::timeout(std::time::Duration::from_secs(5), ended).await;
}
