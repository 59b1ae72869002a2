//! `date_begin(x)`, `date_end(x)`, `date_edtf(x)`: one side of each date, or all of it in EDTF.

use std::fmt::Write as _;

use crate::error::Result;
use crate::function::declaration::{Accepts, Family, Function, Kernel, Parameter, Returns, text_kernel};

use super::entry::interpret_edtf_first;
use super::reading::Reading;

const PARAMETERS: &[Parameter] = &[Parameter::required("x", Accepts::Text, "dates, in EDTF or as people write them")];

pub(crate) static BEGIN: Function = Function {
    name: "date_begin",
    family: Family::Dates,
    summary: "The first year, month or day of each date, in the precision of the source; what is no date is left out. Reads EDTF levels 0 \
              and 1 (also its draft of 2012), else as dates() does.",
    parameters: PARAMETERS,
    returns: Returns::Same,
    bind: |_| side(|reading, out| reading.begin.map_or(Ok(()), |begin| write!(out, "{begin}"))),
    examples: &[
        ("date_begin('199u')", "1990"),
        ("date_begin('between 1890 and 1895')", "1890"),
        ("date_begin('unknown/2006')", "NULL"),
        ("date_begin(['1905-06', 'undated'])", "[1905-06]"),
    ],
    see_also: &["date_end", "date_edtf", "dates"],
};

pub(crate) static END: Function = Function {
    name: "date_end",
    family: Family::Dates,
    summary: "The last year, month or day of each date, in the precision of the source; what is no date or has no end is left out. Reads \
              EDTF levels 0 and 1 (also its draft of 2012), else as dates() does.",
    parameters: PARAMETERS,
    returns: Returns::Same,
    bind: |_| side(|reading, out| reading.end.map_or(Ok(()), |end| write!(out, "{end}"))),
    examples: &[("date_end('19uu')", "1999"), ("date_end('1872-76')", "1876"), ("date_end('2004-06/open')", "NULL")],
    see_also: &["date_begin", "date_edtf", "dates"],
};

pub(crate) static EDTF: Function = Function {
    name: "date_edtf",
    family: Family::Dates,
    summary: "Each date in EDTF (ISO 8601-2:2019, level 1); what is no date is left out.",
    parameters: PARAMETERS,
    returns: Returns::Same,
    bind: |_| side(|reading, out| write!(out, "{reading}")),
    examples: &[
        ("date_edtf('ca. 1913')", "1913~"),
        ("date_edtf(['184-', 'y19840', '1872-'])", "[184X, Y19840, 1872/..]"),
        ("date_edtf('Spring 1905')", "1905-21"),
    ],
    see_also: &["date_begin", "date_end", "dates"],
};

fn side(write: fn(&Reading, &mut String) -> std::fmt::Result) -> Result<Kernel> {
    text_kernel(move |value, scratch| {
        if let Some(reading) = interpret_edtf_first(value) {
            // A string can be written to.
            let _ = write(&reading, scratch);
        }
        scratch
    })
}
