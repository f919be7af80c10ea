//! The opponent: the real store on a real disk, behind whatever the test makes of its answers.

use sekisho_host::RedbStore;
use sekisho_wire::frame::{self, Frame};
use sekisho_wire::store::{Page, serve_store};
use sekisho_wire::{Address, Commit, RecordKey, Store, StoreError, Stream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, split};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

/// What the host does with a write.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Write {
    Honest,
    /// Not kept.
    Refuse(StoreError),
    /// Kept, and the worker is told that it was not.
    KeepAndRefuse(StoreError),
    /// Not kept, and the worker is told that it was.
    Forget,
    /// Not kept, and not answered.
    Ignore,
}

/// What the host sends in place of an honest answer.
pub(crate) enum Sent {
    /// These bytes, whatever they are, and the connection goes on.
    Bytes(Vec<u8>),
    /// These bytes, and then it hangs up.
    Last(Vec<u8>),
}

/// A block of the audit log, with its number.
type Block = (u64, Vec<u8>);
type Reading<Q, A> = Box<dyn FnMut(Q, A) -> A + Send>;
type Writing<W> = Box<dyn FnMut(&mut W) -> Write + Send>;

/// What the host bends; what is not named here is honest.
#[derive(Default)]
pub(crate) struct Attack {
    head: Option<Reading<(), u64>>,
    get: Option<Reading<RecordKey, Option<Vec<u8>>>>,
    entries: Option<Reading<u64, Page>>,
    audit: Option<Reading<u64, Page>>,
    tail: Option<Reading<(), Option<Block>>>,
    commit: Option<Writing<Commit>>,
    append: Option<Writing<Block>>,
    slot: Option<Reading<(), Option<Vec<u8>>>>,
    fill: Option<Writing<Vec<u8>>>,
    compact: Option<Box<dyn FnMut() -> Write + Send>>,
    frame: Option<Box<dyn FnMut(Frame) -> Sent + Send>>,
    accept_none: bool,
}

impl Attack {
    pub(crate) fn on_head(mut self, bend: impl FnMut(u64) -> u64 + Send + 'static) -> Self {
        let mut bend = bend;
        self.head = Some(Box::new(move |(), head| bend(head)));
        self
    }

    pub(crate) fn on_get(
        mut self,
        bend: impl FnMut(RecordKey, Option<Vec<u8>>) -> Option<Vec<u8>> + Send + 'static,
    ) -> Self {
        self.get = Some(Box::new(bend));
        self
    }

    pub(crate) fn on_entries(
        mut self,
        bend: impl FnMut(u64, Page) -> Page + Send + 'static,
    ) -> Self {
        self.entries = Some(Box::new(bend));
        self
    }

    pub(crate) fn on_audit(mut self, bend: impl FnMut(u64, Page) -> Page + Send + 'static) -> Self {
        self.audit = Some(Box::new(bend));
        self
    }

    pub(crate) fn on_tail(
        mut self,
        mut bend: impl FnMut(Option<Block>) -> Option<Block> + Send + 'static,
    ) -> Self {
        self.tail = Some(Box::new(move |(), tail| bend(tail)));
        self
    }

    pub(crate) fn on_commit(
        mut self,
        bend: impl FnMut(&mut Commit) -> Write + Send + 'static,
    ) -> Self {
        self.commit = Some(Box::new(bend));
        self
    }

    pub(crate) fn on_append(
        mut self,
        bend: impl FnMut(&mut Block) -> Write + Send + 'static,
    ) -> Self {
        self.append = Some(Box::new(bend));
        self
    }

    pub(crate) fn on_slot(
        mut self,
        mut bend: impl FnMut(Option<Vec<u8>>) -> Option<Vec<u8>> + Send + 'static,
    ) -> Self {
        self.slot = Some(Box::new(move |(), held| bend(held)));
        self
    }

    pub(crate) fn on_fill(
        mut self,
        bend: impl FnMut(&mut Vec<u8>) -> Write + Send + 'static,
    ) -> Self {
        self.fill = Some(Box::new(bend));
        self
    }

    pub(crate) fn on_compact(mut self, bend: impl FnMut() -> Write + Send + 'static) -> Self {
        self.compact = Some(Box::new(bend));
        self
    }

    /// The frames of honest answers, before they go out.
    pub(crate) fn on_frame(mut self, bend: impl FnMut(Frame) -> Sent + Send + 'static) -> Self {
        self.frame = Some(Box::new(bend));
        self
    }

    /// Hangs up on whoever connects.
    pub(crate) fn accepts_nobody(mut self) -> Self {
        self.accept_none = true;
        self
    }
}

/// The bytes of a frame as they go over the stream.
pub(crate) fn wire(frame: &Frame) -> Vec<u8> {
    let mut bytes = (frame.body.len() as u32).to_be_bytes().to_vec();
    bytes.extend(frame.request_id.to_be_bytes());
    bytes.extend(&frame.body);
    bytes
}

/// Where hosts run: longer than the test that began them.
static HOSTS: LazyLock<Handle> = LazyLock::new(|| {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let handle = runtime.handle().clone();
    std::thread::spawn(move || runtime.block_on(std::future::pending::<()>()));
    handle
});

/// The host. Clones are one.
#[derive(Clone)]
pub(crate) struct Opponent(Arc<Inner>);

struct Inner {
    data: PathBuf,
    store: Mutex<Option<Arc<RedbStore>>>,
    attack: Mutex<Attack>,
    seen: Mutex<Vec<u8>>,
    commits: Mutex<Vec<Commit>>,
    appended: Mutex<Vec<Block>>,
}

impl Opponent {
    /// An honest host, with its store below `folder`.
    pub(crate) async fn start(folder: &Path) -> Self {
        let data = folder.join("data");
        let opponent = Self(Arc::new(Inner {
            store: Mutex::new(Some(Arc::new(RedbStore::open(&data).unwrap()))),
            data,
            attack: Mutex::default(),
            seen: Mutex::default(),
            commits: Mutex::default(),
            appended: Mutex::default(),
        }));
        let (accepting, address) = (opponent.clone(), Self::address(folder));
        let (listening, listens) = oneshot::channel();
        HOSTS.spawn(async move {
            let listener = address.listen().await.unwrap();
            listening.send(()).unwrap();
            while let Ok(stream) = listener.accept().await {
                if !accepting.attacked().accept_none {
                    tokio::spawn(accepting.clone().answer(stream));
                }
            }
        });
        listens.await.unwrap();
        opponent
    }

    pub(crate) fn address(folder: &Path) -> Address {
        Address::Unix { path: folder.join("store.sock") }
    }

    pub(crate) fn attack(&self, attack: Attack) {
        *self.attacked() = attack;
    }

    pub(crate) fn behave(&self) {
        self.attack(Attack::default());
    }

    /// Everything that it got to see, so far.
    pub(crate) fn seen(&self) -> Vec<u8> {
        self.0.seen.lock().unwrap().clone()
    }

    /// More that it saw: what a relay carries.
    pub(crate) fn sees(&self, bytes: &[u8]) {
        self.0.seen.lock().unwrap().extend_from_slice(bytes);
    }

    /// Forgets what it saw: it has been searched.
    pub(crate) fn forget(&self) {
        self.0.seen.lock().unwrap().clear();
    }

    /// The commits that it got, refused ones too.
    pub(crate) fn commits(&self) -> Vec<Commit> {
        self.0.commits.lock().unwrap().clone()
    }

    /// The audit blocks that it got, refused ones too.
    pub(crate) fn appended(&self) -> Vec<Block> {
        self.0.appended.lock().unwrap().clone()
    }

    /// The honest store, as it is on the disk.
    pub(crate) fn store(&self) -> Arc<RedbStore> {
        self.0.store.lock().unwrap().clone().expect("the store is open")
    }

    /// Closes the store, does something to its folder, and opens it again.
    pub(crate) async fn with_folder(&self, change: impl FnOnce(&Path)) {
        let store = self.0.store.lock().unwrap().take().expect("the store is open");
        // The last questions of a worker that is gone.
        while Arc::strong_count(&store) > 1 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        drop(store);
        change(&self.0.data);
        *self.0.store.lock().unwrap() = Some(Arc::new(RedbStore::open(&self.0.data).unwrap()));
    }

    fn attacked(&self) -> MutexGuard<'_, Attack> {
        self.0.attack.lock().unwrap()
    }

    /// Between the worker and the honest store: sees every byte, and may change the answers.
    async fn answer(self, stream: Stream) {
        let (near, far) = tokio::io::duplex(1 << 16);
        let serving = serve_store(far, Arc::new(self.clone()));
        let (mut from_worker, mut to_worker) = split(stream);
        let (mut from_store, mut to_store) = split::<DuplexStream>(near);
        let seeing = self.clone();
        let up = async {
            let mut buffer = vec![0; 1 << 16];
            loop {
                let read = from_worker.read(&mut buffer).await.unwrap_or(0);
                seeing.sees(&buffer[..read]);
                if read == 0 || to_store.write_all(&buffer[..read]).await.is_err() {
                    return;
                }
            }
        };
        let down = async {
            while let Ok(Some(frame)) = frame::read_frame(&mut from_store).await {
                let sent = match &mut self.attacked().frame {
                    Some(bend) => bend(frame),
                    None => Sent::Bytes(wire(&frame)),
                };
                let (bytes, last) = match sent {
                    Sent::Bytes(bytes) => (bytes, false),
                    Sent::Last(bytes) => (bytes, true),
                };
                if to_worker.write_all(&bytes).await.is_err() || last {
                    return;
                }
            }
        };
        tokio::select! {
            () = up => {}
            () = down => {}
            _ = serving => {}
        }
    }

    async fn write<T>(
        &self,
        what: Write,
        honest: impl Future<Output = Result<T, StoreError>>,
        done: T,
    ) -> Result<T, StoreError> {
        match what {
            Write::Honest => honest.await,
            Write::Refuse(error) => Err(error),
            Write::KeepAndRefuse(error) => honest.await.and(Err(error)),
            Write::Forget => Ok(done),
            Write::Ignore => std::future::pending().await,
        }
    }
}

impl Store for Opponent {
    async fn head(&self) -> Result<u64, StoreError> {
        let head = self.store().head().await?;
        Ok(self.attacked().head.as_mut().map_or(head, |bend| bend((), head)))
    }

    async fn commit(&self, mut commit: Commit) -> Result<(), StoreError> {
        self.0.commits.lock().unwrap().push(commit.clone());
        let what = self.attacked().commit.as_mut().map_or(Write::Honest, |bend| bend(&mut commit));
        let store = self.store();
        self.write(what, async { store.commit(commit).await }, ()).await
    }

    async fn get(&self, key: RecordKey) -> Result<Option<Vec<u8>>, StoreError> {
        let record = self.store().get(key).await?;
        Ok(match &mut self.attacked().get {
            Some(bend) => bend(key, record),
            None => record,
        })
    }

    async fn entries(&self, from: u64, limit: u32) -> Result<Page, StoreError> {
        let page = self.store().entries(from, limit).await?;
        Ok(match &mut self.attacked().entries {
            Some(bend) => bend(from, page),
            None => page,
        })
    }

    async fn compact(&self, before: u64, head: u64) -> Result<u64, StoreError> {
        let what = self.attacked().compact.as_mut().map_or(Write::Honest, |bend| bend());
        let store = self.store();
        self.write(what, async { store.compact(before, head).await }, before).await
    }

    async fn append_audit(&self, sequence: u64, record: Vec<u8>) -> Result<(), StoreError> {
        let mut block = (sequence, record);
        self.0.appended.lock().unwrap().push(block.clone());
        let what = self.attacked().append.as_mut().map_or(Write::Honest, |bend| bend(&mut block));
        let store = self.store();
        self.write(what, async { store.append_audit(block.0, block.1).await }, ()).await
    }

    async fn audit(&self, from: u64, limit: u32) -> Result<Page, StoreError> {
        let page = self.store().audit(from, limit).await?;
        Ok(match &mut self.attacked().audit {
            Some(bend) => bend(from, page),
            None => page,
        })
    }

    async fn audit_tail(&self) -> Result<Option<(u64, Vec<u8>)>, StoreError> {
        let tail = self.store().audit_tail().await?;
        Ok(match &mut self.attacked().tail {
            Some(bend) => bend((), tail),
            None => tail,
        })
    }

    async fn slot(&self, slot: RecordKey) -> Result<Option<Vec<u8>>, StoreError> {
        let held = self.store().slot(slot).await?;
        Ok(match &mut self.attacked().slot {
            Some(bend) => bend((), held),
            None => held,
        })
    }

    async fn fill_slot(
        &self,
        slot: RecordKey,
        mut content: Vec<u8>,
    ) -> Result<Vec<u8>, StoreError> {
        let wanted = content.clone();
        let what = self.attacked().fill.as_mut().map_or(Write::Honest, |bend| bend(&mut content));
        let store = self.store();
        self.write(what, async { store.fill_slot(slot, content).await }, wanted).await
    }

    async fn replace_slot(
        &self,
        slot: RecordKey,
        held: Vec<u8>,
        content: Vec<u8>,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        self.store().replace_slot(slot, held, content).await
    }
}
