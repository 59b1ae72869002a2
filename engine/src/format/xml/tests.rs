//! The rules of the codec, each on a page small enough to read.

use std::io::{Cursor, Write};
use std::sync::Arc;

use arrow::array::{Array, RecordBatch};
use arrow::compute::concat_batches;
use arrow::util::display::array_value_to_string;
use schemas::problem::{Problems, Source};
use schemas::source::SourceSchema;

use super::*;

/// What a page gave: all columns of the schema, and the tally.
struct Decoded {
    batch: RecordBatch,
    tally: PageTally,
}

impl Decoded {
    fn get(&self, column: &str, row: usize) -> String {
        let column = self.batch.column_by_name(column).unwrap_or_else(|| panic!("no column {column}"));
        if column.is_null(row) { "NULL".into() } else { array_value_to_string(column, row).unwrap() }
    }

    fn codes(&self) -> Vec<&str> {
        self.tally.problems.iter().map(|problem| problem.code).collect()
    }

    fn message(&self) -> &str {
        &self.tally.problems[0].message
    }
}

fn page() -> Page {
    Page { collection_id: "26773".into(), path: "data/9.xml".into(), ..Page::default() }
}

fn run(format: &XmlFormat, bytes: PageBytes) -> Decoded {
    let mut batches = Vec::new();
    let tally = format.decode(&page(), bytes, &mut |batch| {
        batches.push(batch);
        Ok(())
    });
    Decoded { batch: concat_batches(&format.schema, &batches).unwrap(), tally: tally.unwrap() }
}

fn format_of(source: &Arc<SourceSchema>) -> Both {
    let all: Vec<usize> = (0..source.table_schema().fields().len()).collect();
    let format = || XmlFormat::new(source, &all, 1000).unwrap();
    Both { whole: format(), streaming: format().streaming_over(0) }
}

fn shipped(name: &str) -> Both {
    format_of(&SourceSchema::shipped(name).unwrap())
}

fn custom(toml: &str) -> Both {
    let source = Arc::new(Source { path: "x.toml".into(), text: format!("source = \"x\"\n{toml}") });
    let mut problems = Problems::default();
    let schema = SourceSchema::read(&source, &mut problems);
    assert!(problems.0.is_empty(), "{problems}");
    format_of(&Arc::new(schema))
}

/// A codec for all columns that holds pages whole, and one that streams them.
struct Both {
    whole: XmlFormat,
    streaming: XmlFormat,
}

/// Decodes a page whole and as a stream, which must not differ.
fn decode_with(format: &Both, bytes: impl Into<Vec<u8>>) -> Decoded {
    let bytes = bytes.into();
    let whole = run(&format.whole, PageBytes::Whole(bytes.clone().into()));
    let streamed = run(&format.streaming, PageBytes::Stream(Box::new(Cursor::new(bytes))));
    assert_eq!(whole.batch.num_rows(), streamed.batch.num_rows());
    for (index, field) in whole.batch.schema().fields().iter().enumerate() {
        assert_eq!(whole.batch.column(index), streamed.batch.column(index), "{}", field.name());
    }
    assert_eq!(whole.tally, streamed.tally);
    whole
}

fn decode(schema: &str, text: impl AsRef<str>) -> Decoded {
    decode_with(&shipped(schema), text.as_ref())
}

const DC: &str = "xmlns:oai_dc='http://www.openarchives.org/OAI/2.0/oai_dc/' xmlns:dc='http://purl.org/dc/elements/1.1/'";

/// An OAI page of records, each given by the inside of its dc element.
fn oai(records: &[&str]) -> String {
    let mut text = "<?xml version='1.0'?>\n<OAI-PMH xmlns='http://www.openarchives.org/OAI/2.0/'><ListRecords>\n".to_owned();
    for (index, record) in records.iter().enumerate() {
        text.push_str(&format!(
            "<record><header><identifier>oai:x:{index}</identifier><datestamp>2020-01-02</datestamp><setSpec>a</setSpec><setSpec> b </setSpec></header>\n<metadata><oai_dc:dc {DC}>{record}</oai_dc:dc></metadata></record>\n"
        ));
    }
    text + "</ListRecords></OAI-PMH>\n"
}

#[test]
fn a_record_has_its_envelope_and_its_columns() {
    let text = oai(&["<dc:title>One</dc:title><dc:title>Two</dc:title><dc:subject>x; y</dc:subject>", "<dc:title>Three</dc:title>"]);
    let decoded = decode("oai_dc", &text);
    assert_eq!((decoded.tally.records, decoded.codes().len()), (2, 0));
    assert_eq!(decoded.get("record_id", 0), "oai:x:0");
    assert_eq!(decoded.get("harvest_id", 1), "26773--oai:x:1");
    assert_eq!(decoded.get("datestamp", 0), "2020-01-02");
    assert_eq!(decoded.get("sets", 0), "[a, b]");
    assert_eq!(decoded.get("deleted", 0), "false");
    assert_eq!(decoded.get("record_format", 0), "oai_dc");
    assert_eq!((decoded.get("page", 1), decoded.get("page_seq", 1)), ("data/9.xml".into(), "1".into()));
    assert_eq!(decoded.get("title", 0), "[One, Two]");
    assert_eq!(decoded.get("subject", 1), "NULL");
    assert_eq!(decoded.get("problems", 0), "[]");
}

#[test]
fn byte_offsets_point_at_the_record_in_the_page() {
    let text = format!("\u{feff}{}", oai(&["<dc:title>é</dc:title>", "<dc:title>b</dc:title>"]));
    let decoded = decode("oai_dc", &text);
    let start: usize = decoded.get("byte_start", 1).parse().unwrap();
    let length: usize = decoded.get("byte_len", 1).parse().unwrap();
    let record = &text[start..start + length];
    assert!(record.starts_with("<record><header><identifier>oai:x:1") && record.ends_with("</record>"), "{record}");
    assert_eq!(decoded.get("raw", 1), record);
}

#[test]
fn namespaces_count_not_prefixes() {
    let text = "<OAI-PMH xmlns='http://www.openarchives.org/OAI/2.0/'><ListRecords><record><header><identifier>1</identifier></header><metadata>
        <d:dc xmlns:d='http://www.openarchives.org/OAI/2.0/oai_dc/' xmlns:t='http://purl.org/dc/elements/1.1/' xmlns:dc='urn:other'>
        <t:title>right</t:title><dc:title>wrong</dc:title><title xmlns='http://purl.org/dc/terms/'>terms</title></d:dc></metadata></record></ListRecords></OAI-PMH>";
    let decoded = decode("oai_dc", text);
    assert_eq!(decoded.get("title", 0), "[right, terms]");
    assert!(decoded.get("other", 0).contains("ns: urn:other, value: wrong"), "{}", decoded.get("other", 0));
}

#[test]
fn a_page_without_namespaces_is_understood() {
    let text = "<OAI-PMH><ListRecords><record><header><identifier>1</identifier></header><metadata><dc><title>A</title><isPartOf>B</isPartOf></dc></metadata></record></ListRecords></OAI-PMH>";
    let decoded = decode("oai_dc", text);
    assert_eq!(
        (decoded.get("title", 0), decoded.get("is_part_of", 0), decoded.get("other", 0)),
        ("[A]".into(), "[B]".into(), "NULL".into())
    );
}

#[test]
fn an_undeclared_prefix_means_what_the_schema_means_by_it() {
    let text =
        "<record><header><identifier>1</identifier></header><metadata><oai_dc:dc><dc:title>A</dc:title></oai_dc:dc></metadata></record>";
    assert_eq!(decode("oai_dc", text).get("title", 0), "[A]");
}

#[test]
fn entities_cdata_and_mixed_content_make_one_text() {
    let record = "<dc:title>A &amp; B &lt;i&gt;&#233;&#xE9;&nbsp;<![CDATA[<b> & c]]> <x>in<!-- not --><y>side</y></x> end</dc:title>";
    let decoded = decode("oai_dc", oai(&[record]));
    assert_eq!(decoded.get("title", 0), "[A & B <i>éé\u{a0}<b> & c inside end]");
    assert_eq!(decoded.get("problems", 0), "[]");
}

#[test]
fn undeclared_entities_and_bare_ampersands_stay_and_are_reported() {
    let decoded = decode("oai_dc", oai(&["<dc:title>A &foo; B</dc:title>", "<dc:title>Smith & Sons; AT&T</dc:title>"]));
    assert_eq!((decoded.get("title", 0), decoded.get("title", 1)), ("[A &foo; B]".into(), "[Smith & Sons; AT&T]".into()));
    assert!(decoded.get("problems", 0).contains("PX122, message: the entity &foo; is not declared"), "{}", decoded.get("problems", 0));
    assert!(decoded.get("problems", 1).contains("a bare & is kept"), "{}", decoded.get("problems", 1));
}

#[test]
fn blank_values_are_dropped_and_counted_and_others_are_not_touched() {
    let decoded =
        decode_with(&custom("record_path = 'r/o'\nfields.t = 't'"), "<r><o><t> \n\u{a0}</t><t/><t> a  b\n</t><t>c\r\nd</t></o></r>");
    assert_eq!(decoded.get("t", 0), "[ a  b\n, c\nd]");
    assert_eq!(decoded.tally.empty_values, 2);
}

#[test]
fn attributes_predicates_delimiters_and_joins_work() {
    let format = custom(
        "record_path = 'export/object'\nrecord_id = '@id'\nenvelope.deleted = \".[@gone='yes']\"\n[fields]\nsubject = { path = 'subjects', delimiter = '|' }\n\
         place = { path = \"coverage[@q='spatial']\" }\nplain = { path = 'coverage[!@q]' }\nmarked = { path = 'coverage[@q]' }\n\
         notspatial = { path = \"coverage[@q!='spatial']\" }\nq = 'coverage/@q'\nall = { path = 'coverage', kind = 'text', join = '/' }\nfirst = { path = 'coverage', kind = 'text' }\nany = '*/deep'",
    );
    let text = "<export><object id=' 7 '><subjects>a| b ||c</subjects><coverage q='spatial'>Rome</coverage><coverage q='temporal'>1900</coverage>\
                <coverage>x</coverage><w><deep>d</deep></w></object><object id='8' gone='yes'/></export>";
    let decoded = decode_with(&format, text);
    let got: Vec<String> = ["record_id", "subject", "place", "plain", "marked", "notspatial", "q", "all", "first", "any"]
        .iter()
        .map(|column| decoded.get(column, 0))
        .collect();
    assert_eq!(got, ["7", "[a, b, c]", "[Rome]", "[x]", "[Rome, 1900]", "[1900, x]", "[spatial, temporal]", "Rome/1900/x", "Rome", "[d]"]);
    assert_eq!((decoded.get("deleted", 0), decoded.get("deleted", 1)), ("false".into(), "true".into()));
}

#[test]
fn marc_keeps_the_order_of_fields_and_subfields() {
    let text = "<collection xmlns='http://www.loc.gov/MARC21/slim'><record><leader>00925njm</leader><controlfield tag='001'> 42 </controlfield>\
        <datafield tag='245' ind1='0' ind2=' '><subfield code='a'>T</subfield><subfield code='b'/></datafield><datafield tag='650' ind1=' ' ind2='0'><subfield code='a'>S</subfield></datafield></record></collection>";
    let decoded = decode("marcxml", text);
    assert_eq!(decoded.get("record_id", 0), "42");
    assert_eq!(decoded.get("leader", 0), "00925njm");
    assert_eq!(decoded.get("control", 0), "[{tag: 001, value:  42 }]");
    assert_eq!(
        decoded.get("data", 0),
        "[{tag: 245, ind1: 0, ind2:  , subfields: [{code: a, value: T}, {code: b, value: }]}, {tag: 650, ind1:  , ind2: 0, subfields: [{code: a, value: S}]}]"
    );
    assert_eq!(decoded.get("record_format", 0), "marc");
}

#[test]
fn mods_groups_hold_together() {
    let text = "<mods xmlns='http://www.loc.gov/mods/v3' xmlns:xlink='http://www.w3.org/1999/xlink'><titleInfo><nonSort>The </nonSort><title>Cat</title></titleInfo>\
        <titleInfo type='alternative'><title>Dog</title></titleInfo><name type='personal'><namePart>Leigh</namePart><namePart>R. H.</namePart><role><roleTerm>author</roleTerm></role></name>\
        <originInfo><dateIssued encoding='w3cdtf'>1901</dateIssued><dateCreated>1900</dateCreated></originInfo><subject/><subject authority='lcsh'><topic>A</topic><topic>B</topic></subject>\
        <identifier type='local'>L1</identifier><accessCondition xlink:href='urn:r'>Free</accessCondition></mods>";
    let decoded = decode("mods", text);
    assert_eq!(decoded.get("record_id", 0), "L1");
    assert_eq!((decoded.get("title", 0), decoded.get("title_alternative", 0)), ("[Cat]".into(), "[Dog]".into()));
    assert!(decoded.get("title_parts", 0).starts_with("[{type: , non_sort: The , title: Cat,"));
    assert!(decoded.get("name", 0).starts_with("[{text: Leigh, R. H., role: [author], type: personal,"));
    assert!(decoded.get("date", 0).starts_with("[{kind: dateIssued, value: 1901, encoding: w3cdtf,"));
    assert!(decoded.get("subject", 0).starts_with("[{topic: [A, B], "), "{}", decoded.get("subject", 0));
    assert!(decoded.get("access_condition", 0).contains("text: Free, href: urn:r"));
    assert_eq!(decoded.get("xml", 0), text);
}

#[test]
fn the_xml_column_stands_alone() {
    let text = "<OAI-PMH xmlns='http://www.openarchives.org/OAI/2.0/' xmlns:xlink='urn:l'><ListRecords><record xmlns:xlink='urn:link'><header><identifier>1</identifier></header>\
        <metadata><mods xmlns='http://www.loc.gov/mods/v3' a='>'><note xlink:x='1'/></mods></metadata></record></ListRecords></OAI-PMH>";
    let decoded = decode("mods", text);
    assert_eq!(decoded.get("xml", 0), "<mods xmlns:xlink=\"urn:link\" xmlns='http://www.loc.gov/mods/v3' a='>'><note xlink:x='1'/></mods>");
}

#[test]
fn every_element_is_in_dc_values_and_unread_ones_in_other() {
    let record = "<dc:title xml:lang='fr' id='t&amp;1'>Un</dc:title><edm:x xmlns:edm='urn:edm' xmlns:xsi='urn:xsi' xsi:type='dcterms:URI'>y</edm:x><dc:date/>";
    let decoded = decode("oai_dc", oai(&[record]));
    assert_eq!(
        decoded.get("dc_values", 0),
        "[{element: title, ns: http://purl.org/dc/elements/1.1/, value: Un, lang: fr, scheme: , attrs: [{name: id, value: t&1}]}, \
          {element: x, ns: urn:edm, value: y, lang: , scheme: dcterms:URI, attrs: }]"
    );
    assert!(decoded.get("other", 0).starts_with("[{element: x, ns: urn:edm, value: y,"));
}

#[test]
fn what_is_unread_does_not_depend_on_the_projection() {
    let source = SourceSchema::shipped("oai_dc").unwrap();
    let other = source.table_schema().index_of("other").unwrap();
    let decoded =
        run(&XmlFormat::new(&source, &[other], 10).unwrap(), PageBytes::Whole(oai(&["<dc:title>a</dc:title><dc:foo>b</dc:foo>"]).into()));
    assert!(decoded.get("other", 0).starts_with("[{element: foo"));
}

#[test]
fn a_projection_may_have_any_order_or_no_column_at_all() {
    let source = SourceSchema::shipped("oai_dc").unwrap();
    let schema = source.table_schema();
    let projection = ["title", "record_id", "creator", "deleted"].map(|name| schema.index_of(name).unwrap());
    let text = oai(&["<dc:title>a</dc:title>", "<dc:creator>b</dc:creator>"]);
    let decoded = run(&XmlFormat::new(&source, &projection, 1).unwrap(), PageBytes::Whole(text.clone().into()));
    assert_eq!(
        decoded.batch.schema().fields().iter().map(|field| field.name().as_str()).collect::<Vec<_>>(),
        ["title", "record_id", "creator", "deleted"]
    );
    assert_eq!((decoded.get("title", 0), decoded.get("record_id", 1)), ("[a]".into(), "oai:x:1".into()));
    let none = XmlFormat::new(&source, &[], 10).unwrap();
    let mut rows = 0;
    none.decode(&page(), PageBytes::Whole(text.into()), &mut |batch| {
        rows += batch.num_rows();
        Ok(())
    })
    .unwrap();
    assert_eq!(rows, 2);
}

#[test]
fn batches_have_at_most_the_rows_asked_for() {
    let source = SourceSchema::shipped("oai_dc").unwrap();
    let format = XmlFormat::new(&source, &[1, 5, 17], 2).unwrap();
    let mut sizes = Vec::new();
    let text = oai(&["<dc:title>a</dc:title>"; 5]);
    format
        .decode(&page(), PageBytes::Whole(text.into()), &mut |batch| {
            sizes.push(batch.num_rows());
            Ok(())
        })
        .unwrap();
    assert_eq!(sizes, [2, 2, 1]);
}

#[test]
fn a_broken_page_gives_its_good_records() {
    let text = oai(&["<dc:title>a</dc:title>", "<dc:title>b</dc:title>", "\n  <dc:title>c</dc:tile>", "<dc:title>d</dc:title>"]);
    let decoded = decode("oai_dc", text);
    assert_eq!((decoded.tally.records, decoded.batch.num_rows()), (2, 2));
    assert_eq!(decoded.get("title", 1), "[b]");
    assert_eq!(decoded.codes(), ["PX101"]);
    assert_eq!(
        decoded.message(),
        "not well-formed XML: line 9 col 14: <dc:title> closed by </dc:tile>; the 2 records before it were read, the rest of the page is missing; mend or fetch the page again"
    );
}

#[test]
fn a_page_after_a_broken_one_starts_clean() {
    let format = shipped("mods");
    let broken = "<modsCollection xmlns='http://www.loc.gov/mods/v3'><mods><identifier>1</identifier><name><namePart>Half";
    assert_eq!(run(&format.whole, PageBytes::Whole(broken.into())).batch.num_rows(), 0);
    let good = "<mods xmlns='http://www.loc.gov/mods/v3'><identifier>2</identifier><name><namePart>Whole</namePart></name></mods>";
    let decoded = run(&format.whole, PageBytes::Whole(good.into()));
    assert_eq!(decoded.batch.num_rows(), 1);
    assert!(decoded.get("name", 0).starts_with("[{text: Whole,"), "{}", decoded.get("name", 0));
    assert!(decoded.get("identifier", 0).starts_with("[{type: , value: 2,"), "{}", decoded.get("identifier", 0));
}

#[test]
fn a_page_that_ends_too_soon_is_cut_off() {
    let text = oai(&["<dc:title>a</dc:title>", "<dc:title>b</dc:title>"]);
    let at = text.rfind("<dc:title>").unwrap();
    let decoded = decode("oai_dc", &text[..at + 3]);
    assert_eq!((decoded.tally.records, decoded.codes()), (1, vec!["PX101"]));
    assert!(decoded.message().contains("the page ends inside a tag"), "{}", decoded.message());
    let decoded = decode("oai_dc", &text[..at]);
    assert!(decoded.message().contains("the page ends before </OAI-PMH>; the 1 record before it was read"), "{}", decoded.message());
}

#[test]
fn answers_that_are_not_records_say_what_they_are() {
    let cases = [
        ("<OAI-PMH><error code='badResumptionToken'>expired</error></OAI-PMH>", "PX110", "badResumptionToken \"expired\""),
        ("<OAI-PMH xmlns='http://www.openarchives.org/OAI/2.0/'><error code='noRecordsMatch'/></OAI-PMH>", "PX112", "noRecordsMatch"),
        ("<OAI-PMH><ListRecords>\n</ListRecords></OAI-PMH>", "PX112", "has no records"),
        ("<!DOCTYPE html><html><head><script>x()</script><title>503 Service</title><body><p>Down &amp; out", "PX111", "\"503 Service Down"),
        ("<HTML><BODY><p>Login<br></BODY>", "PX111", "which says: \"Login\""),
        (
            "<OAI-PMH><ListMetadataFormats/></OAI-PMH>",
            "PX113",
            "its root element is <OAI-PMH>, in no namespace, and nothing is at oai:OAI-PMH/oai:ListRecords",
        ),
        (
            "<z:searchRetrieveResponse xmlns:z='http://www.loc.gov/zing/srw/'><z:diagnostics><diagnostic><message>Bad query</message></diagnostic></z:diagnostics></z:searchRetrieveResponse>",
            "PX113",
            "it says: \"Bad query\"",
        ),
        ("Service unavailable", "PX101", "begins with \"Service unavailable\""),
        ("", "PX115", "empty (0 bytes)"),
        (" \n", "PX113", "it has no elements"),
    ];
    for (text, code, says) in cases {
        let decoded = decode("oai_dc", text);
        assert_eq!((decoded.tally.records, decoded.codes()), (0, vec![code]), "{text}: {:?}", decoded.tally);
        assert!(decoded.message().contains(says), "{text}: {}", decoded.message());
    }
}

#[test]
fn what_follows_the_document_is_ignored_and_reported() {
    for notice in ["Powered by X", "<div>x</div>", "</p>", "<!-- fine --> & more"] {
        let decoded = decode("oai_dc", oai(&["<dc:title>a</dc:title>"]) + notice);
        assert_eq!((decoded.tally.records, decoded.codes()), (1, vec!["PX114"]), "{notice}: {:?}", decoded.tally);
    }
    assert!(decode("oai_dc", oai(&["<dc:title>a</dc:title>"]) + "<!-- fine -->\n").codes().is_empty());
}

#[test]
fn one_document_after_another_is_one_page() {
    let text = format!("<?xml version='1.0'?><oai_dc:dc {DC}><dc:title>a</dc:title></oai_dc:dc>\n").repeat(3);
    let decoded = decode("oai_dc", text);
    assert_eq!((decoded.tally.records, decoded.codes().len()), (3, 0));
    assert!(decoded.get("problems", 0).contains("PX120"));
}

#[test]
fn a_record_without_metadata_is_kept_with_a_problem() {
    let text = "<OAI-PMH><ListRecords><record><header><identifier>1</identifier></header></record>\
        <record><header status='deleted'><identifier>2</identifier></header></record>\
        <record><header><identifier>3</identifier></header><metadata><didl:DIDL xmlns:didl='urn:d'/></metadata></record>\
        <record><header><identifier>4</identifier></header><metadata><dc><title>a</title></dc></metadata><metadata><dc><title>b</title></dc></metadata></record></ListRecords></OAI-PMH>";
    let decoded = decode("oai_dc", text);
    assert_eq!(decoded.tally.records, 4);
    assert!(
        decoded.get("problems", 0).contains("PX121, message: the record has no metadata (oai:metadata/dc"),
        "{}",
        decoded.get("problems", 0)
    );
    assert_eq!(
        (decoded.get("deleted", 1), decoded.get("problems", 1), decoded.get("title", 1)),
        ("true".into(), "[]".into(), "NULL".into())
    );
    assert!(
        decoded.get("problems", 2).contains("PX121, message: the record's metadata is <didl:DIDL>, not oai:metadata/dc"),
        "{}",
        decoded.get("problems", 2)
    );
    assert!(decoded.get("problems", 3).contains("PX124") && decoded.get("title", 3) == "[a, b]");
}

#[test]
fn invalid_bytes_are_replaced_and_named() {
    let text = oai(&["<dc:title>a?b</dc:title>", "<dc:title>c</dc:title>"]);
    let at = text.find('?').unwrap().max(text.find("a?b").unwrap() + 1);
    let mut bytes = text.clone().into_bytes();
    bytes[at] = 0xff;
    let whole = run(&shipped("oai_dc").whole, PageBytes::Whole(bytes.into()));
    assert_eq!(whole.get("title", 0), "[a\u{fffd}b]");
    assert!(
        whole.get("problems", 0).contains(&format!("PX123, message: 1 byte is not valid at byte {at} of the page")),
        "{}",
        whole.get("problems", 0)
    );
    assert_eq!(whole.get("problems", 1), "[]");
    // Offsets are those of the page, in which one byte stood where there are three now.
    let start: usize = whole.get("byte_start", 1).parse().unwrap();
    assert!(text[start..].starts_with("<record><header><identifier>oai:x:1"));
}

#[test]
fn encodings_are_read_whole_and_streamed() {
    let body = "<r><o><t>é “ü”</t></o></r>";
    let format = custom("record_path = 'r/o'\nfields.t = 't'");
    let utf16: Vec<u8> =
        format!("\u{feff}<?xml version='1.0' encoding='UTF-16'?>{body}").encode_utf16().flat_map(u16::to_be_bytes).collect();
    let (latin, ..) = encoding_rs::WINDOWS_1252.encode(body);
    let latin = [b"<?xml version='1.0' encoding='ISO-8859-1'?>", &latin[..]].concat();
    for bytes in [body.as_bytes().to_vec(), utf16, latin] {
        assert_eq!(decode_with(&format, bytes).get("t", 0), "[é “ü”]");
    }
    let unknown = decode_with(&format, format!("<?xml version='1.0' encoding='klingon'?>{body}"));
    assert_eq!((unknown.get("t", 0), unknown.codes()), ("[é “ü”]".into(), vec!["PX106"]));
}

#[test]
fn gzip_is_unpacked_and_broken_gzip_gives_its_good_records() {
    let text = oai(&vec!["<dc:title>a title that is long enough</dc:title>"; 2000]);
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    let packed = encoder.finish().unwrap();
    let format = shipped("oai_dc");
    assert_eq!(run(&format.whole, PageBytes::Whole(packed.clone().into())).tally.records, 2000);
    let cut = decode_with(&format, &packed[..packed.len() / 2]);
    assert!(cut.tally.records > 100 && cut.tally.records < 2000, "{:?}", cut.tally);
    assert_eq!(cut.codes(), ["PX105"]);
}

#[test]
fn a_large_stream_is_decoded_in_bounded_memory() {
    /// Records without end, until there are enough.
    struct Records(u32, Cursor<Vec<u8>>);
    impl std::io::Read for Records {
        fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
            if self.1.position() as usize == self.1.get_ref().len() && self.0 > 0 {
                self.0 -= 1;
                let text = if self.0 == 0 { "</r>".to_owned() } else { format!("<o><i>{}</i><t>{}</t></o>", self.0, "x".repeat(50_000)) };
                self.1 = Cursor::new(text.into_bytes());
            }
            self.1.read(into)
        }
    }
    let source = Records(1501, Cursor::new(b"<r>".to_vec()));
    let format = custom("record_path = 'r/o'\nrecord_id = 'i'\nfields.t = 't'");
    let mut largest = 0;
    let tally = format.streaming.decode(&page(), PageBytes::Stream(Box::new(source)), &mut |batch| {
        largest = largest.max(batch.get_array_memory_size());
        Ok(())
    });
    assert_eq!(tally.unwrap().records, 1500);
    assert!(largest < 5 * BATCH_BYTES as usize, "{largest}");
}

#[test]
fn a_failing_storage_is_an_error_and_names_the_page() {
    struct Failing;
    impl std::io::Read for Failing {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            Err(std::io::Error::other("connection lost"))
        }
    }
    let error = shipped("oai_dc").whole.decode(&page(), PageBytes::Stream(Box::new(Failing)), &mut |_| Ok(())).unwrap_err();
    assert!(error.to_string().contains("PX104 page data/9.xml of collection 26773 cannot be read: connection lost"), "{error}");
}

#[test]
fn what_a_field_of_one_value_leaves_out_is_counted() {
    let fields = "record_path = 'r/o'\nfields.depth = { path = 'd', kind = 'text', delimiter = '|' }\nfields.all = { path = 'd', kind = 'text', join = '/' }\n\
        fields.p = { path = 'p', kind = 'group', members.n = { path = 'n', kind = 'text' } }\nfields.x = { path = 'd', kind = 'xml' }";
    let decoded =
        decode_with(&custom(fields), "<r><o><d>7</d></o><o><d>1|2| |3</d><d>4</d><p><n>a</n><n>b</n></p></o><o><p><n>c</n></p></o></r>");
    assert_eq!((decoded.get("depth", 1), decoded.get("all", 1), decoded.get("p", 1)), ("1".into(), "1|2| |3/4".into(), "[{n: a}]".into()));
    let problems = decoded.get("problems", 1);
    assert!(problems.contains("depth holds one value; 3 more are left out, the first of them \"2\""), "{problems}");
    assert!(problems.contains("p.n holds one value; 1 more is left out: \"b\""), "{problems}");
    assert!(problems.contains("x holds one value; 1 more is left out: \"<d>4</d>\""), "{problems}");
    assert!(!problems.contains("all holds"), "{problems}");
    // The record before and the record after have nothing to say.
    assert!([0, 2].iter().all(|row| !decoded.get("problems", *row).contains("PX127")));
}

#[test]
fn broken_attributes_are_reported_and_the_others_read() {
    let decoded = decode_with(&custom("record_path = 'r/o'\nfields.a = 't/@a'\nfields.b = 't/@b'"), "<r><o><t a=1 b='2'>x</t></o></r>");
    assert_eq!((decoded.get("a", 0), decoded.get("b", 0)), ("NULL".into(), "[2]".into()));
    assert!(decoded.get("problems", 0).contains("PX125"));
}
