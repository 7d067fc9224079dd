//! The grammar of templates: Go's, without named templates.
//!
//! Invariant: what parses can be evaluated; unknown functions and variables are found here.

use serde_json::Value;

use super::lex::{Kind, Piece, Token, pieces};
use super::{TemplateError, functions};

/// A part of a template.
#[derive(Debug, Clone, PartialEq)]
pub enum Node {
    /// Printed as it is.
    Text(String),
    /// Printed, unless it declares or sets a variable.
    Print(Pipeline),
    /// `if`: the first part if it is true, else the second.
    If(Pipeline, Vec<Node>, Vec<Node>),
    /// `with`: its value becomes the dot, if it is not empty.
    With(Pipeline, Vec<Node>, Vec<Node>),
    /// `range`: each element becomes the dot; else the last part.
    Range(Pipeline, Vec<Node>, Vec<Node>),
}

/// Commands in a row, the value of each being the last argument of the next.
#[derive(Debug, Clone, PartialEq)]
pub struct Pipeline {
    /// `$x :=`, or `$i, $x :=` in a range.
    pub variables: Vec<String>,
    /// The variables exist already (`=`).
    pub assigns: bool,
    /// The commands, at least one.
    pub commands: Vec<Vec<Operand>>,
}

/// An argument, or what is called with arguments.
#[derive(Debug, Clone, PartialEq)]
pub struct Operand {
    /// Where it stands, in characters from 1.
    pub at: usize,
    /// What it begins with.
    pub base: Base,
    /// The fields after it, each with its place.
    pub fields: Vec<(String, usize)>,
}

/// What an operand begins with.
#[derive(Debug, Clone, PartialEq)]
pub enum Base {
    /// The dot.
    Dot,
    /// A variable; the empty name is the value that the template began with.
    Variable(String),
    /// A function by its name.
    Function(String),
    /// A constant.
    Constant(Value),
    /// A pipeline in parentheses.
    Group(Box<Pipeline>),
}

/// Parses a template.
pub fn parse(source: &str) -> Result<Vec<Node>, TemplateError> {
    let mut parser = Parser {
        pieces: pieces(source)?.into_iter(),
        variables: vec![String::new()],
    };
    match parser.nodes()? {
        (nodes, Stop::Template) => Ok(nodes),
        (_, Stop::Else(_, at)) => Err(TemplateError::new(at, "\"else\" has no \"if\"")),
        (_, Stop::End(at)) => {
            let what = "\"end\" has no \"if\", \"with\" or \"range\"";
            Err(TemplateError::new(at, what))
        }
    }
}

struct Parser {
    pieces: std::vec::IntoIter<Piece>,
    /// The names in scope, the innermost last.
    variables: Vec<String>,
}

/// Why a row of nodes ends.
enum Stop {
    Template,
    /// `else`, with the tokens after it.
    Else(Vec<Token>, usize),
    End(usize),
}

impl Parser {
    fn nodes(&mut self) -> Result<(Vec<Node>, Stop), TemplateError> {
        let mut nodes = Vec::new();
        while let Some(piece) = self.pieces.next() {
            let (tokens, at) = match piece {
                Piece::Text(text) => {
                    nodes.push(Node::Text(text));
                    continue;
                }
                Piece::Action(tokens, at) => (tokens, at),
            };
            let keyword = match tokens.first().map(|token| &token.kind) {
                Some(Kind::Word(word)) => word.as_str(),
                _ => "",
            };
            match keyword {
                "end" => return Ok((nodes, Stop::End(at))),
                "else" => return Ok((nodes, Stop::Else(tokens[1..].to_vec(), at))),
                "if" | "with" | "range" => {
                    let keyword = keyword.to_owned();
                    nodes.push(self.block(&keyword, &tokens[1..], at)?);
                }
                "template" | "define" | "block" | "break" | "continue" => {
                    let what = format!("\"{keyword}\" is not supported");
                    return Err(TemplateError::new(at, &what));
                }
                _ => nodes.push(Node::Print(self.whole_pipeline(&tokens, at)?)),
            }
        }
        Ok((nodes, Stop::Template))
    }

    /// A block from after its keyword to its `end`; its variables are known in it alone.
    fn block(&mut self, keyword: &str, tokens: &[Token], at: usize) -> Result<Node, TemplateError> {
        let known = self.variables.len();
        let head = self.whole_pipeline(tokens, at)?;
        if head.variables.len() > 1 && keyword != "range" {
            return Err(TemplateError::new(at, "only \"range\" takes two variables"));
        }
        let (body, end) = self.nodes()?;
        let otherwise = match end {
            Stop::End(_) => Vec::new(),
            Stop::Template => {
                return Err(TemplateError::new(
                    at,
                    &format!("\"{keyword}\" has no \"end\""),
                ));
            }
            Stop::Else(rest, else_at) => self.otherwise(keyword, &rest, else_at)?,
        };
        self.variables.truncate(known);
        Ok(match keyword {
            "with" => Node::With(head, body, otherwise),
            "range" => Node::Range(head, body, otherwise),
            _ => Node::If(head, body, otherwise),
        })
    }

    /// What stands after `else`: another block in its place, or nodes up to `end`.
    fn otherwise(
        &mut self,
        keyword: &str,
        rest: &[Token],
        at: usize,
    ) -> Result<Vec<Node>, TemplateError> {
        match rest.first().map(|token| &token.kind) {
            Some(Kind::Word(word)) if word == keyword && keyword != "range" => {
                Ok(vec![self.block(keyword, &rest[1..], at)?])
            }
            Some(_) => Err(TemplateError::new(
                rest[0].at,
                "this is not expected after \"else\"",
            )),
            None => match self.nodes()? {
                (nodes, Stop::End(_)) => Ok(nodes),
                (_, Stop::Template) => Err(TemplateError::new(at, "\"else\" has no \"end\"")),
                (_, Stop::Else(_, at)) => Err(TemplateError::new(at, "a second \"else\"")),
            },
        }
    }

    /// The pipeline that is all of an action.
    fn whole_pipeline(&mut self, tokens: &[Token], at: usize) -> Result<Pipeline, TemplateError> {
        let mut rest = tokens;
        let pipeline = self.pipeline(&mut rest, at)?;
        match rest.first() {
            None => Ok(pipeline),
            Some(token) => Err(TemplateError::new(token.at, "this is not expected here")),
        }
    }

    /// A pipeline up to the end of the tokens or the `)` that closes it.
    fn pipeline(&mut self, rest: &mut &[Token], at: usize) -> Result<Pipeline, TemplateError> {
        let (variables, assigns) = self.declaration(rest)?;
        let mut commands = vec![Vec::new()];
        while let Some(token) = rest.first() {
            match &token.kind {
                Kind::Sign(')') => break,
                Kind::Sign('|') => {
                    *rest = &rest[1..];
                    commands.push(Vec::new());
                }
                _ => {
                    let operand = self.operand(rest)?;
                    if let Some(command) = commands.last_mut() {
                        command.push(operand);
                    }
                }
            }
        }
        if commands.iter().any(Vec::is_empty) {
            return Err(TemplateError::new(at, "there is nothing to print"));
        }
        self.variables.extend(variables.iter().cloned());
        Ok(Pipeline {
            variables,
            assigns,
            commands,
        })
    }

    /// `$x :=`, `$x =` or `$i, $x :=` at the beginning of a pipeline.
    fn declaration(&self, rest: &mut &[Token]) -> Result<(Vec<String>, bool), TemplateError> {
        let kinds: Vec<&Kind> = rest.iter().take(4).map(|token| &token.kind).collect();
        let (variables, sign) = match kinds[..] {
            [Kind::Variable(x), Kind::Declare, ..] => (vec![x.clone()], Kind::Declare),
            [Kind::Variable(x), Kind::Sign('='), ..] => (vec![x.clone()], Kind::Sign('=')),
            [
                Kind::Variable(i),
                Kind::Sign(','),
                Kind::Variable(x),
                Kind::Declare,
            ] => (vec![i.clone(), x.clone()], Kind::Declare),
            _ => return Ok((Vec::new(), false)),
        };
        let assigns = sign == Kind::Sign('=');
        if assigns {
            self.known(&variables[0], rest[0].at)?;
        }
        *rest = &rest[if variables.len() == 2 { 4 } else { 2 }..];
        Ok((variables, assigns))
    }

    fn known(&self, variable: &str, at: usize) -> Result<(), TemplateError> {
        match self.variables.iter().any(|known| known == variable) {
            true => Ok(()),
            false => Err(TemplateError::new(
                at,
                &format!("${variable} is not declared"),
            )),
        }
    }

    fn operand(&mut self, rest: &mut &[Token]) -> Result<Operand, TemplateError> {
        let Token { kind, at, .. } = &rest[0];
        let at = *at;
        *rest = &rest[1..];
        let mut fields = Vec::new();
        let base = match kind {
            Kind::Dot => Base::Dot,
            Kind::Field(name) => {
                fields.push((name.clone(), at));
                Base::Dot
            }
            Kind::Variable(name) => {
                self.known(name, at)?;
                Base::Variable(name.clone())
            }
            Kind::Text(text) => Base::Constant(Value::String(text.clone())),
            Kind::Number(number) => Base::Constant(Value::Number(number.clone())),
            Kind::Word(word) => word_base(word, at)?,
            Kind::Sign('(') => {
                let inner = self.pipeline(rest, at)?;
                match rest.first() {
                    Some(_) => *rest = &rest[1..],
                    None => return Err(TemplateError::new(at, "\"(\" has no \")\"")),
                }
                Base::Group(Box::new(inner))
            }
            Kind::Sign(_) | Kind::Declare => {
                return Err(TemplateError::new(at, "this is not expected here"));
            }
        };
        while let Some(Token {
            kind: Kind::Field(name),
            at,
            glued: true,
        }) = rest.first()
        {
            fields.push((name.clone(), *at));
            *rest = &rest[1..];
        }
        Ok(Operand { at, base, fields })
    }
}

fn word_base(word: &str, at: usize) -> Result<Base, TemplateError> {
    Ok(match word {
        "true" => Base::Constant(Value::Bool(true)),
        "false" => Base::Constant(Value::Bool(false)),
        "nil" => Base::Constant(Value::Null),
        _ if functions::NAMES.contains(&word) => Base::Function(word.to_owned()),
        _ => {
            let names = functions::NAMES.join(", ");
            let what = format!("there is no function \"{word}\"");
            let hint = format!("the functions are {names}; a field begins with a dot: .{word}");
            return Err(TemplateError::with_hint(at, &what, hint));
        }
    })
}
