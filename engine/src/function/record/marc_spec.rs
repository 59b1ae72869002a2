//! Which values of a MARC record are meant: `245!c 600-630!2 5xxa +880`.
//!
//! Parts are separated by white space. A part is a tag (`245`), a block (`5xx`), a range (`600-630`) or `LDR`, followed by
//! the subfields that are meant (`ab`) or are not (`!c`); without, all but `$6` are. `+880` adds the values of linked fields.

use std::ops::RangeInclusive;

use schemas::problem::Problem;

/// Code of a mistake in a spec.
pub(crate) const CODE: &str = "PM211";

const HINT: &str = "write parts such as 245ab, 245!c, 600-630!2, 5xxa, 001 or +880, separated by spaces";

/// A parsed spec.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Spec {
    /// In the order in which their values are wanted.
    pub parts: Vec<Part>,
    /// Whether the 880 fields that are linked to a field follow it.
    pub linked: bool,
    /// Tags that no part means.
    pub skip: Vec<RangeInclusive<u16>>,
}

/// One part of a spec.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Part {
    Leader,
    Fields { tags: RangeInclusive<u16>, subfields: Subfields },
}

/// Subfields by their codes, 0–9 and a–z, one bit each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Subfields {
    Only(u64),
    AllBut(u64),
}

impl Subfields {
    pub(super) fn contains(self, code: u8) -> bool {
        match (self, bit(code)) {
            (Self::Only(codes), Some(bit)) => codes & bit != 0,
            (Self::AllBut(codes), Some(bit)) => codes & bit == 0,
            (Self::Only(_), None) => false,
            (Self::AllBut(_), None) => true,
        }
    }
}

fn bit(code: u8) -> Option<u64> {
    match code {
        b'0'..=b'9' => Some(1 << (code - b'0')),
        b'a'..=b'z' => Some(1 << (code - b'a' + 10)),
        _ => None,
    }
}

/// `$6`, which links a field with its 880, is no value.
const LINK: u64 = 1 << 6;

impl Spec {
    /// Parses a spec and the tags to skip.
    ///
    /// # Errors
    /// Either is not well formed; the message has the text and the character where it goes wrong.
    pub(super) fn parse(text: &str, skip: Option<&str>) -> Result<Self, Problem> {
        let mut spec = Self { parts: Vec::new(), linked: false, skip: Vec::new() };
        for (at, part) in words(text) {
            match part.strip_prefix('+') {
                Some("880") => spec.linked = true,
                Some(_) => return Err(mistake(text, at, "only 880 has linked fields, write +880")),
                None if part.eq_ignore_ascii_case("LDR") => spec.parts.push(Part::Leader),
                None => spec.parts.push(fields(text, at, part)?),
            }
        }
        if spec.parts.is_empty() {
            return Err(mistake(text, text.len(), "there is no tag"));
        }
        for (at, part) in skip.into_iter().flat_map(words) {
            let whole = skip.unwrap_or_default();
            let (tags, rest) = tags(whole, at, part)?;
            if !rest.is_empty() {
                return Err(mistake(whole, at + part.len() - rest.len(), "fields are skipped whole, leave the subfields out"));
            }
            spec.skip.push(tags);
        }
        Ok(spec)
    }

    pub(super) fn skips(&self, tag: u16) -> bool {
        self.skip.iter().any(|tags| tags.contains(&tag))
    }
}

/// Words with the byte at which they begin.
fn words(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.split_whitespace().map(move |word| (word.as_ptr() as usize - text.as_ptr() as usize, word))
}

fn fields(text: &str, at: usize, part: &str) -> Result<Part, Problem> {
    let (tags, rest) = tags(text, at, part)?;
    let at = at + part.len() - rest.len();
    let (all_but, codes) = rest.strip_prefix('!').map_or((false, rest), |codes| (true, codes));
    if all_but && codes.is_empty() {
        return Err(mistake(text, at + 1, "no subfield after !"));
    }
    let mut set = 0;
    for (index, code) in codes.char_indices() {
        let found = u8::try_from(code).ok().and_then(bit);
        set |= found.ok_or_else(|| mistake(text, at + rest.len() - codes.len() + index, &format!("'{code}' is no code of a subfield")))?;
    }
    if !rest.is_empty() && *tags.end() < 10 {
        return Err(mistake(text, at, "fields below 010 have no subfields"));
    }
    let subfields = if rest.is_empty() || all_but { Subfields::AllBut(set | LINK) } else { Subfields::Only(set) };
    Ok(Part::Fields { tags, subfields })
}

/// The tags at the start of a part, and what follows them.
fn tags<'a>(text: &str, at: usize, part: &'a str) -> Result<(RangeInclusive<u16>, &'a str), Problem> {
    let (first, rest) = block(text, at, part)?;
    let Some(last) = rest.strip_prefix('-') else { return Ok((first, rest)) };
    let last_at = at + part.len() - last.len();
    let (last, rest) = block(text, last_at, last)?;
    if last.end() < first.start() {
        return Err(mistake(text, last_at, "the range ends before it begins"));
    }
    Ok((*first.start()..=*last.end(), rest))
}

/// `245`, `24x`, `2xx`.
fn block<'a>(text: &str, at: usize, part: &'a str) -> Result<(RangeInclusive<u16>, &'a str), Problem> {
    let (mut first, mut last, mut open) = (0, 0, false);
    for index in 0..3 {
        let (low, high) = match part.as_bytes().get(index) {
            Some(digit @ b'0'..=b'9') if !open => (u16::from(digit - b'0'), u16::from(digit - b'0')),
            Some(b'x' | b'X') if index > 0 => {
                open = true;
                (0, 9)
            }
            Some(b'0'..=b'9') => return Err(mistake(text, at + index, "a digit after x")),
            _ => return Err(mistake(text, at + index, "a tag has three digits, or x for any of the last")),
        };
        (first, last) = (first * 10 + low, last * 10 + high);
    }
    Ok((first..=last, &part[3..]))
}

fn mistake(text: &str, at: usize, what: &str) -> Problem {
    let character = text.get(..at).map_or(at, |before| before.chars().count()) + 1;
    Problem::error(CODE, format!("marc spec '{text}', character {character}: {what}")).hint(HINT)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn only(codes: &str) -> Subfields {
        Subfields::Only(codes.bytes().filter_map(bit).sum())
    }

    fn all_but(codes: &str) -> Subfields {
        Subfields::AllBut(codes.bytes().filter_map(bit).sum::<u64>() | LINK)
    }

    #[test]
    fn every_form_of_a_part_is_understood() {
        let spec = Spec::parse("245ab 245!c\n600-630!2 5xxa 50x 001 880a6 LDR +880", Some("538 54x")).unwrap();
        let part = |tags, subfields| Part::Fields { tags, subfields };
        let expected = [
            part(245..=245, only("ab")),
            part(245..=245, all_but("c")),
            part(600..=630, all_but("2")),
            part(500..=599, only("a")),
            part(500..=509, all_but("")),
            part(1..=1, all_but("")),
            part(880..=880, only("a6")),
            Part::Leader,
        ];
        assert_eq!(spec.parts, expected);
        assert!(spec.linked);
        assert!(spec.skips(538) && spec.skips(549) && !spec.skips(550));
    }

    #[test]
    fn the_link_is_no_value_unless_it_is_named() {
        assert!(!all_but("").contains(b'6') && !all_but("c").contains(b'6') && only("6").contains(b'6'));
        assert!(all_but("c").contains(b'%') && !only("c").contains(b'%'));
    }

    #[test]
    fn a_mistake_is_told_with_the_spec_and_the_place() {
        for (text, expected) in [
            ("245ab 24", "PM211 marc spec '245ab 24', character 9: a tag has three digits, or x for any of the last"),
            ("245!", "PM211 marc spec '245!', character 5: no subfield after !"),
            ("245!é", "PM211 marc spec '245!é', character 5: 'é' is no code of a subfield"),
            ("245aB", "PM211 marc spec '245aB', character 5: 'B' is no code of a subfield"),
            ("630-600", "PM211 marc spec '630-600', character 5: the range ends before it begins"),
            ("5x0", "PM211 marc spec '5x0', character 3: a digit after x"),
            ("001a", "PM211 marc spec '001a', character 4: fields below 010 have no subfields"),
            ("245 +246", "PM211 marc spec '245 +246', character 5: only 880 has linked fields, write +880"),
            ("  ", "PM211 marc spec '  ', character 3: there is no tag"),
            ("+880", "PM211 marc spec '+880', character 5: there is no tag"),
            ("é45", "PM211 marc spec 'é45', character 1: a tag has three digits, or x for any of the last"),
        ] {
            let problem = Spec::parse(text, None).unwrap_err();
            assert_eq!(format!("{} {}", problem.code, problem.message), expected);
        }
        let problem = Spec::parse("500-599a", Some("538a")).unwrap_err();
        assert_eq!(problem.message, "marc spec '538a', character 4: fields are skipped whole, leave the subfields out");
    }
}
