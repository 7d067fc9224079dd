//! How results look: tables, JSON, and templates in docker's language (`{{.Names}}`).
//!
//! Invariant: a template means here what it means to docker, or is an error; the language is small
//! enough to be ours, since no library that speaks it is kept up (gtmpl says so of itself).

use std::collections::BTreeMap;
use std::io::Write;

use serde_json::{Map, Value};

use super::output;
use crate::model::class::{Class, Explain};

mod eval;
mod functions;
mod lex;
mod parse;
mod printf;

/// What is wrong with a template, and at which character (from 1).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("at character {at} of the format: {what}")]
pub struct TemplateError {
    at: usize,
    what: String,
    hint: Option<String>,
}

impl TemplateError {
    fn new(at: usize, what: &str) -> Self {
        Self {
            at,
            what: what.to_owned(),
            hint: None,
        }
    }

    fn with_hint(at: usize, what: &str, hint: String) -> Self {
        Self {
            hint: Some(hint),
            ..Self::new(at, what)
        }
    }
}

impl Explain for TemplateError {
    fn class(&self) -> Class {
        Class::InvalidInput
    }

    fn hint(&self) -> Option<String> {
        self.hint.clone()
    }
}

/// What is printed of one object.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Row {
    /// Its fields, an object in the order in which they are listed.
    pub fields: Value,
    /// What `.Label "key"` looks into.
    pub labels: BTreeMap<String, String>,
}

impl From<Value> for Row {
    fn from(fields: Value) -> Self {
        Self {
            fields,
            labels: BTreeMap::new(),
        }
    }
}

/// A parsed template.
#[derive(Debug, Clone, PartialEq)]
pub struct Template(Vec<parse::Node>);

impl Template {
    /// Parses a template; the error says where it is wrong.
    pub fn parse(source: &str) -> Result<Self, TemplateError> {
        parse::parse(source).map(Self)
    }

    /// What it prints for one object.
    pub fn render(&self, row: &Row) -> Result<String, TemplateError> {
        eval::render(&self.0, row)
    }
}

/// What `--format` asks for.
#[derive(Debug, Clone, PartialEq)]
pub enum Format {
    /// `json`.
    Json,
    /// `table`: the verb's own columns.
    Table,
    /// `table TEMPLATE`: these columns, parted by tabs.
    TableOf(Template),
    /// A template for each object.
    Template(Template),
}

impl std::str::FromStr for Format {
    type Err = TemplateError;

    fn from_str(text: &str) -> Result<Self, TemplateError> {
        match text.trim() {
            "json" => Ok(Self::Json),
            "table" | "" => Ok(Self::Table),
            trimmed => match trimmed.strip_prefix("table ") {
                // The blanks keep the places that errors name those of the whole text.
                Some(_) => {
                    let blanked = text.replacen("table", "     ", 1);
                    let mut template = Template::parse(&blanked)?;
                    if let Some(parse::Node::Text(text)) = template.0.first_mut() {
                        *text = text.trim_start_matches(' ').to_owned();
                    }
                    Ok(Self::TableOf(template))
                }
                None => Template::parse(text).map(Self::Template),
            },
        }
    }
}

/// A column of a verb's own table: its header and the field that it shows.
pub type Column = (&'static str, &'static str);

/// Prints a list: a table unless something else is asked for. `columns` are the table's own, and
/// give the headers of their fields wherever these are shown; `headers` those of further fields.
pub fn list(
    format: &Format,
    rows: &[Row],
    columns: &[Column],
    headers: &[Column],
) -> Result<String, TemplateError> {
    match format {
        Format::Json => Ok(rows.iter().map(|row| format!("{}\n", row.fields)).collect()),
        Format::Template(template) => {
            let lines = rows.iter().map(|row| Ok(template.render(row)? + "\n"));
            lines.collect()
        }
        Format::Table => {
            let cells: Vec<String> = (columns.iter())
                .map(|(_, field)| format!("{{{{.{field}}}}}"))
                .collect();
            table(&Template::parse(&cells.join("\t"))?, rows, columns, headers)
        }
        Format::TableOf(template) => table(template, rows, columns, headers),
    }
}

/// Prints documents, as `inspect` does: one JSON list of all, or a template for each.
pub fn documents(format: Option<&Format>, documents: &[Value]) -> Result<String, TemplateError> {
    match format {
        None | Some(Format::Table) => {
            let list = Value::from(documents.to_vec());
            Ok(format!("{list:#}\n"))
        }
        Some(Format::Json) => {
            let list = Value::from(documents.to_vec());
            Ok(format!("{list}\n"))
        }
        Some(Format::Template(template) | Format::TableOf(template)) => {
            let rows = documents.iter().cloned().map(Row::from);
            rows.map(|row| Ok(template.render(&row)? + "\n")).collect()
        }
    }
}

fn table(
    template: &Template,
    rows: &[Row],
    columns: &[Column],
    headers: &[Column],
) -> Result<String, TemplateError> {
    let mut text = match rows.first() {
        Some(row) => template.render(&header_row(row, columns, headers))?,
        // Without a row the fields are not known, only the columns are.
        None => {
            let known: Map<String, Value> = columns
                .iter()
                .chain(headers)
                .map(|(header, field)| ((*field).to_owned(), Value::from(*header)))
                .collect();
            template.render(&Row::from(Value::Object(known)))?
        }
    };
    text.push('\n');
    for row in rows {
        text += &template.render(row)?;
        text.push('\n');
    }
    Ok(aligned(&output::tame(&text)))
}

/// A row whose fields say their own headers.
fn header_row(row: &Row, columns: &[Column], headers: &[Column]) -> Row {
    let header = |field: &String| {
        let mut known = columns.iter().chain(headers);
        match known.find(|(_, known)| known == field) {
            Some((header, _)) => (*header).to_owned(),
            None => spaced(field),
        }
    };
    let fields = row.fields.as_object().into_iter().flatten();
    let fields = fields.map(|(field, _)| (field.clone(), Value::String(header(field))));
    Row {
        fields: Value::Object(fields.collect()),
        labels: (row.labels.keys().map(|key| (key.clone(), key.clone()))).collect(),
    }
}

/// `CreatedAt` as the header `CREATED AT`.
fn spaced(field: &str) -> String {
    let mut header = String::new();
    let mut after_lower = false;
    for c in field.chars() {
        if c.is_uppercase() && after_lower {
            header.push(' ');
        }
        after_lower = c.is_lowercase();
        header.extend(c.to_uppercase());
    }
    header
}

/// Cells parted by tabs as columns three spaces apart, without blanks at the ends of lines.
fn aligned(text: &str) -> String {
    let mut writer = tabwriter::TabWriter::new(Vec::new()).padding(3);
    let written = writer
        .write_all(text.as_bytes())
        .and_then(|()| writer.flush());
    let bytes = match (written, writer.into_inner()) {
        (Ok(()), Ok(bytes)) => bytes,
        // Writing to memory does not fail.
        _ => return text.to_owned(),
    };
    let aligned = String::from_utf8_lossy(&bytes);
    let lines = aligned.lines().map(|line| format!("{}\n", line.trim_end()));
    lines.collect()
}

#[cfg(test)]
mod tests;
