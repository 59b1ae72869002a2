//! `slug(x)`: a value as part of a file name or URL.

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

use crate::function::declaration::{Accepts, Family, Function, Parameter, Returns, text_kernel};

pub(crate) static FUNCTION: Function = Function {
    name: "slug",
    family: Family::Text,
    summary: "Lower case, without accents, with one hyphen for everything between letters and digits. Letters of other scripts stay.",
    parameters: &[Parameter::required("x", Accepts::Text, "what to turn into a slug")],
    returns: Returns::Same,
    bind: |_| text_kernel(slug),
    examples: &[("slug('Ōtsu Road, no. 3')", "otsu-road-no-3"), ("slug(['Café & Bar', '!'])", "[cafe-bar]")],
    see_also: &["sort_title"],
};

fn slug<'a>(value: &'a str, scratch: &'a mut String) -> &'a str {
    let mut gap = false;
    let mut add = |letter: char| {
        if letter.is_alphanumeric() || is_combining_mark(letter) {
            if std::mem::take(&mut gap) && !scratch.is_empty() {
                scratch.push('-');
            }
            scratch.push(letter);
        } else {
            gap = true;
        }
    };
    if value.is_ascii() {
        value.chars().for_each(|letter| add(letter.to_ascii_lowercase()));
    } else {
        value.nfd().filter(|letter| !is_latin_accent(*letter)).flat_map(char::to_lowercase).nfc().for_each(add);
    }
    scratch
}

/// Marks of Latin, Greek and Cyrillic letters; those of other scripts are vowels and must stay.
fn is_latin_accent(letter: char) -> bool {
    matches!(letter, '\u{300}'..='\u{36f}')
}

#[cfg(test)]
mod tests {
    use super::slug;

    #[test]
    fn other_scripts_stay_readable() {
        for (value, expected) in [("水車 小屋", "水車-小屋"), ("--A_b--", "a-b"), ("हिन्दी", "हिन्दी"), ("İzmir", "izmir"), ("ガ", "ガ")]
        {
            assert_eq!(slug(value, &mut String::new()), expected);
        }
    }
}
