//! `dcmi_type(x [, format])`: types in the words of the DCMI Type Vocabulary.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use arrow::array::{ArrayRef, AsArray, StringBuilder};
use datafusion::error::Result as DataFusionResult;

use crate::error::Result;
use crate::function::call::Call;
use crate::function::declaration::{Accepts, Family, Function, Kernel, Parameter, Returns, kernel};
use crate::function::polymorphic::{Lists, Texts, is_blank};

use super::join;

pub(crate) static FUNCTION: Function = Function {
    name: "dcmi_type",
    family: Family::Vocabularies,
    summary: "Types in the lower-case words of the DCMI Type Vocabulary: from its terms, singular or plural, words in use for them, and URIs of \
              DCMI and of id.loc.gov resource types. `mixed material` is image and text; a still image is an image. A value that is no known \
              type stays. Where no value is, `format` decides. A text that means two types gives them joined with `;`.",
    parameters: &[
        Parameter::required("x", Accepts::Text, "types"),
        Parameter::optional("format", Accepts::Text, "formats or mime types, for records whose type says nothing"),
        Parameter::optional("match", Accepts::ConstantText, "'contains' also finds a known word inside a longer value"),
    ],
    returns: Returns::Same,
    bind: dcmi_type,
    examples: &[
        ("dcmi_type(['Photographs', 'StillImage', 'Postcard?'])", "[image, Postcard?]"),
        ("dcmi_type('http://id.loc.gov/vocabulary/resourceTypes/mov')", "moving image"),
        ("dcmi_type(['mixed materials'])", "[image, text]"),
        ("dcmi_type([], ['application/pdf'])", "[text]"),
        ("dcmi_type('two maps of Ohio', NULL, 'contains')", "image"),
    ],
    see_also: &["language_code"],
};

static WORDS: LazyLock<HashMap<&str, Vec<&str>>> = LazyLock::new(|| {
    let list = schemas::vocabulary::text("dcmi_type_words").unwrap_or_default();
    let entry = |line: &'static str| line.split_once(',').map(|(word, types)| (word, types.split('|').collect()));
    list.lines().skip(1).filter_map(entry).collect()
});

/// The longest word in the list is shorter.
const LONGEST: usize = 60;

fn dcmi_type(call: &Call<'_>) -> Result<Kernel> {
    let contains = call.choice(2, &["contains"])?.is_some();
    let find = if contains { containing } else { exact };
    kernel(move |arguments| {
        let types = Texts::new(&arguments[0])?;
        let formats = arguments.get(1).map(Texts::new).transpose()?;
        let formats = |row| formats.into_iter().flat_map(move |formats| formats.row(row));
        if arguments[0].as_list_opt::<i32>().is_some() { lists(types, formats, find) } else { texts(types, formats, find) }
    })
}

type Find = fn(&str) -> Option<&'static [&'static str]>;

fn lists<'a, F: Iterator<Item = &'a str>>(types: Texts<'a>, formats: impl Fn(usize) -> F, find: Find) -> DataFusionResult<ArrayRef> {
    let mut out = Lists::with_capacity(types.len());
    for row in 0..types.len() {
        let said = types.row(row).flat_map(parts);
        // Only a NULL without any format stays NULL.
        let fallback = fallback(said, formats(row), find);
        fallback.iter().for_each(|found| out.push_new(found));
        for value in types.row(row).flat_map(parts) {
            match find(value) {
                Some(found) => found.iter().for_each(|found| out.push_new(found)),
                None => out.push_new(value),
            }
        }
        if types.is_null(row) && fallback.is_empty() { out.end_null()? } else { out.end()? }
    }
    Ok(out.finish())
}

fn texts<'a, F: Iterator<Item = &'a str>>(types: Texts<'a>, formats: impl Fn(usize) -> F, find: Find) -> DataFusionResult<ArrayRef> {
    let mut out = StringBuilder::with_capacity(types.len(), types.len() * 8);
    let mut joined = String::new();
    for row in 0..types.len() {
        joined.clear();
        // One text is one type: a format that says more replaces what says nothing.
        let fallback = fallback(types.row(row).flat_map(parts), formats(row), find);
        fallback.iter().for_each(|found| join(&mut joined, found));
        for value in types.row(row).flat_map(parts).filter(|_| fallback.is_empty()) {
            match find(value) {
                Some(found) => found.iter().for_each(|found| join(&mut joined, found)),
                None => join(&mut joined, value),
            }
        }
        out.append_option((!is_blank(&joined)).then_some(joined.as_str()));
    }
    Ok(Arc::new(out.finish()))
}

/// Some sources write several types into one value.
fn parts(value: &str) -> impl Iterator<Item = &str> {
    value.split(';').map(str::trim).filter(|part| !is_blank(part))
}

/// What the formats say, where no type of the row is known.
fn fallback<'a>(
    mut types: impl Iterator<Item = &'a str>,
    mut formats: impl Iterator<Item = &'a str>,
    find: Find,
) -> &'static [&'static str] {
    if types.any(|value| find(value).is_some()) {
        return &[];
    }
    formats.find_map(|format| mime(format).or_else(|| find(format))).unwrap_or(&[])
}

/// The types of a value that is a known word, in singular or plural, or a URI whose last part is one.
fn exact(value: &str) -> Option<&'static [&'static str]> {
    let value = value.trim().trim_end_matches(['.', ',', ';', ':', '/']);
    let value = if value.starts_with("http") { value.rsplit(['/', '#']).next()? } else { value };
    let mut lower = [0; LONGEST];
    let word = lower_case(value, &mut lower)?;
    lookup(word).or_else(|| {
        let stem = word.strip_suffix('s')?;
        let singular = stem.strip_suffix("ie").map(|stem| format!("{stem}y"));
        lookup(stem).or_else(|| lookup(stem.strip_suffix('e')?)).or_else(|| lookup(&singular?))
    })
}

/// Lower-case letters with single spaces between words; `None` for what is no word of the list, which are all ASCII.
fn lower_case<'a>(value: &str, buffer: &'a mut [u8; LONGEST]) -> Option<&'a str> {
    let mut length = 0;
    for byte in value.bytes() {
        let byte = if byte == b'_' { b' ' } else { byte.to_ascii_lowercase() };
        if byte == b' ' && (length == 0 || buffer[length - 1] == b' ') {
            continue;
        }
        if length == LONGEST || !byte.is_ascii() {
            return None;
        }
        buffer[length] = byte;
        length += 1;
    }
    std::str::from_utf8(&buffer[..length]).ok()
}

fn lookup(word: &str) -> Option<&'static [&'static str]> {
    WORDS.get(word).map(Vec::as_slice)
}

/// The same, or else the types of the longest known word that stands in the value.
fn containing(value: &str) -> Option<&'static [&'static str]> {
    exact(value)
        .or_else(|| {
            let text = value.to_lowercase();
            let known = WORDS.iter().filter(|(word, _)| word.len() > 3 && stands_in(word, &text));
            known.max_by_key(|(word, _)| (word.len(), **word)).map(|(_, types)| types.as_slice())
        })
        .or_else(|| {
            // Three letters may be a code, but "map" is a word.
            let has_map = value.to_lowercase().split(|letter: char| !letter.is_alphabetic()).any(|word| matches!(word, "map" | "maps"));
            has_map.then(|| lookup("map"))?
        })
}

/// Whether a word, or its plural, stands in the text with no letter before or after it.
fn stands_in(word: &str, text: &str) -> bool {
    text.match_indices(word).any(|(at, _)| {
        let (before, after) = (&text[..at], &text[at + word.len()..]);
        !before.ends_with(char::is_alphabetic) && !after.strip_prefix('s').unwrap_or(after).starts_with(char::is_alphabetic)
    })
}

/// The types of a mime type.
fn mime(format: &str) -> Option<&'static [&'static str]> {
    let (kind, detail) = format.trim().split_once('/')?;
    let detail = detail.split([';', ' ']).next()?;
    if kind.eq_ignore_ascii_case("image") {
        lookup("image")
    } else if kind.eq_ignore_ascii_case("audio") {
        lookup("sound")
    } else if kind.eq_ignore_ascii_case("video") {
        lookup("moving image")
    } else if kind.eq_ignore_ascii_case("text") || ["pdf", "msword", "rtf", "epub+zip"].iter().any(|text| detail.eq_ignore_ascii_case(text))
    {
        lookup("text")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::{WORDS, containing, exact, mime};

    #[test]
    fn every_word_leads_to_a_type_of_the_vocabulary() {
        let types = schemas::vocabulary::shipped("dcmi_type").unwrap();
        assert!(WORDS.len() > 150);
        for (word, found) in WORDS.iter() {
            assert!(found.iter().all(|found| types.contains(*found)), "{word}");
            assert_eq!(exact(word), Some(found.as_slice()), "{word}");
        }
        // Still image is in the vocabulary; here it is an image.
        assert!(types.iter().all(|found| exact(found).is_some()));
    }

    #[test]
    fn words_are_known_in_any_case_singular_or_plural() {
        for (value, expected) in [
            ("Image", "image"),
            ("MovingImage", "moving image"),
            ("Moving_Image", "moving image"),
            ("photographs", "image"),
            ("Diaries", "text"),
            ("Sketches.", "image"),
            ("http://purl.org/dc/dcmitype/PhysicalObject", "physical object"),
            ("http://id.loc.gov/vocabulary/resourceTypes/txt", "text"),
            ("three dimensional object", "physical object"),
        ] {
            assert_eq!(exact(value), Some([expected].as_slice()), "{value}");
        }
        assert_eq!(exact("black and white photographs of mills"), None);
    }

    #[test]
    fn a_word_inside_a_value_counts_on_request_only() {
        assert_eq!(containing("black and white photographs of mills"), Some(["image"].as_slice()));
        assert_eq!(containing("oral history recordings on tape"), Some(["sound"].as_slice()));
        assert_eq!(containing("mapping software"), Some(["software"].as_slice()));
        assert_eq!(containing("imagery"), None);
    }

    #[test]
    fn mime_types_decide_where_the_type_says_nothing() {
        assert_eq!(mime("image/jp2"), Some(["image"].as_slice()));
        assert_eq!(mime("application/pdf; charset=binary"), Some(["text"].as_slice()));
        assert_eq!(mime("application/zip"), None);
    }
}
