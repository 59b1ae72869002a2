//! The part of XPath that mappings need, parsed.
//!
//! Steps (`/`, `//`, `.`, `..`), names with or without a prefix, `*`, `@name`, `@*`, `text()`, unions (`|`), and predicates:
//! `[2]`, `[last()]`, `[name]`, `[@a='v']`, `[name!='v']`, `[contains(., 'v')]`, `[starts-with(@a, 'v')]`, with `and`, `or`,
//! `not()` and parentheses. No axes by name, no arithmetic, no variables: what is not here is an error, never a wrong answer.

use schemas::problem::Problem;

/// Code of a mistake in a path.
pub(crate) const CODE: &str = "PM212";

const HINT: &str = "write a path such as subject[@authority='lcsh']/topic, //dc:title or name[role='creator']/@id";

/// Conditions in each other deeper than this are refused: nobody writes them, and the parser calls itself.
const DEEPEST: usize = 32;

/// Paths whose results are wanted together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Paths(pub Vec<Path>);

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Path {
    /// From above the root element; otherwise from the root element itself, or from where a predicate stands.
    pub absolute: bool,
    pub steps: Vec<Step>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Step {
    /// After `//`: also from every descendant.
    pub deep: bool,
    pub test: Test,
    pub predicates: Vec<Predicate>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Test {
    Itself,
    Parent,
    AnyElement,
    Element(Name),
    AnyAttribute,
    Attribute(Name),
    Text,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Name {
    pub prefix: Option<String>,
    pub local: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Predicate {
    /// From 1.
    Position(usize),
    Last,
    Condition(Condition),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Condition {
    Exists(Path),
    Compare { path: Path, comparison: Comparison, text: String },
    Not(Box<Condition>),
    And(Vec<Condition>),
    Or(Vec<Condition>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal,
    NotEqual,
    Contains,
    StartsWith,
}

impl Paths {
    /// Parses a path.
    ///
    /// # Errors
    /// It is not well formed, or uses what is not supported; the message has the path and the character.
    pub(super) fn parse(text: &str) -> Result<Self, Problem> {
        let mut parser = Parser { text, at: 0, depth: 0 };
        let mut paths = Vec::new();
        loop {
            paths.push(parser.path()?);
            parser.space();
            if parser.rest().is_empty() {
                return Ok(Self(paths));
            }
            parser.expect("|")?;
        }
    }
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
}

impl<'a> Parser<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn space(&mut self) {
        self.at = self.text.len() - self.rest().trim_start().len();
    }

    /// Takes `token` if it is next.
    fn take(&mut self, token: &str) -> bool {
        self.space();
        let found = self.rest().starts_with(token);
        if found {
            self.at += token.len();
        }
        found
    }

    fn expect(&mut self, token: &str) -> Result<(), Problem> {
        if self.take(token) { Ok(()) } else { Err(self.mistake(&format!("expected {token}"))) }
    }

    fn mistake(&self, what: &str) -> Problem {
        let character = self.text[..self.at].chars().count() + 1;
        let found = match self.rest().chars().next() {
            Some(letter) => format!("'{letter}'"),
            None => "the end".to_owned(),
        };
        Problem::error(CODE, format!("xpath '{}', character {character}: {what}, found {found}", self.text)).hint(HINT)
    }

    fn path(&mut self) -> Result<Path, Problem> {
        let mut deep = self.take("//");
        let absolute = deep || self.take("/");
        let mut steps = Vec::new();
        loop {
            steps.push(self.step(deep)?);
            deep = self.take("//");
            if !deep && !self.take("/") {
                return Ok(Path { absolute, steps });
            }
        }
    }

    fn step(&mut self, deep: bool) -> Result<Step, Problem> {
        let test = if self.take("..") {
            Test::Parent
        } else if self.take(".") {
            Test::Itself
        } else if self.take("@") {
            if self.take("*") { Test::AnyAttribute } else { Test::Attribute(self.name("a name after @")?) }
        } else if self.take("*") {
            Test::AnyElement
        } else if self.take("text()") {
            Test::Text
        } else {
            let start = self.at;
            let name = self.name("a name, *, @, . or text()")?;
            if self.rest().starts_with("::") || self.rest().starts_with('(') {
                let what = format!("{} is not supported here", &self.text[start..self.at]);
                self.at = start;
                return Err(self.mistake(&what));
            }
            Test::Element(name)
        };
        let mut predicates = Vec::new();
        while self.take("[") {
            predicates.push(self.predicate()?);
            self.expect("]")?;
        }
        Ok(Step { deep, test, predicates })
    }

    fn name(&mut self, wanted: &str) -> Result<Name, Problem> {
        self.space();
        let first = self.word();
        if first.is_empty() {
            return Err(self.mistake(&format!("expected {wanted}")));
        }
        if self.rest().starts_with(':') && !self.rest().starts_with("::") {
            self.at += 1;
            let local = self.word();
            if local.is_empty() {
                return Err(self.mistake("expected a name after the prefix"));
            }
            return Ok(Name { prefix: Some(first.to_owned()), local: local.to_owned() });
        }
        Ok(Name { prefix: None, local: first.to_owned() })
    }

    fn word(&mut self) -> &'a str {
        let rest = self.rest();
        let inside = |letter: char| letter.is_alphanumeric() || matches!(letter, '_' | '-' | '.');
        let starts = rest.starts_with(|letter: char| letter.is_alphabetic() || letter == '_');
        let end = if starts { rest.find(|letter| !inside(letter)).unwrap_or(rest.len()) } else { 0 };
        self.at += end;
        &rest[..end]
    }

    fn predicate(&mut self) -> Result<Predicate, Problem> {
        self.space();
        let digits = self.rest().bytes().take_while(u8::is_ascii_digit).count();
        if digits > 0 {
            let number = self.rest()[..digits].parse().ok().filter(|number| *number > 0);
            let number = number.ok_or_else(|| self.mistake("expected a position from 1"))?;
            self.at += digits;
            return Ok(Predicate::Position(number));
        }
        if self.take("last()") {
            return Ok(Predicate::Last);
        }
        self.any().map(Predicate::Condition)
    }

    /// Conditions joined with `or`.
    fn any(&mut self) -> Result<Condition, Problem> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(self.mistake("conditions in each other too deep"));
        }
        let mut conditions = vec![self.all()?];
        while self.keyword("or") {
            conditions.push(self.all()?);
        }
        self.depth -= 1;
        Ok(if conditions.len() == 1 { conditions.remove(0) } else { Condition::Or(conditions) })
    }

    /// Conditions joined with `and`.
    fn all(&mut self) -> Result<Condition, Problem> {
        let mut conditions = vec![self.condition()?];
        while self.keyword("and") {
            conditions.push(self.condition()?);
        }
        Ok(if conditions.len() == 1 { conditions.remove(0) } else { Condition::And(conditions) })
    }

    fn keyword(&mut self, word: &str) -> bool {
        self.space();
        let start = self.at;
        let found = self.word() == word;
        if !found {
            self.at = start;
        }
        found
    }

    /// Takes `name(`, which may have white space inside.
    fn call(&mut self, name: &str) -> bool {
        let start = self.at;
        let found = self.keyword(name) && self.take("(");
        if !found {
            self.at = start;
        }
        found
    }

    fn condition(&mut self) -> Result<Condition, Problem> {
        if self.call("not") {
            let inner = self.any()?;
            self.expect(")")?;
            return Ok(Condition::Not(Box::new(inner)));
        }
        for (name, comparison) in [("contains", Comparison::Contains), ("starts-with", Comparison::StartsWith)] {
            if self.call(name) {
                let path = self.path()?;
                self.expect(",")?;
                let text = self.literal()?;
                self.expect(")")?;
                return Ok(Condition::Compare { path, comparison, text });
            }
        }
        if self.take("(") {
            let inner = self.any()?;
            self.expect(")")?;
            return Ok(inner);
        }
        let path = self.path()?;
        let comparison = if self.take("!=") {
            Comparison::NotEqual
        } else if self.take("=") {
            Comparison::Equal
        } else {
            return Ok(Condition::Exists(path));
        };
        Ok(Condition::Compare { path, comparison, text: self.literal()? })
    }

    fn literal(&mut self) -> Result<String, Problem> {
        self.space();
        let Some(quote) = self.rest().chars().next().filter(|letter| matches!(letter, '\'' | '"')) else {
            return Err(self.mistake("expected a text in quotes"));
        };
        let inside = &self.rest()[1..];
        let Some(end) = inside.find(quote) else { return Err(self.mistake("this quote is not closed")) };
        self.at += end + 2;
        Ok(inside[..end].to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistake_is_told_with_the_path_and_the_place() {
        for (text, expected) in [
            ("", "character 1: expected a name, *, @, . or text(), found the end"),
            ("a//", "character 4: expected a name, *, @, . or text(), found the end"),
            ("a[@b='c", "character 6: this quote is not closed, found '''"),
            ("a[@b=c]", "character 6: expected a text in quotes, found 'c'"),
            ("a[1", "character 4: expected ], found the end"),
            ("a[0]", "character 3: expected a position from 1, found '0'"),
            ("é/b c", "character 5: expected |, found 'c'"),
            ("child::a", "character 1: child is not supported here, found 'c'"),
            ("a[count(b)]", "character 3: count is not supported here, found 'c'"),
            ("dc:", "character 4: expected a name after the prefix, found the end"),
            ("@", "character 2: expected a name after @, found the end"),
        ] {
            let problem = Paths::parse(text).unwrap_err();
            assert_eq!(problem.code, "PM212");
            assert_eq!(problem.message, format!("xpath '{text}', {expected}"));
        }
        assert!(Paths::parse(&format!("a[{}b", "(".repeat(100_000))).unwrap_err().message.contains("too deep"));
    }

    #[test]
    fn white_space_between_tokens_means_nothing() {
        let tight = Paths::parse("a[@b='c'and contains(d,'e')]|//f").unwrap();
        let loose = Paths::parse(" a [ @b = \"c\" and contains ( d , 'e' ) ] | //f ").unwrap();
        assert_eq!(tight, loose);
        assert_eq!(tight.0.len(), 2);
    }

    #[test]
    fn words_of_the_language_may_be_names() {
        let paths = Paths::parse("or[and or not]/contains").unwrap();
        assert!(matches!(&paths.0[0].steps[0].predicates[..], [Predicate::Condition(Condition::Or(either))] if either.len() == 2));
    }
}
