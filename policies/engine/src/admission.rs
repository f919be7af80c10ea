//! What a component must be before it is compiled.

use crate::limits::AdmissionLimits;
use wasmparser::{BinaryReaderError, BlockType, Encoding, FunctionBody, Operator, Parser, Payload};

/// Why a component was not admitted.
#[derive(Debug, thiserror::Error)]
pub enum AdmissionError {
    /// It is larger than the engine takes; nothing else was looked at.
    #[error("the component has {size} bytes; at most {limit} are admitted")]
    Size {
        /// Bytes of the component.
        size: usize,
        /// The limit.
        limit: usize,
    },
    /// It is a core module: what a compiler gives before it is made a component.
    #[error("this is a core module, not a component; make one of it with `sekisho policy build`")]
    CoreModule,
    /// It is not well-formed WebAssembly.
    #[error("this is not a WebAssembly component: {reason}")]
    NotComponent {
        /// What is wrong, and where.
        reason: String,
    },
    /// It imports something; a policy gets nothing from outside.
    #[error("a policy imports nothing, this one imports: {}", names.join(", "))]
    Imports {
        /// The first imports, up to eight.
        names: Vec<String>,
    },
    /// It is shaped so that compiling it may cost too much.
    #[error(transparent)]
    Bound(#[from] BoundExceeded),
    /// It is not valid, or uses what is switched off: threads, SIMD, GC, exceptions, several memories in one module, more memory than the limit.
    #[error("the component does not compile under the engine's rules: {reason}")]
    Compile {
        /// What is wrong, and where.
        reason: String,
    },
    /// It does not export the contract.
    #[error("the component does not export `{expected}`")]
    ContractMissing {
        /// The interface and its accepted versions.
        expected: String,
    },
    /// It exports another version of the contract.
    #[error("the component speaks version {found} of the contract; accepted: {accepted}")]
    ContractVersion {
        /// The version it exports.
        found: String,
        /// The versions accepted.
        accepted: String,
    },
    /// The contract's interface lacks a function.
    #[error("the component exports the contract without its function `{function}`")]
    FunctionMissing {
        /// The function.
        function: &'static str,
    },
    /// A function has another type than the contract says.
    #[error("the function `{function}` has the wrong type: {reason}")]
    FunctionType {
        /// The function.
        function: &'static str,
        /// Which type is wrong, and what was expected there.
        reason: String,
    },
}

/// A bound on a component's shape that was exceeded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the component has more than {limit} {what}")]
pub struct BoundExceeded {
    /// What there is too much of.
    pub what: &'static str,
    /// How much of it is admitted.
    pub limit: usize,
}

/// Checks size, kind, imports and shape, in this order and in one pass over the bytes, before anything
/// is compiled. It allocates little, whatever the bytes are.
///
/// # Errors
///
/// The first rule that the component breaks.
pub fn inspect(bytes: &[u8], limits: &AdmissionLimits) -> Result<(), AdmissionError> {
    if bytes.len() > limits.size {
        return Err(AdmissionError::Size { size: bytes.len(), limit: limits.size });
    }
    if !bytes.starts_with(b"\0asm") {
        // The parser's own words show the bytes one by one.
        let reason = "it does not begin with \\0asm".into();
        return Err(AdmissionError::NotComponent { reason });
    }
    let mut imports = Vec::new();
    let outcome = read(bytes, &mut Shape::new(limits), &mut imports);
    // What else is wrong matters less to the author than that nothing is imported.
    if !imports.is_empty() {
        return Err(AdmissionError::Imports { names: imports });
    }
    outcome
}

/// One pass over the bytes; `imports` gets the component's own, at most eight.
fn read(
    bytes: &[u8],
    shape: &mut Shape<'_>,
    imports: &mut Vec<String>,
) -> Result<(), AdmissionError> {
    let mut depth: usize = 0;
    for payload in Parser::new(0).parse_all(bytes) {
        match payload.map_err(malformed)? {
            Payload::Version { encoding: Encoding::Module, .. } if depth == 0 => {
                return Err(AdmissionError::CoreModule);
            }
            Payload::Version { .. } => {
                depth = depth.saturating_add(1);
                shape.block_types.clear();
                shape.declared.clear();
            }
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::ComponentImportSection(section) if depth == 1 => {
                for import in section {
                    let name = import.map_err(malformed)?.name.name;
                    if imports.len() < 8 {
                        imports.push(crate::answer::cut(name, 128));
                    }
                }
            }
            payload => shape.inspect(payload)?,
        }
    }
    Ok(())
}

fn malformed(error: BinaryReaderError) -> AdmissionError {
    AdmissionError::NotComponent { reason: crate::answer::cut(&error.to_string(), 512) }
}

/// What was counted so far.
struct Shape<'a> {
    limits: &'a AdmissionLimits,
    nested: usize,
    types: usize,
    functions: usize,
    block_values: usize,
    branch_targets: usize,
    loop_variables: usize,
    block_variables: usize,
    /// Parameters and results of each function type of the module being read.
    block_types: Vec<usize>,
    /// The same of its functions whose bodies were not read yet, the last one first.
    declared: Vec<usize>,
}

impl<'a> Shape<'a> {
    fn new(limits: &'a AdmissionLimits) -> Self {
        Self {
            limits,
            nested: 0,
            types: 0,
            functions: 0,
            block_values: 0,
            branch_targets: 0,
            loop_variables: 0,
            block_variables: 0,
            block_types: Vec::new(),
            declared: Vec::new(),
        }
    }

    fn inspect(&mut self, payload: Payload<'_>) -> Result<(), AdmissionError> {
        match payload {
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => {
                let limit = self.limits.nested;
                count(&mut self.nested, 1, limit, "nested modules and components")
            }
            Payload::TypeSection(types) => {
                let number = usize::try_from(types.count()).unwrap_or(usize::MAX);
                count(&mut self.types, number, self.limits.types, "types of functions")?;
                for function in types.into_iter_err_on_gc_types() {
                    let function = function.map_err(malformed)?;
                    let values = function.params().len().saturating_add(function.results().len());
                    self.block_types.push(values);
                }
                Ok(())
            }
            Payload::FunctionSection(types) => {
                for index in types {
                    let index = index.map_err(malformed)?;
                    count(&mut self.functions, 1, self.limits.functions, "functions")?;
                    self.declared.push(self.values_of(BlockType::FuncType(index)));
                }
                self.declared.reverse();
                Ok(())
            }
            Payload::CodeSectionEntry(body) => self.inspect_body(&body),
            _ => Ok(()),
        }
    }

    fn inspect_body(&mut self, body: &FunctionBody<'_>) -> Result<(), AdmissionError> {
        let limits = self.limits;
        count(&mut 0, body.range().len(), limits.body, "bytes in a function")?;
        let mut locals = 0;
        for group in body.get_locals_reader().map_err(malformed)? {
            let (number, _) = group.map_err(malformed)?;
            let number = usize::try_from(number).unwrap_or(usize::MAX);
            count(&mut locals, number, limits.locals, "local variables in a function")?;
        }
        // Parameters are variables too; the results beside them are few.
        let variables = self.declared.pop().unwrap_or(0).saturating_add(locals);
        let mut nesting: usize = 0;
        for operator in body.get_operators_reader().map_err(malformed)? {
            let operator = operator.map_err(malformed)?;
            self.count_variables(&operator, variables)?;
            match operator {
                Operator::Block { blockty }
                | Operator::Loop { blockty }
                | Operator::If { blockty } => {
                    count(&mut nesting, 1, limits.nesting, "blocks within blocks")?;
                    let (values, limit) = (self.values_of(blockty), limits.block_values);
                    let what = "parameters and results of blocks";
                    count(&mut self.block_values, values, limit, what)?;
                }
                Operator::End => nesting = nesting.saturating_sub(1),
                Operator::BrTable { targets } => {
                    let targets = usize::try_from(targets.len()).unwrap_or(usize::MAX);
                    let limit = limits.branch_targets;
                    count(&mut self.branch_targets, targets, limit, "targets of branch tables")?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Where control comes together, the compiler makes a value of each variable: of every one that a
    /// loop may change, of those that differ after other blocks.
    fn count_variables(
        &mut self,
        operator: &Operator<'_>,
        variables: usize,
    ) -> Result<(), AdmissionError> {
        let limits = self.limits;
        match operator {
            Operator::Loop { .. } => {
                let what = "loops times variables of their functions";
                count(&mut self.loop_variables, variables, limits.loop_variables, what)
            }
            Operator::Block { .. } | Operator::If { .. } => {
                let what = "blocks times variables of their functions";
                count(&mut self.block_variables, variables, limits.block_variables, what)
            }
            _ => Ok(()),
        }
    }

    fn values_of(&self, block: BlockType) -> usize {
        match block {
            BlockType::Empty => 0,
            BlockType::Type(_) => 1,
            // An index of no type is for the validator to refuse.
            BlockType::FuncType(index) => usize::try_from(index)
                .ok()
                .and_then(|index| self.block_types.get(index).copied())
                .unwrap_or(0),
        }
    }
}

fn count(
    counter: &mut usize,
    more: usize,
    limit: usize,
    what: &'static str,
) -> Result<(), AdmissionError> {
    *counter = counter.saturating_add(more);
    if *counter > limit {
        return Err(BoundExceeded { what, limit }.into());
    }
    Ok(())
}
