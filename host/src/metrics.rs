//! What the host counts, and the endpoint that tells it.
//!
//! Values of labels are members of enums in this file. Nothing that a caller sends, and no caller's
//! address, is of such a type.

mod exposition;
mod instrument;
mod server;

use std::time::{SystemTime, UNIX_EPOCH};

use self::exposition::Exposition;
use self::instrument::labels;
pub(crate) use self::instrument::{Counter, Family, Gauge, Histogram};
pub(crate) use self::server::MetricsServer;
use crate::store::Sizes;

labels! {
    /// Where a connection stands.
    pub(crate) enum Phase: "phase" {
        /// Accepted; the worker is being dialled.
        Connecting = "connecting",
        Relaying = "relaying",
    }
}

labels! {
    /// How a connection ended.
    pub(crate) enum End: "reason" {
        /// Both sides closed it.
        Finished = "finished",
        /// A side reset it.
        Broken = "broken",
        /// Nothing moved for as long as is allowed.
        Idle = "idle",
        /// One side had closed, and nothing more came from the other.
        HalfClosed = "half_closed",
        /// The worker could not be reached.
        WorkerUnreachable = "worker_unreachable",
        /// Its address had as many connections as one may have.
        Refused = "refused",
        /// The host stopped, and the time to finish was over.
        Drained = "drained",
    }
}

labels! {
    /// Which way bytes went.
    pub(crate) enum Way: "direction" {
        ToWorker = "to_worker",
        FromWorker = "from_worker",
    }
}

labels! {
    /// What the worker asked of the store.
    pub(crate) enum Call: "call" {
        Head = "head",
        Commit = "commit",
        Get = "get",
        Entries = "entries",
        Compact = "compact",
        AppendAudit = "append_audit",
        Audit = "audit",
        AuditTail = "audit_tail",
        Slot = "slot",
        FillSlot = "fill_slot",
        ReplaceSlot = "replace_slot",
    }
}

labels! {
    /// What the store answered.
    pub(crate) enum Answer: "result" {
        Done = "ok",
        Conflict = "conflict",
        TooLarge = "too_large",
        Full = "full",
        Unavailable = "unavailable",
        Malformed = "malformed",
    }
}

labels! {
    /// What was made durable.
    pub(crate) enum Log: "log" {
        /// A batch of commits: one redb transaction with its fsync.
        Journal = "journal",
        /// A batch of audit records: one fdatasync.
        Audit = "audit",
    }
}

labels! {
    /// What the worker asked of the egress.
    pub(crate) enum Egress: "request" {
        Connect = "connect",
        Credentials = "credentials",
        /// Nothing that could be understood.
        Unknown = "unknown",
    }
}

labels! {
    /// What the egress answered.
    pub(crate) enum Exit: "result" {
        Done = "ok",
        NotAllowed = "not_allowed",
        Unreachable = "unreachable",
        NoCredentials = "no_credentials",
        CredentialsUnreadable = "credentials_unreadable",
        Malformed = "malformed",
    }
}

/// Everything that is counted; shared by all parts of the host.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    pub(crate) accepted: Counter,
    pub(crate) live: Family<Phase, Gauge>,
    pub(crate) ended: Family<End, Counter>,
    /// Times that accepting paused because there were as many connections as allowed.
    pub(crate) stalls: Counter,
    pub(crate) accept_errors: Counter,
    pub(crate) bytes: Family<Way, Counter>,
    /// Streams of store messages.
    pub(crate) worker_streams: Gauge,
    pub(crate) calls: Family<Call, Family<Answer, Counter>>,
    pub(crate) call_time: Family<Call, Histogram>,
    pub(crate) sync_time: Family<Log, Histogram>,
    pub(crate) audit_records: Counter,
    pub(crate) head: Gauge,
    pub(crate) audit_tail: Gauge,
    pub(crate) egress_requests: Family<Egress, Family<Exit, Counter>>,
    /// Connections of the worker's to the KMS.
    pub(crate) egress_live: Gauge,
    pub(crate) egress_bytes: Family<Way, Counter>,
}

impl Metrics {
    /// The page that Prometheus reads, text format 0.0.4.
    fn render(&self, started: SystemTime, sizes: Sizes) -> String {
        let mut page = Exposition::default();
        let seconds = started.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        page.information("build_info", "The version that runs.", env!("CARGO_PKG_VERSION"));
        page.unprefixed_gauge(
            "process_start_time_seconds",
            "Start of the process, seconds since 1970.",
            seconds,
        );
        page.counter(
            "connections_accepted_total",
            "Connections accepted from callers.",
            &self.accepted,
        );
        page.gauges("connections", "Connections that are open.", &self.live);
        page.counters("connections_ended_total", "Connections that have ended.", &self.ended);
        page.counter(
            "accept_stalls_total",
            "Times that accepting waited because --max-connections were open.",
            &self.stalls,
        );
        page.counter(
            "accept_errors_total",
            "Connections that accept(2) failed for.",
            &self.accept_errors,
        );
        page.counters("relayed_bytes_total", "Bytes relayed.", &self.bytes);
        page.gauge(
            "worker_connected",
            "Whether the worker has the store open.",
            u64::from(self.worker_streams.get() > 0),
        );
        page.gauge(
            "worker_streams",
            "Streams that the worker has to the store.",
            self.worker_streams.get(),
        );
        page.counters_by_two("store_calls_total", "Calls of the store, answered.", &self.calls);
        page.histograms(
            "store_call_seconds",
            "From a call's arrival to its answer.",
            &self.call_time,
        );
        page.histograms("sync_seconds", "Time to make a batch durable.", &self.sync_time);
        page.counter("audit_records_total", "Sealed audit blocks appended.", &self.audit_records);
        page.gauge("journal_head_sequence", "Number of the newest journal entry.", self.head.get());
        page.gauge(
            "audit_tail_sequence",
            "Number of the newest audit block.",
            self.audit_tail.get(),
        );
        page.counters_by_two(
            "egress_requests_total",
            "Requests of the worker for a way out, answered.",
            &self.egress_requests,
        );
        page.gauge(
            "egress_connections",
            "Connections of the worker to the outside that are open.",
            self.egress_live.get(),
        );
        page.counters(
            "egress_bytes_total",
            "Bytes between the worker and the outside.",
            &self.egress_bytes,
        );
        page.gauge("journal_bytes", "Size of the journal's file.", sizes.journal);
        page.gauge("audit_bytes", "Size of the audit log's segments.", sizes.audit);
        page.into_text()
    }
}
