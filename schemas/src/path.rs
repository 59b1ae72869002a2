//! The paths of an XML source schema: a small, streamable part of XPath.
//!
//! A path names elements downwards only, so that one pass over a page can follow all paths of a schema at once. There
//! is deliberately no `//`, no parent axis and no position: what needs those belongs in the mapping (`xpath(xml, …)`).
//! `docs/source-schemas.md` is the grammar for users.

/// A parsed path.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Path {
    /// Conditions on the element the path starts from: `.[@status='deleted']`.
    pub own: Vec<Predicate>,
    /// Elements downwards; none for the starting element itself.
    pub steps: Vec<Step>,
    /// What is taken from the last element.
    pub value: PathValue,
}

/// One element of a path.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Step {
    /// Prefix as declared in `[namespaces]`; without one, any namespace.
    pub prefix: Option<String>,
    /// Local name; none for `*`.
    pub name: Option<String>,
    /// All must hold.
    pub predicates: Vec<Predicate>,
}

/// A condition on an attribute of an element.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Predicate {
    /// The attribute.
    pub attribute: AttributeName,
    /// What must hold of it.
    pub test: Test,
}

/// Name of an attribute; without a prefix it may be in any namespace.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AttributeName {
    /// Prefix as declared in `[namespaces]`.
    pub prefix: Option<String>,
    /// Local name.
    pub name: String,
}

/// What must hold of an attribute.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Test {
    /// `[@q]`
    Present,
    /// `[!@q]`
    Absent,
    /// `[@q='x']`
    Equals(String),
    /// `[@q!='x']`; an absent attribute differs too.
    Differs(String),
}

/// What a path takes from the element it ends at.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub enum PathValue {
    /// The text of the element and of everything in it.
    #[default]
    Text,
    /// An attribute.
    Attribute(AttributeName),
    /// The local name of the element.
    Name,
}

impl Path {
    /// Parses a path as written in a source schema.
    ///
    /// # Errors
    /// What is wrong with it, in a few words.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut rest = Cursor { text: text.strip_prefix('/').unwrap_or(text), path: text };
        let mut path = Self::default();
        loop {
            if rest.text.starts_with('/') {
                return Err("// is not known; write every step, with * for an element of any name".into());
            }
            let last = path.step(&mut rest)?;
            if rest.text.is_empty() {
                return Ok(path);
            }
            if last || !rest.eat('/') {
                return Err(format!("unexpected \"{}\"", rest.text));
            }
        }
    }

    /// Reads one step; true if nothing may follow it.
    fn step(&mut self, rest: &mut Cursor<'_>) -> Result<bool, String> {
        if rest.eat('@') {
            self.value = PathValue::Attribute(rest.attribute()?);
            return Ok(true);
        }
        if let Some(after) = rest.text.strip_prefix("name()") {
            rest.text = after;
            self.value = PathValue::Name;
            return Ok(true);
        }
        if rest.eat('.') {
            let predicates = rest.predicates()?;
            self.steps.last_mut().map_or(&mut self.own, |step| &mut step.predicates).extend(predicates);
            return Ok(false);
        }
        let first = rest.name_or_star()?;
        let (prefix, name) = if rest.eat(':') { (first, rest.name_or_star()?) } else { (None, first) };
        self.steps.push(Step { prefix, name, predicates: rest.predicates()? });
        Ok(false)
    }

    /// Every prefix the path uses.
    pub fn prefixes(&self) -> impl Iterator<Item = &str> {
        let predicates = self.own.iter().chain(self.steps.iter().flat_map(|step| &step.predicates));
        let attribute = match &self.value {
            PathValue::Attribute(attribute) => Some(attribute),
            PathValue::Text | PathValue::Name => None,
        };
        let steps = self.steps.iter().filter_map(|step| step.prefix.as_deref());
        steps.chain(predicates.map(|predicate| &predicate.attribute).chain(attribute).filter_map(|name| name.prefix.as_deref()))
    }
}

struct Cursor<'a> {
    text: &'a str,
    path: &'a str,
}

impl Cursor<'_> {
    fn eat(&mut self, wanted: char) -> bool {
        match self.text.strip_prefix(wanted) {
            Some(after) => {
                self.text = after;
                true
            }
            None => false,
        }
    }

    fn name(&mut self) -> Result<String, String> {
        let end = self.text.find(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '-' | '.'))).unwrap_or(self.text.len());
        if end == 0 {
            return Err(match self.text.chars().next() {
                Some(found) => format!("a name is missing before \"{found}\""),
                None if self.path.is_empty() => "the path is empty; write . for the element itself".into(),
                None => "a name is missing at the end".into(),
            });
        }
        let (name, after) = self.text.split_at(end);
        self.text = after;
        Ok(name.to_owned())
    }

    fn name_or_star(&mut self) -> Result<Option<String>, String> {
        if self.eat('*') { Ok(None) } else { self.name().map(Some) }
    }

    fn attribute(&mut self) -> Result<AttributeName, String> {
        let first = self.name()?;
        if self.eat(':') {
            Ok(AttributeName { prefix: Some(first), name: self.name()? })
        } else {
            Ok(AttributeName { prefix: None, name: first })
        }
    }

    fn predicates(&mut self) -> Result<Vec<Predicate>, String> {
        let mut predicates = Vec::new();
        while self.eat('[') {
            let absent = self.eat('!');
            if !self.eat('@') {
                return Err("a predicate is [@name], [!@name], [@name='value'] or [@name!='value']".into());
            }
            let attribute = self.attribute()?;
            let test = match (absent, self.eat('!'), self.eat('=')) {
                (true, false, false) => Test::Absent,
                (false, false, false) => Test::Present,
                (false, true, true) => Test::Differs(self.quoted()?),
                (false, false, true) => Test::Equals(self.quoted()?),
                _ => return Err("a predicate is [@name], [!@name], [@name='value'] or [@name!='value']".into()),
            };
            if !self.eat(']') {
                return Err("] is missing".into());
            }
            predicates.push(Predicate { attribute, test });
        }
        Ok(predicates)
    }

    fn quoted(&mut self) -> Result<String, String> {
        let quote = self.text.chars().next().filter(|c| matches!(c, '\'' | '"')).ok_or("the value of a predicate stands in quotes")?;
        let inner = &self.text[1..];
        let (value, after) = inner.split_once(quote).ok_or("the closing quote is missing")?;
        self.text = after;
        Ok(value.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_steps_with_prefixes_and_predicates() {
        let path = Path::parse("mods:titleInfo[!@type]/mods:*[@q='a/b'][@xlink:href]/@lang").unwrap();
        assert_eq!(path.steps.len(), 2);
        assert_eq!(path.steps[0].predicates[0].test, Test::Absent);
        assert_eq!(path.steps[1].name, None);
        assert_eq!(path.steps[1].predicates[0].test, Test::Equals("a/b".into()));
        assert_eq!(path.value, PathValue::Attribute(AttributeName { prefix: None, name: "lang".into() }));
        assert_eq!(path.prefixes().collect::<Vec<_>>(), ["mods", "mods", "xlink"]);
    }

    #[test]
    fn a_dot_is_the_element_itself_and_may_have_conditions() {
        assert_eq!(Path::parse(".").unwrap(), Path::default());
        assert_eq!(Path::parse(".[@status!='deleted']").unwrap().own.len(), 1);
        assert_eq!(Path::parse("header/.[@status]").unwrap(), Path::parse("header[@status]").unwrap());
        assert_eq!(Path::parse("name()").unwrap().value, PathValue::Name);
    }

    #[test]
    fn a_wrong_path_says_what_is_wrong() {
        let wrong = |path: &str| Path::parse(path).unwrap_err();
        assert_eq!(wrong("export//object"), "// is not known; write every step, with * for an element of any name");
        assert_eq!(wrong("a/"), "a name is missing at the end");
        assert_eq!(wrong(""), "the path is empty; write . for the element itself");
        assert_eq!(wrong("a[1]"), "a predicate is [@name], [!@name], [@name='value'] or [@name!='value']");
        assert_eq!(wrong("a[@b='c"), "the closing quote is missing");
        assert_eq!(wrong("@a/b"), "unexpected \"/b\"");
    }
}
