//! What a policy may cost, and where each number comes from.

use std::time::Duration;

/// The limits of an [`Engine`](crate::Engine).
///
/// The numbers marked *measured* are from `benches/` and the floors measured for
/// wasmtime 48 before this engine was written.
#[derive(Debug, Clone)]
pub struct Limits {
    /// What a component may look like.
    pub admission: AdmissionLimits,
    /// What reading a configuration may cost.
    pub configure: Budget,
    /// What one decision may cost.
    pub evaluate: Budget,
    /// What an answer may contain.
    pub answer: AnswerLimits,
    /// Bytes of a configuration. AWS policy documents have at most 32 KiB.
    pub configuration: usize,
    /// Bytes of the state that `configure` returns (`policies/wit/policy.wit`).
    pub state: usize,
    /// Bytes of linear memory, all memories of an instance together. A stock policy
    /// needs one page (64 KiB) for a decision and a few for a long configuration.
    pub memory: usize,
    /// Elements of a table. A stock policy has some fifty.
    pub table: usize,
    /// Bytes of stack for compiled code. Recursion meets it after 40 µs (measured).
    pub stack: usize,
    /// Instances at one time; one more is a deny. Each reserves address space for its
    /// memories, not memory.
    pub concurrent: u32,
    /// What one component is instantiated into.
    pub parts: Parts,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            admission: AdmissionLimits::default(),
            // The longest configuration that AWS would take costs `iam` a few million.
            configure: Budget { fuel: 200_000_000, deadline: Duration::from_secs(1) },
            // An endless loop burns ten million in 0.57 ms (measured); the stock
            // policies use less than a hundredth. The deadline is for what fuel
            // misprices, and so far above it that a starved machine does not deny: with
            // 100 ms one decision of 200 000 did, on two cores with eight compilers.
            evaluate: Budget { fuel: 10_000_000, deadline: Duration::from_secs(1) },
            answer: AnswerLimits::default(),
            configuration: 64 * 1024,
            state: 64 * 1024,
            memory: 4 * 1024 * 1024,
            table: 10_000,
            stack: 256 * 1024,
            concurrent: 64,
            parts: Parts { core_instances: 20, memories: 4, tables: 8 },
        }
    }
}

impl Limits {
    /// With room for components of up to `size` bytes: up to [`DEFAULT_COMPONENT`] these are the
    /// default limits, and above it those of a component with a whole interpreter in it. What
    /// componentize-py 0.25 makes has (*measured*) 18.5 MB, 40 nested modules and components, 1323 types,
    /// 13 480 functions of up to 432 KiB, 800 blocks within blocks, 43 659 branch targets, 38 core
    /// instances, one memory of 12.4 MiB and two tables; each limit is about half as much again.
    pub fn with_components_of(size: usize) -> Self {
        let default = Self::default();
        if size <= DEFAULT_COMPONENT {
            return default;
        }
        let admission = AdmissionLimits {
            size: size.min(MAX_COMPONENT),
            nested: 64,
            types: 4_000,
            functions: 20_000,
            body: 640 * 1024,
            nesting: 1_200,
            branch_targets: 80_000,
            loop_variables: 400_000,
            block_variables: 3_000_000,
            ..default.admission
        };
        Self {
            admission,
            memory: 24 * 1024 * 1024,
            stack: 512 * 1024,
            // Each may have six times the memory.
            concurrent: 16,
            parts: Parts { core_instances: 56, ..default.parts },
            ..default
        }
    }
}

/// Bytes of the largest component that is admitted by default.
pub const DEFAULT_COMPONENT: usize = 1920 * 1024;

/// Bytes of the largest component that can be let in: what componentize-py makes of a policy and some
/// libraries.
pub const MAX_COMPONENT: usize = 32 * 1024 * 1024;

/// The parts of a component, each of which is instantiated: QuickJS comes to 11 core instances and 3
/// memories (*measured*).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parts {
    /// Instances of core modules.
    pub core_instances: u32,
    /// Memories, one a core module at most.
    pub memories: u32,
    /// Tables.
    pub tables: u32,
}

/// What one call into a component may cost.
#[derive(Debug, Clone, Copy)]
pub struct Budget {
    /// Units of fuel, about one an instruction; bulk memory operations cost by size.
    pub fuel: u64,
    /// Time by the wall clock, counted in steps of 10 ms.
    pub deadline: Duration,
}

/// What a component may look like before it is compiled.
///
/// Compiling is where a hostile component costs most: 262 KB of block parameters took
/// Cranelift 2.8 s and 0.8 GB, 393 KB of tiny functions 4 s (measured). These bounds
/// are cheap and cut off the known shapes; they are no promise about time. Each lets
/// in what componentize-qjs makes, which is a JavaScript engine.
#[derive(Debug, Clone)]
pub struct AdmissionLimits {
    /// Bytes of the component. Stock policies have 50 to 125 KB, policies in C 3 KB, in
    /// JavaScript on QuickJS 1.6 MB.
    pub size: usize,
    /// Core modules and components inside the component. `wit-component` makes one to
    /// four for a policy in Rust or C, and 35 in all for one on QuickJS.
    pub nested: usize,
    /// Types of functions, all modules together.
    pub types: usize,
    /// Functions with a body, all modules together.
    pub functions: usize,
    /// Bytes of one function's body.
    pub body: usize,
    /// Local variables of one function.
    pub locals: usize,
    /// Parameters and results of blocks, all functions together. Compilers of policies
    /// make blocks with none or one.
    pub block_values: usize,
    /// Blocks within blocks in one function.
    pub nesting: usize,
    /// Targets of all branch tables together.
    pub branch_targets: usize,
    /// Loops, each counted as often as its function has variables. Of such a loop the compiler may make
    /// a value for each variable: ten million took it more than 10 s. QuickJS comes to 47 000 (*measured*).
    pub loop_variables: usize,
    /// Other blocks, likewise. QuickJS comes to 470 000 (*measured*).
    pub block_variables: usize,
}

impl Default for AdmissionLimits {
    fn default() -> Self {
        Self {
            size: DEFAULT_COMPONENT,
            nested: 48,
            types: 2_000,
            functions: 4_000,
            body: 64 * 1024,
            locals: 2_000,
            block_values: 20_000,
            nesting: 500,
            branch_targets: 50_000,
            loop_variables: 150_000,
            block_variables: 1_000_000,
        }
    }
}

/// What an answer may contain. More than this is a malformed answer, which is a deny.
#[derive(Debug, Clone)]
pub struct AnswerLimits {
    /// Bytes that the host allocates for one call's results, all strings and lists
    /// together, so that a thousand strings over one region of memory do not multiply.
    pub total: usize,
    /// Bytes of a reason.
    pub reason: usize,
    /// Obligations in an answer.
    pub obligations: usize,
    /// Bytes of an annotation's name, of its value, and of an approver's ARN.
    pub annotation: usize,
    /// Bytes of the name of a group of approvers.
    pub group: usize,
    /// Approvers in a group.
    pub members: usize,
    /// Lines for the author.
    pub log_lines: usize,
    /// Bytes of one such line.
    pub log_line: usize,
}

impl Default for AnswerLimits {
    fn default() -> Self {
        Self {
            // The state is a result too.
            total: 128 * 1024,
            reason: 1024,
            obligations: 16,
            annotation: 1024,
            group: 128,
            members: 64,
            log_lines: 64,
            log_line: 1024,
        }
    }
}
