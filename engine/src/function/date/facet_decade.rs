//! `facet_decade(x)`: the decades a record's dates span, to filter by.

use std::fmt::Write as _;

use crate::error::Result;
use crate::function::call::Call;
use crate::function::declaration::{Accepts, Family, Function, Kernel, Parameter, Returns, kernel};
use crate::function::polymorphic::{Lists, Texts};

use super::dates::{MODE, mode};
use super::entry::Mode;

/// The first year that counts.
const FIRST: u16 = 1000;
/// The last year that counts where a call says none. Not the clock's: a mapping gives the same result every day.
const LAST: u16 = 2100;

pub(crate) static FUNCTION: Function = Function {
    name: "facet_decade",
    family: Family::Dates,
    summary: "Every decade from the lowest to the highest year of four digits, over all values; `unknown` where there is no year. Years \
              from 1000 to `until` count, which is 2100 unless given: write `until => 2026` to stop there, or `until => CAST($year AS INT)` with a parameter.",
    parameters: &[
        Parameter::required("x", Accepts::Text, "dates, or any text with years"),
        Parameter::optional("until", Accepts::ConstantInteger, "the last year that counts"),
        MODE,
    ],
    returns: Returns::List,
    bind: facet_decade,
    examples: &[
        ("facet_decade(['1908', 'reprinted 1921'])", "[1900s, 1910s, 1920s]"),
        ("facet_decade('roll 19081')", "[unknown]"),
        ("facet_decade('1999-2040', 2026)", "[1990s]"),
        ("facet_decade(['1908', '1921'], NULL, 'ucldc')", "[1900s]"),
    ],
    see_also: &["dates"],
};

fn facet_decade(call: &Call<'_>) -> Result<Kernel> {
    let last = call.integer(1).map_or(LAST, |year| u16::try_from(year.clamp(0, 9999)).unwrap_or(LAST));
    // Calisphere looks at the first date only.
    let values = if mode(call, 2)? == Mode::Ucldc { 1 } else { usize::MAX };
    kernel(move |arguments| {
        let texts = Texts::new(&arguments[0])?;
        let mut out = Lists::with_capacity(texts.len());
        let mut scratch = String::new();
        for row in 0..texts.len() {
            if texts.is_null(row) {
                out.end_null()?;
                continue;
            }
            let years = texts.row(row).take(values).flat_map(years).filter(|year| (FIRST..=last).contains(year));
            let span = years.fold(None, |span: Option<(u16, u16)>, year| {
                Some(span.map_or((year, year), |(lowest, highest)| (lowest.min(year), highest.max(year))))
            });
            match span {
                None => out.push("unknown"),
                Some((lowest, highest)) => {
                    for decade in lowest / 10..=highest / 10 {
                        scratch.clear();
                        // A string can be written to.
                        let _ = write!(scratch, "{decade}0s");
                        out.push(&scratch);
                    }
                }
            }
            out.end()?;
        }
        Ok(out.finish())
    })
}

/// Every run of exactly four digits.
fn years(text: &str) -> impl Iterator<Item = u16> {
    text.split(|letter: char| !letter.is_ascii_digit()).filter(|digits| digits.len() == 4).filter_map(|digits| digits.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::years;

    #[test]
    fn only_runs_of_exactly_four_digits_are_years() {
        assert_eq!(years("c1908/1921s, 19081, 12 1934-11").collect::<Vec<_>>(), [1908, 1921, 1934]);
        assert_eq!(years("").count(), 0);
    }
}
