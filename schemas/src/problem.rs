//! One mistake, as the user sees it: what happened, where, and what to do.
//!
//! Everything that can be wrong with a project's files or SQL becomes a [`Problem`]; callers collect them in
//! [`Problems`] so that all are reported at once. Rendering is `annotate-snippets`, the printer of rustc's own errors.

use std::borrow::Cow;
use std::fmt::{self, Write};
use std::ops::Range;
use std::sync::Arc;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

/// The text with its control characters, but for line ends and tabs, written as in JSON: `\u001b`. What comes from a page
/// may be anything, and must not reach a terminal as a command to it.
pub fn printable(text: &str) -> Cow<'_, str> {
    let harmful = |c: char| c.is_control() && !matches!(c, '\n' | '\t');
    if !text.contains(harmful) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if harmful(c) {
            let _ = write!(safe, "\\u{:04x}", u32::from(c));
        } else {
            safe.push(c);
        }
    }
    Cow::Owned(safe)
}

/// How bad it is: errors stop a run, warnings do not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Nothing runs until this is mended.
    Error,
    /// It runs, but probably not as meant.
    Warning,
}

/// A text file that was read, kept so that a message can show the line it is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Path as the user would type it, relative to the project.
    pub path: String,
    /// The whole text.
    pub text: String,
}

/// A place in a [`Source`]: a byte range of its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file.
    pub source: Arc<Source>,
    /// Bytes of `source.text`.
    pub span: Range<usize>,
}

impl Place {
    /// Line and column, both from 1; the column counts characters.
    pub fn line_column(&self) -> (usize, usize) {
        let end = floor_char(&self.source.text, self.span.start);
        let before = &self.source.text[..end];
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
        (line, column)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (line, column) = self.line_column();
        write!(f, "{}:{line}:{column}", self.source.path)
    }
}

/// What happened, where, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Error or warning.
    pub severity: Severity,
    /// Stable code, such as `PM201`; `pacha explain` and searches use it.
    pub code: &'static str,
    /// What happened: lower case, no full stop.
    pub message: String,
    /// Where in a file, if in one.
    pub place: Option<Place>,
    /// What to do: one imperative sentence, with a command where there is one.
    pub hint: Option<String>,
}

impl Problem {
    /// An error without a place.
    pub fn error(code: &'static str, message: impl Into<String>) -> Self {
        Self { severity: Severity::Error, code, message: message.into(), place: None, hint: None }
    }

    /// A warning without a place.
    pub fn warning(code: &'static str, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(code, message) }
    }

    /// Says where, unless a more precise place is known already.
    #[must_use]
    pub fn at(mut self, source: &Arc<Source>, span: Range<usize>) -> Self {
        self.place.get_or_insert_with(|| Place { source: Arc::clone(source), span });
        self
    }

    /// Says what to do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The message with line and caret, for a terminal (`color`) or a file.
    pub fn render(&self, color: bool) -> String {
        let level = match self.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let (message, hint) = (printable(&self.message), self.hint.as_deref().map(printable));
        let title = level.primary_title(message).id(self.code);
        let mut group = match &self.place {
            Some(place) => {
                let (text, span) = (&place.source.text, clamp(&place.source.text, &place.span));
                let snippet = Snippet::source(text.as_str()).path(place.source.path.as_str());
                Group::with_title(title).element(snippet.annotation(AnnotationKind::Primary.span(span)))
            }
            None => Group::with_title(title),
        };
        if let Some(hint) = hint {
            group = group.element(Level::HELP.with_name("hint").message(hint));
        }
        let renderer = if color { Renderer::styled() } else { Renderer::plain() };
        renderer.render(&[group])
    }
}

/// One line: `PM201 mappings/x.sql:7:14: no column "titel" in oai_dc; hint: did you mean title?`
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.code)?;
        if let Some(place) = &self.place {
            write!(f, "{place}: ")?;
        }
        f.write_str(&self.message)?;
        match &self.hint {
            Some(hint) => write!(f, "; hint: {hint}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Problem {}

/// Every mistake found in one pass.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

impl Problems {
    /// Adds one.
    pub fn push(&mut self, problem: Problem) {
        self.0.push(problem);
    }

    /// Adds all of another pass.
    pub fn extend(&mut self, other: impl IntoIterator<Item = Problem>) {
        self.0.extend(other);
    }

    /// Whether one of them stops a run.
    pub fn fatal(&self) -> bool {
        self.0.iter().any(|problem| problem.severity == Severity::Error)
    }
}

impl IntoIterator for Problems {
    type Item = Problem;
    type IntoIter = std::vec::IntoIter<Problem>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

fn floor_char(text: &str, index: usize) -> usize {
    text.floor_char_boundary(index.min(text.len()))
}

/// A non-empty range on character boundaries, so that there is always a caret to draw.
fn clamp(text: &str, span: &Range<usize>) -> Range<usize> {
    let start = floor_char(text, span.start);
    let end = floor_char(text, span.end.max(start));
    start..end.max(start)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_shows_its_line_a_caret_and_a_hint() {
        let source = Arc::new(Source { path: "mappings/a.sql".into(), text: "FROM oai_dc\nSELECT titel".into() });
        let problem = Problem::error("PM201", "no column \"titel\" in oai_dc").at(&source, 19..24).hint("did you mean title?");
        assert_eq!(problem.to_string(), "PM201 mappings/a.sql:2:8: no column \"titel\" in oai_dc; hint: did you mean title?");
        let shown = problem.render(false);
        assert!(shown.contains("--> mappings/a.sql:2:8"), "{shown}");
        assert!(shown.contains("^^^^^"), "{shown}");
        assert!(shown.contains("hint: did you mean title?"), "{shown}");
    }

    #[test]
    fn a_place_inside_a_character_does_not_panic() {
        let source = Arc::new(Source { path: "x".into(), text: "é".into() });
        assert!(Problem::error("PX000", "x").at(&source, 1..9).render(false).contains("x:1:1"));
    }
}
