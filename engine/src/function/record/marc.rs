//! `marc(m, spec)`, `marc1(m, spec)`: values of a MARC record.

use std::sync::Arc;

use arrow::array::StringBuilder;
use arrow::datatypes::DataType;

use crate::error::Result;
use crate::function::call::Call;
use crate::function::declaration::{Accepts, Family, Function, Kernel, Parameter, Returns, kernel, list_of_text};
use crate::function::polymorphic::{Lists, is_blank};

use super::marc_record::{Records, Scratch, is_record};
use super::marc_spec::Spec;

const PARAMETERS: &[Parameter] = &[
    Parameter::required("m", Accepts::Any, "a MARC record: a struct of `leader`, `control` and `data`"),
    Parameter::required("spec", Accepts::ConstantText, "tags and subfields, such as `245!c 600-630!2 5xxa +880`"),
    Parameter::optional("skip", Accepts::ConstantText, "tags that are not meant, such as `538 54x`"),
];

pub(crate) static ALL: Function = Function {
    name: "marc",
    family: Family::Records,
    summary: "The values that a spec means, one per subfield, in the order of the spec, then of the record. `245ab` is subfields a and b, \
              `245!c` all but c, `600-630` a range of tags in ascending order, `5xx` a block, `001` a control field, `LDR` the leader. \
              `+880` puts the values of linked fields in another script behind those of their field. `$6` is given only if named.",
    parameters: PARAMETERS,
    returns: Returns::Of(|call| check(call).map(|()| list_of_text())),
    bind: marc,
    examples: &[(
        "marc({'leader': '', 'control': [{'tag': '001', 'value': '42'}], 'data': [{'tag': '245', 'ind1': '1', 'ind2': '0', 'subfields': \
             [{'code': 'a', 'value': 'Mills'}, {'code': 'c', 'value': 'by Ada'}]}]}, '245!c 001')",
        "[Mills, 42]",
    )],
    see_also: &["marc1", "xpath"],
};

pub(crate) static FIRST: Function = Function {
    name: "marc1",
    family: Family::Records,
    summary: "The first value that is not blank of those that marc() gives, as text.",
    parameters: PARAMETERS,
    returns: Returns::Of(|call| check(call).map(|()| DataType::Utf8)),
    bind: marc1,
    examples: &[(
        "marc1({'leader': '', 'control': [{'tag': '001', 'value': '42'}], 'data': [{'tag': '245', 'ind1': '1', 'ind2': '0', 'subfields': \
             [{'code': 'a', 'value': 'Mills'}, {'code': 'c', 'value': 'by Ada'}]}]}, '245')",
        "Mills",
    )],
    see_also: &["marc"],
};

/// The record must have the columns of one; a spec is checked when it is bound.
fn check(call: &Call<'_>) -> Result<()> {
    match call.data_type(0) {
        DataType::Struct(members) if is_record(members) => Ok(()),
        _ => {
            let wants = "a struct of leader, control list<struct<tag, value>> and data list<struct<tag, ind1, ind2, subfields>>";
            Err(call.wrong_type(0, wants))
        }
    }
}

fn spec(call: &Call<'_>) -> Result<Spec> {
    check(call)?;
    Ok(Spec::parse(call.required_text(1)?, call.text(2))?)
}

fn marc(call: &Call<'_>) -> Result<Kernel> {
    let spec = spec(call)?;
    kernel(move |arguments| {
        let records = Records::new(&arguments[0])?;
        let mut out = Lists::with_capacity(records.len());
        let mut scratch = Scratch::default();
        for row in 0..records.len() {
            if records.is_null(row) {
                out.end_null()?;
                continue;
            }
            records.values(row, &spec, &mut scratch, &mut |value| {
                out.push(value);
                true
            });
            out.end()?;
        }
        Ok(out.finish())
    })
}

fn marc1(call: &Call<'_>) -> Result<Kernel> {
    let spec = spec(call)?;
    kernel(move |arguments| {
        let records = Records::new(&arguments[0])?;
        let mut out = StringBuilder::with_capacity(records.len(), records.len() * 16);
        let mut scratch = Scratch::default();
        for row in 0..records.len() {
            let mut first = None;
            if !records.is_null(row) {
                records.values(row, &spec, &mut scratch, &mut |value| {
                    first = Some(value).filter(|value| !is_blank(value));
                    first.is_none()
                });
            }
            out.append_option(first);
        }
        Ok(Arc::new(out.finish()))
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Array, ArrayRef, ListBuilder, StringArray, StringBuilder, StructArray, StructBuilder};
    use arrow::datatypes::{DataType, Field, Fields};

    use super::super::marc_record::{Records, Scratch, is_record};
    use super::super::marc_spec::Spec;

    type Datafield<'a> = (&'a str, &'a [(&'a str, &'a str)]);

    /// Columns of records, each with one control field.
    fn column(rows: &[&[Datafield<'_>]]) -> ArrayRef {
        let texts = |names: &[&str]| names.iter().map(|name| Field::new(*name, DataType::Utf8, true)).collect::<Fields>();
        let list = |name: &str, members: Fields| Field::new_list(name, Field::new_list_field(DataType::Struct(members), true), true);
        let subfields = texts(&["code", "value"]);
        let mut data_members = texts(&["tag", "ind1", "ind2"]).to_vec();
        data_members.push(Arc::new(list("subfields", subfields)));
        let data_members = Fields::from(data_members);
        let mut control = ListBuilder::new(StructBuilder::from_fields(texts(&["tag", "value"]), 0));
        let mut data = ListBuilder::new(StructBuilder::from_fields(data_members.clone(), 0));
        for row in rows {
            let field = control.values();
            field.field_builder::<StringBuilder>(0).unwrap().append_value("001");
            field.field_builder::<StringBuilder>(1).unwrap().append_value("42");
            field.append(true);
            control.append(true);
            for (tag, values) in *row {
                let field = data.values();
                field.field_builder::<StringBuilder>(0).unwrap().append_value(tag);
                field.field_builder::<StringBuilder>(1).unwrap().append_null();
                field.field_builder::<StringBuilder>(2).unwrap().append_null();
                let subfields = field.field_builder::<ListBuilder<Box<dyn arrow::array::ArrayBuilder>>>(3).unwrap();
                for (code, value) in *values {
                    let subfield = subfields.values().as_any_mut().downcast_mut::<StructBuilder>().unwrap();
                    subfield.field_builder::<StringBuilder>(0).unwrap().append_value(code);
                    subfield.field_builder::<StringBuilder>(1).unwrap().append_value(value);
                    subfield.append(true);
                }
                subfields.append(true);
                field.append(true);
            }
            data.append(true);
        }
        let leader: ArrayRef = Arc::new(StringArray::from(vec!["00000cam a2200000"; rows.len()]));
        let (control, data): (ArrayRef, ArrayRef) = (Arc::new(control.finish()), Arc::new(data.finish()));
        let field = |name: &str, array: &ArrayRef| Arc::new(Field::new(name, array.data_type().clone(), true));
        let record = StructArray::from(vec![
            (field("leader", &leader), leader),
            (field("control", &control), control),
            (field("data", &data), data),
        ]);
        assert!(is_record(record.fields()));
        Arc::new(record)
    }

    fn values(record: &[Datafield<'_>], spec: &str, skip: Option<&str>) -> Vec<String> {
        // The record stands between others, so that a wrong offset is noticed.
        let other: &[Datafield<'_>] = &[("245", &[("a", "other")])];
        let records = Records::new(&column(&[other, record, other]).slice(1, 2)).unwrap();
        let mut out = Vec::new();
        records.values(0, &Spec::parse(spec, skip).unwrap(), &mut Scratch::default(), &mut |value| {
            out.push(value.to_owned());
            true
        });
        out
    }

    #[rustfmt::skip]
    const RECORD: &[Datafield<'static>] = &[
        ("245", &[("6", "880-01"), ("a", "Mizu :"), ("b", "kawa /"), ("c", "Ōta.")]),
        ("650", &[("a", "Rivers"), ("2", "lcsh"), ("z", "Japan")]),
        ("610", &[("a", "Rail company"), ("2", "naf")]),
        ("500", &[("a", "A note")]),
        ("538", &[("a", "System details")]),
        ("700", &[("6", "880-02"), ("a", "Ōta, Jun"), ("e", "author")]),
        ("700", &[("a", "Smith, Ada"), ("e", "editor")]),
        ("880", &[("6", "245-01/$1"), ("a", "水 :"), ("c", "太田"), ("a", "第二")]),
        ("880", &[("6", "700-02/$1"), ("a", "太田 準")]),
        ("880", &[("6", "500-00/$1"), ("a", "注")]),
        ("FMT", &[("a", "BK")]),
    ];

    #[test]
    fn subfields_are_chosen_by_the_spec() {
        for (spec, expected) in [
            ("245ab", vec!["Mizu :", "kawa /"]),
            ("245ba", vec!["Mizu :", "kawa /"]),
            ("245", vec!["Mizu :", "kawa /", "Ōta."]),
            ("245!c", vec!["Mizu :", "kawa /"]),
            ("2456", vec!["880-01"]),
            ("700ae", vec!["Ōta, Jun", "author", "Smith, Ada", "editor"]),
            ("001", vec!["42"]),
            ("001-009", vec!["42"]),
            ("LDR", vec!["00000cam a2200000"]),
            ("700a 245a", vec!["Ōta, Jun", "Smith, Ada", "Mizu :"]),
            ("999", vec![]),
        ] {
            assert_eq!(values(RECORD, spec, None), expected, "{spec}");
        }
    }

    #[test]
    fn a_range_is_its_tags_in_ascending_order() {
        assert_eq!(values(RECORD, "600-699!2", None), ["Rail company", "Rivers", "Japan"]);
        assert_eq!(values(RECORD, "6xxa", None), ["Rail company", "Rivers"]);
        assert_eq!(values(RECORD, "65xz", None), ["Japan"]);
        assert_eq!(values(RECORD, "500-599a", Some("538 540")), ["A note"]);
    }

    #[test]
    fn linked_fields_pair_by_subfield_and_lose_nothing() {
        // The second $a of the 880 has no partner and stands behind the field.
        assert_eq!(values(RECORD, "245 +880", None), ["Mizu :", "水 :", "kawa /", "Ōta.", "太田", "第二"]);
        assert_eq!(values(RECORD, "245!c +880", None), ["Mizu :", "水 :", "kawa /", "第二"]);
        assert_eq!(values(RECORD, "700ae +880", None), ["Ōta, Jun", "太田 準", "author", "Smith, Ada", "editor"]);
    }

    #[test]
    fn an_unlinked_880_stands_for_the_field_it_names() {
        assert_eq!(values(RECORD, "500a +880", None), ["A note", "注"]);
        assert_eq!(values(RECORD, "500-540a +880", Some("500")), ["System details"]);
        assert_eq!(values(RECORD, "500a", None), ["A note"]);
        let orphan: &[Datafield<'_>] = &[("880", &[("6", "246-07/$1"), ("a", "別名")]), ("880", &[("6", "x"), ("a", "?")])];
        assert_eq!(values(orphan, "246 +880", None), ["別名"]);
        assert_eq!(values(orphan, "880", None), ["別名", "?"]);
    }
}
