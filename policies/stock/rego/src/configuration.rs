//! The configuration as its author writes it: read, and compiled for regorus' virtual machine.

use regorus::languages::rego::compiler::Compiler;
use regorus::{Engine, Rc};
use sekisho_policy::ConfigurationError;
use sekisho_policy::json::{self, Cursor, Value};

/// The package of a policy, as regorus names it.
const PACKAGE: &str = "data.sekisho";
/// The rules that are asked.
pub(crate) const ALLOW: &str = "data.sekisho.allow";
pub(crate) const DENY: &str = "data.sekisho.deny";

/// The name that regorus gives the policy in its errors.
const SOURCE: &str = "policy";

/// A configuration that was read and compiled.
pub(crate) struct Configuration {
    /// The program, as bytes: what is made of them shares nothing with the compiler's.
    pub(crate) program: Vec<u8>,
    /// `data`, where there is any.
    pub(crate) data: Option<Value>,
    /// Which of the rules there are.
    pub(crate) allow: bool,
    pub(crate) deny: bool,
}

pub(crate) fn parse(text: &[u8]) -> Result<Configuration, ConfigurationError> {
    json::with(text, |root| {
        let (mut policy, mut data) = (None, None);
        for (member, value) in root.object()? {
            match member {
                "policy" => policy = Some(text_of(&value)?),
                "data" => data = Some(check_data(&value)?),
                _ => return Err(value.error("is not a member of the configuration")),
            }
        }
        let policy = policy.ok_or_else(|| root.error("`policy` is missing"))?;
        compile(policy, data)
    })
}

fn text_of(at: &Cursor<'_>) -> Result<String, ConfigurationError> {
    let lines = match at.array() {
        Ok(lines) => lines.iter().map(|line| line.string()).collect::<Result<Vec<_>, _>>()?,
        Err(_) => vec![at.string().map_err(|_| at.error("is neither text nor the lines of one"))?],
    };
    Ok(lines.join("\n"))
}

fn check_data(at: &Cursor<'_>) -> Result<Value, ConfigurationError> {
    for (member, value) in at.object()? {
        if member == "sekisho" {
            return Err(value.error("is where the policy's own rules are"));
        }
    }
    Ok(at.value().clone())
}

fn compile(policy: String, data: Option<Value>) -> Result<Configuration, ConfigurationError> {
    let mut engine = Engine::new();
    let package = engine.add_policy(SOURCE.into(), policy).map_err(wrong)?;
    if package != PACKAGE {
        return Err(wrong("its package is not `sekisho`"));
    }
    let has = |rule: &str| engine.has_declared_rule_rooted_at(SOURCE, rule).map_err(wrong);
    let (allow, deny) = (has("allow")?, has("deny")?);
    let entries: &[&str] = match (allow, deny) {
        (true, true) => &[ALLOW, DENY],
        (true, false) => &[ALLOW],
        (false, true) => &[DENY],
        (false, false) => return Err(wrong("it has neither a rule `allow` nor a rule `deny`")),
    };
    let first = Rc::from(if allow { ALLOW } else { DENY });
    let compiled = engine.compile_with_entrypoint(&first).map_err(wrong)?;
    let program = Compiler::compile_from_policy(&compiled, entries).map_err(wrong)?;
    let program = program.serialize_binary().map_err(wrong)?;
    Ok(Configuration { program, data, allow, deny })
}

/// What regorus says, which is several lines where it knows the place: `--> policy:3:7`, the line, and
/// `error: ` with the reason.
fn wrong(error: impl ToString) -> ConfigurationError {
    let text = error.to_string();
    let place = text.split("--> policy:").nth(1).and_then(|rest| rest.lines().next());
    let reason = text.rsplit("error: ").next().unwrap_or_default().trim();
    let place = place.map_or_else(|| SOURCE.to_owned(), |place| [SOURCE, " ", place].concat());
    let reason = reason.get(..reason.floor_char_boundary(1000)).unwrap_or_default();
    ConfigurationError { place, reason: reason.into() }
}
