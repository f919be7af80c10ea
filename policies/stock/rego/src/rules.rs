//! The program as a decision needs it.

use crate::configuration::{ALLOW, Configuration, DENY};
use crate::input;
use regorus::Value;
use regorus::rvm::program::DeserializationResult;
use regorus::rvm::{Program, RegoVM};
use sekisho_policy::json;
use sekisho_policy::{Answer, Request, allow, deny, no_opinion};
use std::collections::BTreeMap;
use std::mem::ManuallyDrop;
use std::sync::Arc;

/// What the policy comes to. Built anew from bytes, and sharing nothing with what the compiler made, so
/// that it is its own memory's image.
#[derive(Debug)]
pub struct Rules {
    program: Arc<Program>,
    data: Option<Value>,
    allow: bool,
    deny: bool,
}

impl Rules {
    pub(crate) fn of(configuration: &Configuration) -> Option<Self> {
        let read = Program::deserialize_binary(&configuration.program).ok()?;
        let DeserializationResult::Complete(mut program) = read else { return None };
        // For messages alone, and the longest part of it.
        program.sources = Vec::new();
        program.instruction_spans = Vec::new();
        let data = match &configuration.data {
            Some(data) => Some(value(data)?),
            None => None,
        };
        let Configuration { allow, deny, .. } = *configuration;
        Some(Self { program: Arc::new(program), data, allow, deny })
    }

    pub(crate) fn decide(&self, request: &Request) -> Answer {
        match self.answer(request) {
            Ok(answer) => answer,
            Err(reason) => deny(cut(&reason)),
        }
    }

    fn answer(&self, request: &Request) -> Result<Answer, String> {
        // The instance ends with the answer: taking the machine and the input apart would be for nothing.
        let mut machine = ManuallyDrop::new(RegoVM::new());
        machine.load_program(Arc::clone(&self.program));
        if let Some(data) = &self.data {
            machine.set_data(data.clone()).map_err(|error| error.to_string())?;
        }
        machine.set_input(input::of(request));
        if self.deny
            && let Some(reason) = denied(ask(&mut machine, DENY)?)?
        {
            return Ok(deny(cut(&reason)));
        }
        if !self.allow {
            return Ok(no_opinion());
        }
        match ask(&mut machine, ALLOW)? {
            Value::Undefined | Value::Bool(false) => Ok(no_opinion()),
            Value::Bool(true) => Ok(allow()),
            _ => Err("allow is neither true nor false".into()),
        }
    }
}

fn ask(machine: &mut RegoVM, rule: &str) -> Result<Value, String> {
    let value = machine.execute_entry_point_by_name(rule);
    value.map_err(|error| format!("{rule} cannot be evaluated: {error}"))
}

/// The reason, where `deny` has come to a denial.
fn denied(value: Value) -> Result<Option<String>, String> {
    match value {
        Value::Undefined | Value::Bool(false) => Ok(None),
        Value::Bool(true) => Ok(Some("deny holds".into())),
        Value::Set(reasons) => match reasons.iter().next() {
            None => Ok(None),
            Some(Value::String(reason)) => Ok(Some(reason.to_string())),
            Some(_) => Err("deny is a set with something else than text in it".into()),
        },
        _ => Err("deny is neither true nor false nor a set".into()),
    }
}

fn cut(reason: &str) -> &str {
    reason.get(..reason.floor_char_boundary(1000)).unwrap_or_default()
}

/// A value of the configuration's `data`; `None` for a number that Rego does not read.
fn value(json: &json::Value) -> Option<Value> {
    Some(match json {
        json::Value::Null => Value::Null,
        json::Value::Bool(is) => Value::from(*is),
        json::Value::Number(number) => Value::from_json_str(number).ok()?,
        json::Value::String(text) => Value::from(text.as_str()),
        json::Value::Array(elements) => {
            elements.iter().map(value).collect::<Option<Vec<Value>>>()?.into()
        }
        json::Value::Object(members) => members
            .iter()
            .map(|(name, of)| Some((Value::from(name.as_str()), value(of)?)))
            .collect::<Option<BTreeMap<_, _>>>()?
            .into(),
    })
}
