//! Templates as text and tokens.
//!
//! Invariant: every token knows where it stands, in characters from 1.

use super::TemplateError;

/// A piece of a template: text, or what stands between `{{` and `}}`.
#[derive(Debug, Clone, PartialEq)]
pub enum Piece {
    /// Text that is printed as it is.
    Text(String),
    /// The tokens of an action.
    Action(Vec<Token>, usize),
}

/// A token of an action.
#[derive(Debug, Clone, PartialEq)]
pub struct Token {
    /// What it is.
    pub kind: Kind,
    /// Where it begins, in characters from 1.
    pub at: usize,
    /// No space stands before it.
    pub glued: bool,
}

/// What a token is.
#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    /// `.` alone.
    Dot,
    /// `.Name`.
    Field(String),
    /// `$name`, or `$` alone with an empty name.
    Variable(String),
    /// A keyword, a function, or a constant.
    Word(String),
    /// A string in quotes or backticks.
    Text(String),
    /// A number.
    Number(serde_json::Number),
    /// One of `(`, `)`, `|`, `,`, `=`.
    Sign(char),
    /// `:=`.
    Declare,
}

/// Cuts a template into pieces. In text `\t` and `\n` are a tab and a line's end, as docker has it.
pub fn pieces(source: &str) -> Result<Vec<Piece>, TemplateError> {
    let characters: Vec<char> = source.chars().collect();
    let mut lexer = Lexer {
        characters: &characters,
        at: 0,
    };
    let mut pieces = Vec::new();
    let mut trim_next = false;
    while lexer.at < characters.len() {
        let text = lexer.text();
        let opens_trimmed = lexer.starts_with("{{-") && lexer.space_at(3);
        let text = match trim_next {
            true => text.trim_start(),
            false => &text,
        };
        let text = match opens_trimmed {
            true => text.trim_end(),
            false => text,
        };
        if !text.is_empty() {
            pieces.push(Piece::Text(text.replace("\\t", "\t").replace("\\n", "\n")));
        }
        if lexer.at == characters.len() {
            break;
        }
        let at = lexer.at + 1;
        lexer.at += if opens_trimmed { 3 } else { 2 };
        let (tokens, trims) = lexer.action(at)?;
        trim_next = trims;
        if let Some(tokens) = tokens {
            pieces.push(Piece::Action(tokens, at));
        }
    }
    Ok(pieces)
}

struct Lexer<'a> {
    characters: &'a [char],
    at: usize,
}

impl Lexer<'_> {
    fn starts_with(&self, text: &str) -> bool {
        let mut here = self.characters[self.at..].iter();
        text.chars().all(|wanted| here.next() == Some(&wanted))
    }

    fn space_at(&self, offset: usize) -> bool {
        let there = self.characters.get(self.at + offset);
        there.is_some_and(|c| c.is_whitespace())
    }

    fn error(&self, at: usize, what: &str) -> TemplateError {
        TemplateError::new(at, what)
    }

    /// The text up to the next action, or to the end.
    fn text(&mut self) -> String {
        let begin = self.at;
        while self.at < self.characters.len() && !self.starts_with("{{") {
            self.at += 1;
        }
        self.characters[begin..self.at].iter().collect()
    }

    /// The tokens up to `}}` (nothing for a comment), and whether the text after it is trimmed.
    fn action(&mut self, begin: usize) -> Result<(Option<Vec<Token>>, bool), TemplateError> {
        let mut tokens = Vec::new();
        let mut comment = false;
        loop {
            let before = self.at;
            while self.space_at(0) {
                self.at += 1;
            }
            let glued = before == self.at;
            if self.at == self.characters.len() {
                return Err(self.error(begin, "\"{{\" has no \"}}\""));
            }
            let trims = !glued && self.starts_with("-}}");
            if trims || self.starts_with("}}") {
                self.at += if trims { 3 } else { 2 };
                return Ok(((!comment).then_some(tokens), trims));
            }
            if self.starts_with("/*") {
                self.comment()?;
                comment = true;
                continue;
            }
            let at = self.at + 1;
            let kind = self.token()?;
            tokens.push(Token { kind, at, glued });
        }
    }

    fn comment(&mut self) -> Result<(), TemplateError> {
        let begin = self.at + 1;
        while !self.starts_with("*/") {
            if self.at == self.characters.len() {
                return Err(self.error(begin, "\"/*\" has no \"*/\""));
            }
            self.at += 1;
        }
        self.at += 2;
        Ok(())
    }

    fn token(&mut self) -> Result<Kind, TemplateError> {
        let begin = self.at + 1;
        let first = self.characters[self.at];
        let second = self.characters.get(self.at + 1).copied();
        let number = first.is_ascii_digit()
            || matches!(first, '-' | '+') && second.is_some_and(|c| c.is_ascii_digit());
        if number {
            return self.number();
        }
        self.at += 1;
        match first {
            '.' => match self.name() {
                name if name.is_empty() => Ok(Kind::Dot),
                name => Ok(Kind::Field(name)),
            },
            '$' => Ok(Kind::Variable(self.name())),
            '(' | ')' | '|' | ',' | '=' => Ok(Kind::Sign(first)),
            ':' if second == Some('=') => {
                self.at += 1;
                Ok(Kind::Declare)
            }
            '"' => self.quoted(begin),
            '`' => self.raw(begin),
            c if c.is_alphabetic() || c == '_' => {
                self.at -= 1;
                Ok(Kind::Word(self.name()))
            }
            other => Err(self.error(begin, &format!("{other:?} is not expected"))),
        }
    }

    fn name(&mut self) -> String {
        let begin = self.at;
        let belongs = |c: &char| c.is_alphanumeric() || *c == '_';
        while self.characters.get(self.at).is_some_and(belongs) {
            self.at += 1;
        }
        self.characters[begin..self.at].iter().collect()
    }

    fn number(&mut self) -> Result<Kind, TemplateError> {
        let begin = self.at;
        self.at += 1;
        let belongs = |c: &char| c.is_ascii_alphanumeric() || *c == '.';
        while self.characters.get(self.at).is_some_and(belongs) {
            self.at += 1;
        }
        let text: String = self.characters[begin..self.at].iter().collect();
        let text = text.strip_prefix('+').unwrap_or(&text);
        let number = serde_json::from_str(text);
        number
            .map(Kind::Number)
            .map_err(|_| self.error(begin + 1, &format!("\"{text}\" is no number")))
    }

    fn raw(&mut self, begin: usize) -> Result<Kind, TemplateError> {
        let from = self.at;
        while self.at < self.characters.len() {
            self.at += 1;
            if self.characters[self.at - 1] == '`' {
                let text = self.characters[from..self.at - 1].iter().collect();
                return Ok(Kind::Text(text));
            }
        }
        Err(self.error(begin, "the string has no end"))
    }

    fn quoted(&mut self, begin: usize) -> Result<Kind, TemplateError> {
        let mut text = String::new();
        let mut escaped = false;
        while let Some(&c) = self.characters.get(self.at) {
            self.at += 1;
            match c {
                'n' if escaped => text.push('\n'),
                't' if escaped => text.push('\t'),
                'r' if escaped => text.push('\r'),
                '"' | '\\' | '\'' if escaped => text.push(c),
                _ if escaped => {
                    let what =
                        format!("\"\\{c}\" is no escape; there are \\n, \\t, \\r, \\\", \\\\");
                    return Err(self.error(self.at - 1, &what));
                }
                '\\' => {
                    escaped = true;
                    continue;
                }
                '"' => return Ok(Kind::Text(text)),
                _ => text.push(c),
            }
            escaped = false;
        }
        Err(self.error(begin, "the string has no end"))
    }
}
