//! What a request costs through the relay: Decrypt and attested Decrypt beside a server that only
//! says hello, in one run.
//!
//! `cargo bench -p sekisho --bench serving [-- SECONDS]`. Each row is a closed loop over TLS 1.3
//! and HTTP/1.1 keep-alive with requests that were signed before. Server, relay and client are
//! processes of one thread each, as `sekisho dev` has them; the hello-world server stands behind
//! a `sekisho-host` relay of its own.

use std::error::Error;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_lc_rs::{digest, hmac};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::SendRequest;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::version::TLS13;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use sekisho_wire::Address;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::macros::format_description;
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};

type Result<T = ()> = std::result::Result<T, Box<dyn Error>>;

/// Connections that are open at once, a column each.
const CONNECTIONS: [usize; 2] = [1, 16];
/// Before the clock runs: connections opened, code and caches warm.
const WARM_UP: Duration = Duration::from_millis(500);
const SECONDS: u64 = 5;
/// A document is good for five minutes; each row gets its own.
const PCR0: &str = "5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e";

fn main() -> Result {
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    match arguments.next().as_deref() {
        Some("hello-server") => block_on(hello_server(&arguments.next().ok_or("a folder")?)),
        Some("hello-relay") => block_on(hello_relay(&arguments.next().ok_or("a folder")?)),
        seconds => {
            let seconds = seconds.map_or(Ok(SECONDS), str::parse)?;
            block_on(measure(Duration::from_secs(seconds)))
        }
    }
}

fn block_on(task: impl Future<Output = Result>) -> Result {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(task)
}

async fn measure(duration: Duration) -> Result {
    let folder = tempfile::tempdir()?;
    let hello = Hello::start(folder.path())?;
    let kms = Kms::start(folder.path())?;
    let kms_target = kms.target()?;
    let sealed = kms.seal(&kms_target).await?;

    let mut rows = Vec::new();
    for (name, attested) in
        [("hello world", None), ("Decrypt", Some(false)), ("attested Decrypt", Some(true))]
    {
        let mut row = Vec::new();
        for connections in CONNECTIONS {
            let (target, request) = match attested {
                None => (&hello.target, Call::hello()),
                Some(attested) => (&kms_target, kms.decrypt(&sealed, attested)?),
            };
            row.push(load(target, &request, connections, duration).await?);
        }
        rows.push((name, row));
    }
    print(&rows, duration)
}

fn print(rows: &[(&str, Vec<Load>)], duration: Duration) -> Result {
    let mut out = std::io::stdout().lock();
    writeln!(out, "\n{} s a cell; latencies in microseconds\n", duration.as_secs())?;
    write!(out, "| |")?;
    for connections in CONNECTIONS {
        write!(out, " {connections} conn.: req/s | p50 | p99 | of hello |")?;
    }
    writeln!(out, "\n|---|{}", "---:|".repeat(4 * CONNECTIONS.len()))?;
    let hello = rows.first().map(|(_, row)| row.as_slice()).unwrap_or_default();
    for (name, row) in rows {
        write!(out, "| {name} |")?;
        for (load, hello) in row.iter().zip(hello) {
            let ratio = load.rate / hello.rate;
            write!(out, " {:.0} | {} | {} | {ratio:.2} |", load.rate, load.p50, load.p99)?;
        }
        writeln!(out)?;
    }
    Ok(())
}

/// What a closed loop measured.
struct Load {
    /// Requests a second.
    rate: f64,
    /// Microseconds.
    p50: u128,
    p99: u128,
}

async fn load(
    target: &Target,
    call: &Call,
    connections: usize,
    duration: Duration,
) -> Result<Load> {
    let mut senders = Vec::new();
    for _ in 0..connections {
        senders.push(target.connect().await?);
    }
    let from = Instant::now() + WARM_UP;
    let until = from + duration;
    let tasks: Vec<_> = senders
        .into_iter()
        .map(|sender| tokio::spawn(closed_loop(sender, call.clone(), from, until)))
        .collect();
    let mut latencies = Vec::new();
    for task in tasks {
        latencies.extend(task.await?.map_err(|error| error.to_string())?);
    }
    latencies.sort_unstable();
    let at = |part: f64| {
        let index = (latencies.len() as f64 * part) as usize;
        latencies.get(index).map_or(0, Duration::as_micros)
    };
    Ok(Load { rate: latencies.len() as f64 / duration.as_secs_f64(), p50: at(0.50), p99: at(0.99) })
}

async fn closed_loop(
    mut sender: SendRequest<Full<Bytes>>,
    call: Call,
    from: Instant,
    until: Instant,
) -> std::result::Result<Vec<Duration>, Box<dyn Error + Send + Sync>> {
    let mut latencies = Vec::new();
    loop {
        let started = Instant::now();
        if started >= until {
            return Ok(latencies);
        }
        let (status, body) = send(&mut sender, &call).await?;
        if status != StatusCode::OK
            || !body.windows(call.wants.len()).any(|part| part == call.wants)
        {
            return Err(format!("{status}: {}", String::from_utf8_lossy(&body)).into());
        }
        if started >= from {
            latencies.push(started.elapsed());
        }
    }
}

async fn send(
    sender: &mut SendRequest<Full<Bytes>>,
    call: &Call,
) -> std::result::Result<(StatusCode, Bytes), Box<dyn Error + Send + Sync>> {
    let mut request = Request::post("/");
    for (name, value) in &call.headers {
        request = request.header(name, value);
    }
    sender.ready().await?;
    let response = sender.send_request(request.body(Full::new(call.body.clone()))?).await?;
    let status = response.status();
    Ok((status, response.into_body().collect().await?.to_bytes()))
}

/// A request, signed where it has to be.
#[derive(Clone)]
struct Call {
    headers: Vec<(String, String)>,
    body: Bytes,
    /// What a right answer holds.
    wants: Vec<u8>,
}

impl Call {
    fn hello() -> Self {
        let headers = vec![("host".to_owned(), "localhost".to_owned())];
        Self { headers, body: Bytes::new(), wants: b"hello".to_vec() }
    }
}

/// Where a server is reached and what its certificate comes from.
struct Target {
    address: SocketAddr,
    tls: TlsConnector,
}

impl Target {
    fn new(address: SocketAddr, ca: &Path) -> Result<Self> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(ca)?)?;
        let mut config = ClientConfig::builder_with_protocol_versions(&[&TLS13])
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { address, tls: TlsConnector::from(Arc::new(config)) })
    }

    async fn connect(&self) -> Result<SendRequest<Full<Bytes>>> {
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        let name = ServerName::IpAddress(self.address.ip().into());
        let stream = self.tls.connect(name, stream).await?;
        let (sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(sender)
    }
}

/// A process that ends with this value.
struct Process(Child);

impl Process {
    /// Starts a program and reads the line that it prints when it is ready.
    fn start(command: &mut Command) -> Result<(Self, String)> {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let mut line = String::new();
        let stdout = child.stdout.take().ok_or("no stdout")?;
        BufReader::new(stdout).read_line(&mut line)?;
        if line.is_empty() {
            return Err(format!("{command:?} did not start").into());
        }
        Ok((Self(child), line))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // `sekisho dev` stops its two processes when it is asked to, not when it is killed.
        let _ = Command::new("kill").arg(self.0.id().to_string()).status();
        let _ = self.0.wait();
    }
}

/// The hello-world server and its relay.
struct Hello {
    target: Target,
    _processes: [Process; 2],
}

impl Hello {
    fn start(folder: &Path) -> Result<Self> {
        let names = ["localhost", "127.0.0.1"].map(str::to_owned);
        let certified = rcgen::generate_simple_self_signed(names)?;
        let ca = folder.join("hello.pem");
        std::fs::write(&ca, certified.cert.pem())?;
        std::fs::write(folder.join("hello-key.pem"), certified.signing_key.serialize_pem())?;
        let program = std::env::current_exe()?;
        let start = |role| Process::start(Command::new(&program).arg(role).arg(folder));
        let (server, _) = start("hello-server")?;
        let (relay, address) = start("hello-relay")?;
        let target = Target::new(address.trim().parse()?, &ca)?;
        Ok(Self { target, _processes: [server, relay] })
    }
}

/// The server that only says hello: hyper and rustls as the worker has them, on a Unix socket.
async fn hello_server(folder: &str) -> Result {
    let folder = Path::new(folder);
    let certificate = CertificateDer::from_pem_file(folder.join("hello.pem"))?;
    let key = PrivateKeyDer::from_pem_file(folder.join("hello-key.pem"))?;
    let mut config = ServerConfig::builder_with_protocol_versions(&[&TLS13])
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = Address::Unix { path: folder.join("hello.sock") }.listen().await?;
    println!("ready");
    loop {
        let stream = listener.accept().await?;
        let acceptor = acceptor.clone();
        tokio::spawn(async move {
            let Ok(stream) = acceptor.accept(stream).await else { return };
            let hello = service_fn(|request: Request<Incoming>| async move {
                request.into_body().collect().await?;
                Ok::<_, hyper::Error>(Response::new(Full::new(Bytes::from_static(b"hello"))))
            });
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), hello)
                .await;
        });
    }
}

async fn hello_relay(folder: &str) -> Result {
    let folder = Path::new(folder);
    let config = sekisho_host::Config::new(
        ([127, 0, 0, 1], 0).into(),
        Address::Unix { path: folder.join("hello.sock") },
        Address::Unix { path: folder.join("hello-store.sock") },
        folder.join("hello-store"),
    );
    sekisho_host::run(config, |address| println!("{address}"), std::future::pending()).await?;
    Ok(())
}

/// `sekisho dev` and the access key of its root.
struct Kms {
    ready: Value,
    folder: PathBuf,
    access_key_id: String,
    secret_access_key: String,
    _process: Process,
}

/// Ciphertexts of two keys: one that its owner may use, one that wants a measurement.
struct Sealed {
    plain: String,
    attested: String,
}

impl Kms {
    fn start(folder: &Path) -> Result<Self> {
        let data = folder.join("kms");
        let (process, line) = Process::start(
            Command::new(env!("CARGO_BIN_EXE_sekisho"))
                .args(["dev", "--json", "--listen", "127.0.0.1:0", "--data-dir"])
                .arg(&data),
        )?;
        let credentials = std::fs::read_to_string(data.join("credentials"))?;
        let value = |name: &str| {
            let line = credentials.lines().find(|line| line.starts_with(name));
            let value = line.and_then(|line| line.split_once(" = "));
            value.map(|(_, value)| value.to_owned()).ok_or("credentials")
        };
        Ok(Self {
            ready: serde_json::from_str(&line)?,
            folder: folder.to_owned(),
            access_key_id: value("aws_access_key_id")?,
            secret_access_key: value("aws_secret_access_key")?,
            _process: process,
        })
    }

    fn said(&self, name: &str) -> Result<&str> {
        Ok(self.ready.get(name).and_then(Value::as_str).ok_or("sekisho dev says less")?)
    }

    fn target(&self) -> Result<Target> {
        let address = self.said("endpoint")?.trim_start_matches("https://").parse()?;
        Target::new(address, Path::new(self.said("ca")?))
    }

    async fn seal(&self, target: &Target) -> Result<Sealed> {
        let root = "arn:aws:iam::000000000000:root";
        let policy = json!({
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Effect": "Allow",
                    "Principal": { "AWS": root },
                    "Action": ["kms:Encrypt", "kms:PutKeyPolicy"],
                    "Resource": "*",
                },
                {
                    "Effect": "Allow",
                    "Principal": { "AWS": root },
                    "Action": "kms:Decrypt",
                    "Resource": "*",
                    "Condition": {
                        "StringEqualsIgnoreCase": { "kms:RecipientAttestation:PCR0": PCR0 },
                    },
                },
            ],
        });
        Ok(Sealed {
            plain: self.seal_under(target, json!({})).await?,
            attested: self.seal_under(target, json!({ "Policy": policy.to_string() })).await?,
        })
    }

    async fn seal_under(&self, target: &Target, key: Value) -> Result<String> {
        let text = |answer: &Value, pointer: &str| {
            let found = answer.pointer(pointer).and_then(Value::as_str);
            found.map(str::to_owned).ok_or_else(|| format!("no {pointer} in {answer}"))
        };
        let created = self.call(target, "CreateKey", &key).await?;
        let encrypt = json!({
            "KeyId": text(&created, "/KeyMetadata/KeyId")?,
            "Plaintext": BASE64.encode([7; 32]),
        });
        Ok(text(&self.call(target, "Encrypt", &encrypt).await?, "/CiphertextBlob")?)
    }

    async fn call(&self, target: &Target, operation: &str, body: &Value) -> Result<Value> {
        let call = self.signed(operation, body, b"")?;
        let sent = send(&mut target.connect().await?, &call).await;
        let (status, body) = sent.map_err(|error| error.to_string())?;
        if status != StatusCode::OK {
            return Err(format!("{operation}: {}", String::from_utf8_lossy(&body)).into());
        }
        Ok(serde_json::from_slice(&body)?)
    }

    fn decrypt(&self, sealed: &Sealed, attested: bool) -> Result<Call> {
        if !attested {
            let body = json!({ "CiphertextBlob": sealed.plain });
            return self.signed("Decrypt", &body, b"\"Plaintext\"");
        }
        let body = json!({
            "CiphertextBlob": sealed.attested,
            "Recipient": {
                "KeyEncryptionAlgorithm": "RSAES_OAEP_SHA_256",
                "AttestationDocument": BASE64.encode(self.document()?),
            },
        });
        self.signed("Decrypt", &body, b"\"CiphertextForRecipient\"")
    }

    fn document(&self) -> Result<Vec<u8>> {
        let recipient = sekisho_devkit::Recipient::generate()?;
        let (public_key, out) = (self.folder.join("public.der"), self.folder.join("document.bin"));
        std::fs::write(&public_key, recipient.public_key_der())?;
        let status = Command::new(env!("CARGO_BIN_EXE_sekisho"))
            .args(["dev-document", "--pcr", &format!("0={PCR0}"), "--data-dir"])
            .arg(self.said("data_dir")?)
            .arg("--public-key")
            .arg(&public_key)
            .arg("--out")
            .arg(&out)
            .status()?;
        if status.success() { Ok(std::fs::read(out)?) } else { Err("dev-document".into()) }
    }

    /// Signature Version 4, as any AWS client makes it.
    fn signed(&self, operation: &str, body: &Value, wants: &[u8]) -> Result<Call> {
        let body = serde_json::to_vec(body)?;
        let now = OffsetDateTime::now_utc();
        let at = now.format(format_description!("[year][month][day]T[hour][minute][second]Z"))?;
        let day = now.format(format_description!("[year][month][day]"))?;
        let host = self.said("endpoint")?.trim_start_matches("https://").to_owned();
        let region = "us-east-1";
        let mut headers = vec![
            ("content-type".to_owned(), "application/x-amz-json-1.1".to_owned()),
            ("host".to_owned(), host),
            ("x-amz-date".to_owned(), at.clone()),
            ("x-amz-target".to_owned(), format!("TrentService.{operation}")),
        ];
        let names: Vec<_> = headers.iter().map(|(name, _)| name.as_str()).collect();
        let names = names.join(";");
        let mut canonical = String::from("POST\n/\n\n");
        for (name, value) in &headers {
            canonical.push_str(&format!("{name}:{value}\n"));
        }
        canonical.push_str(&format!("\n{names}\n{}", sha256(&body)));
        let scope = format!("{day}/{region}/kms/aws4_request");
        let to_sign = format!("AWS4-HMAC-SHA256\n{at}\n{scope}\n{}", sha256(canonical.as_bytes()));
        let mut key = format!("AWS4{}", self.secret_access_key).into_bytes();
        for part in [day.as_str(), region, "kms", "aws4_request"] {
            key = hmac_sha256(&key, part);
        }
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders={names}, Signature={}",
            self.access_key_id,
            hex::encode(hmac_sha256(&key, &to_sign))
        );
        headers.push(("authorization".to_owned(), authorization));
        Ok(Call { headers, body: body.into(), wants: wants.to_vec() })
    }
}

fn sha256(bytes: &[u8]) -> String {
    hex::encode(digest::digest(&digest::SHA256, bytes))
}

fn hmac_sha256(key: &[u8], text: &str) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text.as_bytes()).as_ref().to_vec()
}
