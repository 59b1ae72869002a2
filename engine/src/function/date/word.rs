//! Words that stand in dates: months in the languages of the sources, and what qualifies a date.
//!
//! A word that is not here makes a value "no date": better to keep a text uninterpreted than to guess at it.

use std::collections::HashMap;
use std::sync::LazyLock;

/// What a word means in a date.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Word {
    Month(u8),
    /// As EDTF numbers them, 21 (spring) to 24 (winter).
    Season(u8),
    Century,
    /// Counted before the year 1.
    BeforeChrist,
    AfterChrist,
    /// "about", "early": the date is approximate.
    Circa,
    /// "probably": the date is uncertain.
    Uncertain,
    Before,
    After,
    Between,
    And,
    Or,
    To,
    /// "until": a range between two dates, an end before one.
    Until,
    /// "present": a range that has not ended.
    Open,
    /// Says nothing about when.
    Filler,
    /// "published": says nothing before a date; between two dates it says that they are not a range.
    Deed,
    /// Archives write "1947-1965, undated".
    Undated,
    /// Archives write "1890-1920, bulk 1911-1912".
    Bulk,
}

/// The longest known word, in bytes.
const LONGEST: usize = 16;

#[rustfmt::skip]
static MONTHS: [&str; 12] = [
    "january jan janvier janv januar jänner januari enero ene gennaio gen janeiro styczeń styczen stycznia januarius январь января",
    "february feb febr février fevrier fév février februar februari febrero febbraio fevereiro luty lutego februarius февраль февраля",
    "march mar mars märz maerz marz maart mrt marzo março marco marec marzec marca martius март марта",
    "april apr avril avr abril abr aprile kwiecień kwietnia aprilis апрель апреля",
    "may mai mei mayo maggio mag maio maj maja maius май мая",
    "june jun juin juni junio giugno giu junho czerwiec czerwca junius июнь июня",
    "july jul juillet juil juli julio luglio lug julho lipiec lipca julius июль июля",
    "august aug août aout agosto ago augusti augustus sierpień sierpnia август августа",
    "september sept sep septembre septiembre settembre setembro set wrzesień września сентябрь сентября",
    "october oct octobre oktober okt octubre ottobre ott outubro out październik października октябрь октября",
    "november nov novembre noviembre novembro listopad listopada ноябрь ноября",
    "december dec décembre decembre déc dezember dez diciembre dic dicembre dezembro desember grudzień grudnia декабрь декабря",
];

#[rustfmt::skip]
static OTHERS: &[(Word, &str)] = &[
    (Word::Season(21), "spring printemps frühling frühjahr primavera"),
    (Word::Season(22), "summer été sommer verano estate zomer"),
    (Word::Season(23), "autumn fall automne herbst otoño autunno herfst"),
    (Word::Season(24), "winter hiver invierno inverno"),
    (Word::Century, "century centuries siècle siecle jahrhundert jh jhdt jhd siglo secolo século seculo eeuw wiek wieku århundrade århundre"),
    (Word::BeforeChrist, "bc bce vchr avjc ac"),
    (Word::AfterChrist, "ad ce nchr apjc dc"),
    (Word::Circa, "circa ca c cca approximately approx about around abt early mid middle late beginning end environ env vers um etwa gegen \
                   cerca hacia omkring estimated est"),
    (Word::Uncertain, "probably prob possibly perhaps likely maybe"),
    (Word::Before, "before pre antes avant vor ante prior"),
    (Word::After, "after post since from nach von après despues después depuis desde"),
    (Word::Between, "between entre zwischen tra"),
    (Word::And, "and et y und e en och"),
    (Word::Or, "or ou oder o"),
    (Word::To, "to through thru à a al"),
    (Word::Until, "until till bis"),
    (Word::Open, "present ongoing now today current"),
    (Word::Filler, "of the de del della la le el den der du des in on year years anno año jahr \
                    monday mon tuesday tue tues wednesday wed thursday thu thurs friday fri saturday sat sunday sun"),
    (Word::Deed, "copyright cop copr published printed executed created made issued dated date photographed taken"),
    (Word::Undated, "undated"),
    (Word::Bulk, "bulk"),
];

static WORDS: LazyLock<HashMap<&str, Word>> = LazyLock::new(|| {
    let months = (1_u8..).zip(MONTHS).map(|(number, names)| (Word::Month(number), names));
    months.chain(OTHERS.iter().copied()).flat_map(|(word, names)| names.split_whitespace().map(move |name| (name, word))).collect()
});

/// The meaning of a word in upper or lower case; dots inside (`B.C.`) have been taken out.
pub(super) fn meaning(word: &str) -> Option<Word> {
    if word.len() > LONGEST * 2 {
        return None;
    }
    if word.is_ascii() {
        let mut lower = [0; LONGEST * 2];
        let lower = &mut lower[..word.len()];
        lower.copy_from_slice(word.as_bytes());
        lower.make_ascii_lowercase();
        return WORDS.get(std::str::from_utf8(lower).ok()?).copied();
    }
    WORDS.get(word.to_lowercase().as_str()).copied()
}

/// The letters after a number that make it "the 19th", "1er", "19e".
pub(super) fn is_ordinal_suffix(word: &str) -> bool {
    ["st", "nd", "rd", "th", "er", "re", "e", "ème", "eme", "è", "º", "ª", "o", "a", "ste", "de", "te"]
        .iter()
        .any(|suffix| word.eq_ignore_ascii_case(suffix))
}

/// The value of a Roman number up to 39 in upper case, perhaps with an ordinal's letters in lower case (`XIXe`).
pub(super) fn roman(word: &str) -> Option<u8> {
    let number = word.trim_end_matches(|letter: char| letter.is_lowercase());
    if number.is_empty() || number.len() > 8 || (number.len() < word.len() && !is_ordinal_suffix(&word[number.len()..])) {
        return None;
    }
    let values = number.bytes().map(|letter| match letter {
        b'I' => Some(1),
        b'V' => Some(5),
        b'X' => Some(10),
        _ => None,
    });
    let values: Vec<u8> = values.collect::<Option<_>>()?;
    let mut total = 0;
    for (index, value) in values.iter().enumerate() {
        let smaller = values.get(index + 1).is_some_and(|next| value < next);
        total += if smaller { -i32::from(*value) } else { i32::from(*value) };
    }
    u8::try_from(total).ok().filter(|total| (1..40).contains(total))
}

#[cfg(test)]
mod tests {
    use super::{Word, meaning, roman};

    #[test]
    fn months_are_known_in_many_languages_and_in_any_case() {
        for word in ["Oct", "OKTOBER", "octobre", "ottobre", "Октября", "października"] {
            assert_eq!(meaning(word), Some(Word::Month(10)), "{word}");
        }
        assert_eq!(meaning("AOÛT"), Some(Word::Month(8)));
        assert_eq!(meaning("nobody"), None);
    }

    #[test]
    fn roman_numbers_may_have_an_ordinal_ending() {
        assert_eq!(roman("XIX"), Some(19));
        assert_eq!(roman("XIXe"), Some(19));
        assert_eq!(roman("IV"), Some(4));
        assert_eq!(roman("XIXmill"), None);
        assert_eq!(roman("MIX"), None);
    }
}
