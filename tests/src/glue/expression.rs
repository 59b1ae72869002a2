//! The `Expression` of `GetPartitions`: which partitions are meant.
//!
//! The grammar is the part of SQL that Glue knows: comparisons of a partition column with a literal, IN, BETWEEN, NOT, AND
//! and OR. A column compares by its declared type: as numbers or as text.

use std::cmp::Ordering;
use std::iter::Peekable;
use std::vec::IntoIter;

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Word(String),
    Text(String),
    Symbol(String),
}

/// Column names and types of a table's partition keys, and one partition's values.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row<'a> {
    pub(super) keys: &'a [(String, String)],
    pub(super) values: &'a [String],
}

/// Whether the partition is meant by the expression.
pub(super) fn matches(expression: &str, row: Row<'_>) -> Result<bool, String> {
    let mut parser = Parser { tokens: tokens(expression)?.into_iter().peekable(), row };
    let meant = parser.either()?;
    match parser.tokens.next() {
        None => Ok(meant),
        Some(token) => Err(format!("Unsupported expression '{expression}': {token:?} is too much")),
    }
}

fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let length = if first == '\'' {
            let mut value = String::new();
            let mut at = 1;
            loop {
                let end = rest[at..].find('\'').ok_or("a text does not end")? + at;
                value.push_str(&rest[at..end]);
                at = end + 1;
                if !rest[at..].starts_with('\'') {
                    break;
                }
                value.push('\'');
                at += 1;
            }
            tokens.push(Token::Text(value));
            at
        } else if first.is_alphanumeric() || matches!(first, '_' | '-' | '.') {
            let end = rest.find(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '-' | '.'))).unwrap_or(rest.len());
            tokens.push(Token::Word(rest[..end].to_owned()));
            end
        } else {
            let two = ["<=", ">=", "<>", "!="].into_iter().find(|two| rest.starts_with(two));
            let end = two.map_or(first.len_utf8(), str::len);
            tokens.push(Token::Symbol(rest[..end].to_owned()));
            end
        };
        rest = rest[length..].trim_start();
    }
    Ok(tokens)
}

struct Parser<'a> {
    tokens: Peekable<IntoIter<Token>>,
    row: Row<'a>,
}

impl Parser<'_> {
    fn either(&mut self) -> Result<bool, String> {
        let mut meant = self.both()?;
        while self.keyword("OR") {
            meant |= self.both()?;
        }
        Ok(meant)
    }

    fn both(&mut self) -> Result<bool, String> {
        let mut meant = self.one()?;
        while self.keyword("AND") {
            meant &= self.one()?;
        }
        Ok(meant)
    }

    fn one(&mut self) -> Result<bool, String> {
        if self.keyword("NOT") {
            return Ok(!self.one()?);
        }
        if self.symbol("(") {
            let meant = self.either()?;
            return if self.symbol(")") { Ok(meant) } else { Err("a bracket does not close".into()) };
        }
        let Some(Token::Word(column)) = self.tokens.next() else { return Err("a column is missing".into()) };
        let Some(index) = self.row.keys.iter().position(|(name, _)| *name == column) else {
            return Err(format!("{column} is no partition column"));
        };
        let not = self.keyword("NOT");
        if self.keyword("IN") {
            if !self.symbol("(") {
                return Err("a list is missing after IN".into());
            }
            let mut found = false;
            loop {
                found |= self.compare(index)? == Ordering::Equal;
                if !self.symbol(",") {
                    break;
                }
            }
            return if self.symbol(")") { Ok(found != not) } else { Err("a list does not close".into()) };
        }
        if self.keyword("BETWEEN") {
            let low = self.compare(index)?;
            if !self.keyword("AND") {
                return Err("AND is missing after BETWEEN".into());
            }
            return Ok((low != Ordering::Less && self.compare(index)? != Ordering::Greater) != not);
        }
        let Some(Token::Symbol(operator)) = self.tokens.next() else { return Err("an operator is missing".into()) };
        let order = self.compare(index)?;
        match operator.as_str() {
            "=" => Ok(order == Ordering::Equal),
            "<>" | "!=" => Ok(order != Ordering::Equal),
            "<" => Ok(order == Ordering::Less),
            "<=" => Ok(order != Ordering::Greater),
            ">" => Ok(order == Ordering::Greater),
            ">=" => Ok(order != Ordering::Less),
            other => Err(format!("no operator {other}")),
        }
    }

    /// How the column's value stands to the literal that comes next.
    fn compare(&mut self, index: usize) -> Result<Ordering, String> {
        let (name, kind) = &self.row.keys[index];
        let value = &self.row.values[index];
        let numeric = matches!(kind.split('(').next(), Some("tinyint" | "smallint" | "int" | "bigint" | "float" | "double" | "decimal"));
        match self.tokens.next() {
            Some(Token::Text(text)) if !numeric => Ok(value.as_str().cmp(&text)),
            Some(Token::Word(number)) if numeric => {
                let parse = |text: &str| text.parse::<f64>().map_err(|_| format!("{text} is no {kind}"));
                parse(value)?.partial_cmp(&parse(&number)?).ok_or_else(|| "a number is none".to_owned())
            }
            other => Err(format!("{name} is {kind}; it cannot be compared with {other:?}")),
        }
    }

    fn keyword(&mut self, word: &str) -> bool {
        self.tokens.next_if(|token| matches!(token, Token::Word(found) if found.eq_ignore_ascii_case(word))).is_some()
    }

    fn symbol(&mut self, symbol: &str) -> bool {
        self.tokens.next_if(|token| matches!(token, Token::Symbol(found) if found == symbol)).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comparisons_follow_the_type_of_the_column() {
        let keys = [("day".to_owned(), "string".to_owned()), ("year".to_owned(), "int".to_owned())];
        let values = ["it's".to_owned(), "900".to_owned()];
        let row = Row { keys: &keys, values: &values };
        for meant in
            ["year < 1000", "day = 'it''s' AND year = 900", "(year = 1 OR year IN (2, 900))", "NOT (year > 900)", "year BETWEEN 1 AND 900"]
        {
            assert_eq!(matches(meant, row), Ok(true), "{meant}");
        }
        assert_eq!(matches("day NOT IN ('it''s')", row), Ok(false));
        for wrong in ["year = '900'", "colour = 'red'", "day = 'a' day", "year ="] {
            assert!(matches(wrong, row).is_err(), "{wrong}");
        }
    }
}
