//! `language_code(x)`: the ISO 639-3 code of each language.

use crate::function::declaration::{Accepts, Family, Function, Parameter, Returns, kernel};

use super::language::{Found, languages};
use super::map_several;

pub(crate) static FUNCTION: Function = Function {
    name: "language_code",
    family: Family::Vocabularies,
    summary: "The ISO 639-3 code of each language, from a code of ISO 639-1, -2 or -3, a locale, joined codes or an English name. What names \
              no language stays. A text that names several gives them joined with `;`.",
    parameters: &[Parameter::required("x", Accepts::Text, "codes or names of languages")],
    returns: Returns::Same,
    bind: |_| {
        kernel(|arguments| {
            map_several(&arguments[0], |value, push| {
                languages(value, &mut |found| match found {
                    Found::Language(language) => push(language.to_639_3()),
                    Found::Unknown(text) => push(text),
                });
            })
        })
    },
    examples: &[
        ("language_code(['en_US', 'eng;fre', 'Tolowan?'])", "[eng, fra, Tolowan?]"),
        ("language_code('German')", "deu"),
        ("language_code('chi;English')", "zho;eng"),
    ],
    see_also: &["language_name"],
};
