//! `language_name(x)`: the English name of each language.

use crate::function::declaration::{Accepts, Family, Function, Parameter, Returns, kernel};

use super::language::{Found, languages};
use super::map_several;

pub(crate) static FUNCTION: Function = Function {
    name: "language_name",
    family: Family::Vocabularies,
    summary: "The English name of each language as ISO 639-3 has it, from a code of ISO 639-1, -2 or -3, a locale, joined codes or a name. \
              What names no language stays. A text that names several gives them joined with `;`.",
    parameters: &[Parameter::required("x", Accepts::Text, "codes or names of languages")],
    returns: Returns::Same,
    bind: |_| {
        kernel(|arguments| {
            map_several(&arguments[0], |value, push| {
                languages(value, &mut |found| match found {
                    Found::Language(language) => push(language.to_name()),
                    Found::Unknown(text) => push(text),
                });
            })
        })
    },
    examples: &[
        ("language_name(['eng', 'fre', 'Tolowan?'])", "[English, French, Tolowan?]"),
        ("language_name('gre')", "Modern Greek"),
        ("language_name('es-MX')", "Spanish"),
    ],
    see_also: &["language_code"],
};
