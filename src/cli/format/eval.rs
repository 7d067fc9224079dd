//! What a template prints for a value.
//!
//! Invariant: a field that is not there is an error that names those that are; only what users name themselves
//! (labels, networks) may be missing, as in docker.

use serde_json::Value;

use super::functions::{self, display, is_true, kind};
use super::parse::{Base, Node, Operand, Pipeline};
use super::{Row, TemplateError};

/// Prints a template for one row.
pub fn render(nodes: &[Node], row: &Row) -> Result<String, TemplateError> {
    let mut evaluator = Evaluator {
        row,
        variables: vec![(String::new(), row.fields.clone())],
        printed: String::new(),
    };
    evaluator.nodes(nodes, &row.fields)?;
    Ok(evaluator.printed)
}

struct Evaluator<'a> {
    row: &'a Row,
    variables: Vec<(String, Value)>,
    printed: String,
}

impl Evaluator<'_> {
    /// Prints nodes; the variables that they declare are gone afterwards.
    fn nodes(&mut self, nodes: &[Node], dot: &Value) -> Result<(), TemplateError> {
        let known = self.variables.len();
        for node in nodes {
            self.node(node, dot)?;
        }
        self.variables.truncate(known);
        Ok(())
    }

    fn node(&mut self, node: &Node, dot: &Value) -> Result<(), TemplateError> {
        match node {
            Node::Text(text) => self.printed += text,
            Node::Print(pipeline) => {
                let value = self.declaring(pipeline, dot)?;
                if pipeline.variables.is_empty() {
                    self.printed += &match value.is_null() && is_users_key(pipeline) {
                        true => NO_VALUE.to_owned(),
                        false => display(&value),
                    };
                }
            }
            Node::If(condition, body, otherwise) => {
                let known = self.variables.len();
                match is_true(&self.declaring(condition, dot)?) {
                    true => self.nodes(body, dot)?,
                    false => self.nodes(otherwise, dot)?,
                }
                self.variables.truncate(known);
            }
            Node::With(head, body, otherwise) => {
                let known = self.variables.len();
                let value = self.declaring(head, dot)?;
                match is_true(&value) {
                    true => self.nodes(body, &value)?,
                    false => self.nodes(otherwise, dot)?,
                }
                self.variables.truncate(known);
            }
            Node::Range(head, body, otherwise) => self.range(head, body, otherwise, dot)?,
        }
        Ok(())
    }

    fn range(
        &mut self,
        head: &Pipeline,
        body: &[Node],
        otherwise: &[Node],
        dot: &Value,
    ) -> Result<(), TemplateError> {
        let elements: Vec<(Value, Value)> = match self.pipeline(head, dot)? {
            Value::Array(list) => {
                let numbered = list.into_iter().enumerate();
                numbered
                    .map(|(at, value)| (Value::from(at), value))
                    .collect()
            }
            Value::Object(map) => {
                let mut entries: Vec<(String, Value)> = map.into_iter().collect();
                entries.sort_by(|a, b| a.0.cmp(&b.0));
                let entries = entries.into_iter();
                entries
                    .map(|(key, value)| (Value::String(key), value))
                    .collect()
            }
            Value::Null => Vec::new(),
            other => {
                let at = head.commands[0][0].at;
                let what = format!("\"range\" cannot go through {}", kind(&other));
                return Err(TemplateError::new(at, &what));
            }
        };
        if elements.is_empty() {
            return self.nodes(otherwise, dot);
        }
        let known = self.variables.len();
        for (key, value) in elements {
            match &head.variables[..] {
                [] => {}
                [name] => self.variables.push((name.clone(), value.clone())),
                [index, name, ..] => {
                    self.variables.push((index.clone(), key));
                    self.variables.push((name.clone(), value.clone()));
                }
            }
            self.nodes(body, &value)?;
            self.variables.truncate(known);
        }
        Ok(())
    }

    /// The value of a pipeline, kept in its variable where it has one.
    fn declaring(&mut self, pipeline: &Pipeline, dot: &Value) -> Result<Value, TemplateError> {
        let value = self.pipeline(pipeline, dot)?;
        if let Some(name) = pipeline.variables.first() {
            let mut known = self.variables.iter_mut().rev();
            match known.find(|(known, _)| pipeline.assigns && known == name) {
                Some((_, old)) => *old = value.clone(),
                None => self.variables.push((name.clone(), value.clone())),
            }
        }
        Ok(value)
    }

    fn pipeline(&mut self, pipeline: &Pipeline, dot: &Value) -> Result<Value, TemplateError> {
        let mut value = None;
        for command in &pipeline.commands {
            value = Some(self.command(command, value, dot)?);
        }
        Ok(value.unwrap_or(Value::Null))
    }

    /// One command; what was piped into it is its last argument.
    fn command(
        &mut self,
        command: &[Operand],
        piped: Option<Value>,
        dot: &Value,
    ) -> Result<Value, TemplateError> {
        let (head, rest) = (&command[0], &command[1..]);
        let mut arguments = Vec::new();
        for operand in rest {
            arguments.push(self.operand(operand, dot)?);
        }
        arguments.extend(piped);
        if let Base::Function(name) = &head.base {
            let value = functions::call(name, &arguments)
                .map_err(|what| TemplateError::new(head.at, &what))?;
            return fields(value, &head.fields);
        }
        // The one method that there is: docker's .Label "key" of lists.
        if let (Base::Dot, [(name, _)], [Value::String(key)]) =
            (&head.base, &head.fields[..], &arguments[..])
            && name == "Label"
        {
            let label = self.row.labels.get(key).cloned();
            return Ok(Value::String(label.unwrap_or_default()));
        }
        match arguments.is_empty() {
            true => self.operand(head, dot),
            false => Err(TemplateError::new(head.at, "only functions take arguments")),
        }
    }

    fn operand(&mut self, operand: &Operand, dot: &Value) -> Result<Value, TemplateError> {
        let base = match &operand.base {
            Base::Dot => return fields_of(dot, &operand.fields),
            Base::Variable(name) => {
                let mut known = self.variables.iter().rev();
                let found = known.find(|(known, _)| known == name);
                found.map_or(Value::Null, |(_, value)| value.clone())
            }
            Base::Constant(value) => value.clone(),
            Base::Group(pipeline) => self.pipeline(pipeline, dot)?,
            Base::Function(name) => {
                functions::call(name, &[]).map_err(|what| TemplateError::new(operand.at, &what))?
            }
        };
        fields(base, &operand.fields)
    }
}

fn fields(value: Value, path: &[(String, usize)]) -> Result<Value, TemplateError> {
    match path.is_empty() {
        true => Ok(value),
        false => fields_of(&value, path),
    }
}

/// The fields whose own fields are named by users.
const USERS: [&str; 13] = [
    "Annotations",
    "Attributes",
    "Containers",
    "ExposedPorts",
    "Labels",
    "Networks",
    "Options",
    "PortBindings",
    "Ports",
    "Sysctls",
    "Tmpfs",
    "Volumes",
    "annotations",
];

/// What docker prints for one of those that is not there.
const NO_VALUE: &str = "<no value>";

/// Whether it is nothing but a field that users name, or one below.
fn is_users_key(pipeline: &Pipeline) -> bool {
    let [command] = &pipeline.commands[..] else {
        return false;
    };
    let [Operand { fields, .. }] = &command[..] else {
        return false;
    };
    let above = fields.iter().rev().skip(1);
    above
        .into_iter()
        .any(|(name, _)| USERS.contains(&&name[..]))
}

/// The value at the end of a path of fields.
fn fields_of(mut value: &Value, path: &[(String, usize)]) -> Result<Value, TemplateError> {
    let mut users = false;
    for (name, at) in path {
        let named = value.is_object() || value.is_null();
        if users && named && value.get(name).is_none() {
            return Ok(Value::Null);
        }
        users = USERS.contains(&&name[..]);
        let Value::Object(map) = value else {
            let what = format!("{} has no field \"{name}\"", kind(value));
            return Err(TemplateError::new(*at, &what));
        };
        value = map.get(name).ok_or_else(|| {
            let names: Vec<&str> = map.keys().map(String::as_str).collect();
            let hint = match names.is_empty() {
                true => "it has none at all".to_owned(),
                false => format!("there are {}", names.join(", ")),
            };
            TemplateError::with_hint(*at, &format!("there is no field \"{name}\""), hint)
        })?;
    }
    Ok(value.clone())
}
