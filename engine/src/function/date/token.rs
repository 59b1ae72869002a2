//! A date's text as tokens: numbers by their number of digits, known words, separators.
//!
//! What only says how sure the date is (`ca.`, `[ ]`, `?`, `~`, "probably") becomes a flag and no token, so the grammar in
//! [`super::reading`] needs to know nothing of it. A text with a word that stands in no date gives no tokens at all.

use super::word::{Word, is_ordinal_suffix, meaning, roman};

/// A longer text is no date.
const LONGEST: usize = 120;

/// One part of a date.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Token {
    /// Four digits.
    Year(i32),
    /// One or two digits, and how many.
    Small(u8, u8),
    /// Three digits: a year only beside AD or BC.
    Three(i32),
    /// Eight digits.
    Compact(u32),
    /// `1920s`, `192-`, `192?`: its first year.
    Decade(i32),
    /// `30s`, after another decade or year.
    ShortDecade(u8),
    /// `19--`, `19uu`: its first year.
    Hundred(i32),
    Month(u8),
    Season(u8),
    Roman(u8),
    Century,
    BeforeChrist,
    AfterChrist,
    Before,
    After,
    Between,
    And,
    Or,
    To,
    Until,
    Open,
    Dash,
    Slash,
    Dot,
    Comma,
}

impl Token {
    pub(super) fn is_separator(self) -> bool {
        matches!(self, Self::Dash | Self::Slash | Self::To | Self::Until | Self::And | Self::Or)
    }

    pub(super) fn is_mark(self) -> bool {
        matches!(self, Self::Dash | Self::Slash | Self::Dot | Self::Comma)
    }

    fn is_number(self) -> bool {
        matches!(self, Self::Year(_) | Self::Small(..) | Self::Three(_) | Self::Compact(_))
    }
}

/// The tokens of a text and what its qualifiers say.
#[derive(Debug, Default)]
pub(super) struct Tokens {
    pub list: Vec<Token>,
    pub circa: bool,
    pub uncertain: bool,
}

/// Splits `text` into tokens; `None` where it is no date.
pub(super) fn tokenize(text: &str) -> Option<Tokens> {
    if text.len() > LONGEST {
        return None;
    }
    let mut tokens = Tokens::default();
    // Letters that follow a number directly may belong to it.
    let mut number_ends = usize::MAX;
    let mut ordinal = false;
    // A dash after "mid" or "pre" belongs to the word.
    let mut joins = false;
    let mut at = 0;
    while let Some(letter) = text[at..].chars().next() {
        let rest = &text[at..];
        if letter.is_ascii_digit() {
            let (token, length) = number(rest)?;
            tokens.list.push(token);
            at += length;
            (number_ends, ordinal, joins) = (at, false, false);
        } else if letter.is_alphabetic() {
            let (word, length) = word(rest);
            let follows = at == number_ends;
            if meaning(word) == Some(Word::Bulk) && !tokens.list.is_empty() {
                // The whole span stands before it.
                break;
            }
            at += length;
            if follows && is_ordinal_suffix(word) {
                ordinal = true;
                continue;
            }
            joins = tokens.word(word, ordinal)?;
            ordinal = false;
        } else {
            if !(joins && is_dash(letter)) {
                tokens.mark(letter, &text[at + letter.len_utf8()..], at == number_ends)?;
            }
            joins &= letter.is_whitespace();
            at += letter.len_utf8();
        }
    }
    Some(tokens)
}

impl Tokens {
    /// Adds a word; true where a dash behind it belongs to it.
    fn word(&mut self, word: &str, ordinal: bool) -> Option<bool> {
        let plain: String;
        let spelt = if word.contains('.') {
            plain = word.replace('.', "");
            plain.as_str()
        } else {
            word
        };
        let Some(known) = meaning(spelt) else {
            self.list.push(Token::Roman(roman(word)?));
            return Some(false);
        };
        self.list.push(match known {
            // "19th c." is a century, "c. 1900" is not.
            Word::Circa if ordinal && word.eq_ignore_ascii_case("c") => Token::Century,
            Word::Circa => {
                self.circa = true;
                return Some(true);
            }
            Word::Uncertain => {
                self.uncertain = true;
                return Some(true);
            }
            Word::Filler => return Some(false),
            Word::Deed if self.list.is_empty() => return Some(false),
            Word::Deed => return None,
            Word::Undated | Word::Bulk => {
                self.list.pop_if(|last| matches!(last, Token::And | Token::Comma | Token::Dash));
                return Some(false);
            }
            Word::Month(month) => Token::Month(month),
            Word::Season(season) => Token::Season(season),
            Word::Century => Token::Century,
            Word::BeforeChrist => Token::BeforeChrist,
            Word::AfterChrist => Token::AfterChrist,
            Word::Before => Token::Before,
            Word::After => Token::After,
            Word::Between => Token::Between,
            Word::And => Token::And,
            Word::Or => Token::Or,
            Word::To => Token::To,
            Word::Until => Token::Until,
            Word::Open => Token::Open,
        });
        Some(matches!(known, Word::Before | Word::After))
    }

    /// Adds a character that is neither letter nor digit; `after_number` where it stands right behind one.
    fn mark(&mut self, mark: char, rest: &str, after_number: bool) -> Option<()> {
        let last = self.list.last().copied();
        let next_digits = || {
            let rest = rest.trim_start();
            rest.len() - rest.trim_start_matches(|letter: char| letter.is_ascii_digit()).len()
        };
        match mark {
            '[' | ']' | '(' | ')' | '<' | '>' | '{' | '}' | '"' | '\'' | '‘' | '’' | '“' | '”' | '©' | '℗' => {}
            '?' => self.uncertain = true,
            '~' | '≈' => self.circa = true,
            '&' => self.list.push(Token::And),
            '/' => self.list.push(Token::Slash),
            _ if is_dash(mark) => {
                if last != Some(Token::Dash) {
                    self.list.push(Token::Dash);
                }
            }
            // A full stop or comma counts between numbers only; elsewhere it ends an abbreviation or is taste.
            '.' if after_number && last.is_some_and(Token::is_number) && next_digits() > 0 => self.list.push(Token::Dot),
            ',' if matches!(last, Some(Token::Year(_))) && next_digits() == 4 => self.list.push(Token::Comma),
            '.' | ',' => {}
            _ if mark.is_whitespace() => {}
            _ => return None,
        }
        Some(())
    }
}

/// The number that `text` begins with, with what belongs to it, and its length in bytes.
fn number(text: &str) -> Option<(Token, usize)> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let rest = &text[digits..];
    let value: u32 = text[..digits].parse().ok()?;
    let year = i32::try_from(value).ok()?;
    let small = u8::try_from(value).unwrap_or(u8::MAX);
    match digits {
        4 => match plural(rest) {
            Some(length) => (year % 10 == 0).then_some((Token::Decade(year), digits + length)),
            None => (year > 0).then_some((Token::Year(year), digits)),
        },
        3 => Some(match open_digits(rest, 1) {
            Some(length) => (Token::Decade(year * 10), digits + length),
            None => (Token::Three(year), digits),
        }),
        2 => Some(match (open_digits(rest, 2), plural(rest)) {
            (Some(length), _) => (Token::Hundred(year * 100), digits + length),
            (None, Some(length)) if value.is_multiple_of(10) => (Token::ShortDecade(small), digits + length),
            _ => (Token::Small(small, 2), digits),
        }),
        1 => Some((Token::Small(small, 1), digits)),
        8 => Some((Token::Compact(value), digits)),
        _ => None,
    }
}

/// Length of the `s` of `1920s`.
fn plural(rest: &str) -> Option<usize> {
    let length = ["s", "'s", "’s", "S"].iter().find(|ending| rest.starts_with(**ending))?.len();
    (!rest[length..].starts_with(char::is_alphabetic)).then_some(length)
}

/// Length of `count` places for digits that are not known: `195-`, `19??`, `19uu`.
fn open_digits(rest: &str, count: usize) -> Option<usize> {
    let place = rest.chars().next().filter(|letter| matches!(letter, '?' | 'u' | 'U' | 'x' | 'X' | '_') || is_dash(*letter))?;
    let length = place.len_utf8() * count;
    let alike = rest.chars().take(count).filter(|letter| *letter == place).count() == count;
    (alike && !rest[length..].starts_with(char::is_alphanumeric)).then_some(length)
}

/// The word that `text` begins with and its length; stops between single letters (`B.C.`) belong to it.
fn word(text: &str) -> (&str, usize) {
    let (mut end, mut part) = (0, 0);
    for (index, letter) in text.char_indices() {
        if letter.is_alphabetic() {
            end = index + letter.len_utf8();
        } else if letter == '.' && text[part..index].chars().count() == 1 && text[index + 1..].starts_with(char::is_alphabetic) {
            part = index + 1;
        } else {
            break;
        }
    }
    (&text[..end], end)
}

fn is_dash(mark: char) -> bool {
    matches!(mark, '-' | '\u{2010}'..='\u{2015}' | '\u{2212}')
}

#[cfg(test)]
mod tests {
    use super::Token::{BeforeChrist, Century, Comma, Dash, Decade, Dot, Hundred, Month, Roman, Small, Year};
    use super::*;

    fn list(text: &str) -> Vec<Token> {
        tokenize(text).unwrap().list
    }

    #[test]
    fn qualifiers_are_flags_and_no_tokens() {
        let tokens = tokenize("[ca. 1913?]").unwrap();
        assert_eq!(tokens.list, [Year(1913)]);
        assert!(tokens.circa && tokens.uncertain);
        assert_eq!(list("mid-1920s"), [Decade(1920)]);
    }

    #[test]
    fn numbers_are_told_by_their_digits() {
        assert_eq!(list("195-"), [Decade(1950)]);
        assert_eq!(list("19--"), [Hundred(1900)]);
        assert_eq!(list("1890-95"), [Year(1890), Dash, Small(95, 2)]);
        assert_eq!(list("1920’s"), [Decade(1920)]);
        assert!(tokenize("19081").is_none());
    }

    #[test]
    fn stops_and_commas_count_between_numbers_only() {
        assert_eq!(list("Oct. 12, 1871."), [Month(10), Small(12, 2), Year(1871)]);
        assert_eq!(list("12.10.1871"), [Small(12, 2), Dot, Small(10, 2), Dot, Year(1871)]);
        assert_eq!(list("1871, 1872"), [Year(1871), Comma, Year(1872)]);
    }

    #[test]
    fn centuries_and_eras_are_words_of_many_kinds() {
        assert_eq!(list("19th c."), [Small(19, 2), Century]);
        assert_eq!(list("XIXe siècle"), [Roman(19), Century]);
        assert_eq!(list("44 B.C."), [Small(44, 2), BeforeChrist]);
    }

    #[test]
    fn a_word_of_no_date_leaves_nothing() {
        assert!(tokenize("no date recorded").is_none());
        assert!(tokenize("roll 1908").is_none());
    }
}
