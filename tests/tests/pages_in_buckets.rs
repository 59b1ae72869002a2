//! Reading pages over a network: how many requests are under way, in which order, and what is never read twice or mixed.

#![expect(clippy::unwrap_used, reason = "a test may fail")]

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use engine::query::{self, tables::Overlay};
use engine::session::Session;
use pacha_tests::fixture::Fixture;
use pacha_tests::s3::{Fault, Gate, Request, Server};
use schemas::problem::Source;

/// A session without a project, whose bucket `raw` is the server's.
fn session(server: &Server) -> Fixture {
    let fixture = Fixture::bare().unwrap();
    let place = server.storage().resolve("s3://raw/", std::path::Path::new("/")).unwrap();
    fixture.session.context.runtime_env().register_object_store(&place.url, place.store);
    fixture
}

/// A page of so many records, each with a description of so many letters.
fn page(number: usize, records: usize, letters: usize) -> String {
    let mut text = String::from("<OAI-PMH xmlns=\"http://www.openarchives.org/OAI/2.0/\"><ListRecords>");
    for record in 0..records {
        let _ = write!(
            text,
            "<record><header><identifier>oai:{number}:{record}</identifier><datestamp>2026-01-01</datestamp></header><metadata>\
             <dc xmlns=\"http://www.openarchives.org/OAI/2.0/oai_dc/\" xmlns:dc=\"http://purl.org/dc/elements/1.1/\">\
             <dc:title>{number}</dc:title><dc:description>{}</dc:description></dc></metadata></record>",
            "x".repeat(letters)
        );
    }
    text + "</ListRecords></OAI-PMH>"
}

async fn count(session: &Session, from: &str) -> Result<i64, String> {
    let sql = format!("SELECT count(*), count(DISTINCT record_id) FROM pages('s3://raw/{from}', 'oai_dc')");
    let source = Arc::new(Source { path: "query".into(), text: sql.clone() });
    let statement = query::statements(&source).unwrap().remove(0);
    let frame = query::plan(session, &source, 0..sql.len(), statement, &Overlay::default(), &BTreeMap::new()).await;
    let frame = frame.map_err(|error| error.to_string())?;
    let batches = frame.collect().await.map_err(|error| engine::sql::mistake::running(&error).to_string())?;
    let number = |column: usize| batches[0].column(column).as_primitive::<Int64Type>().value(0);
    assert_eq!(number(0), number(1), "a record came twice");
    Ok(number(0))
}

fn read(request: &Request) -> bool {
    request.method == "GET" && !request.query.contains("list-type")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_next_pages_are_on_their_way_before_the_first_has_come() {
    let server = Server::start();
    for number in 0..200 {
        server.buckets.put("raw", &format!("a/page-{number:03}.xml"), page(number, 3, 10));
    }
    let fixture = session(&server);
    let gate = Gate::new();
    server.fail(usize::MAX, read, Fault::Held(gate.clone()));
    let opened = async {
        // Not one of them is answered yet.
        gate.reached(32).await;
        gate.open();
    };
    let (rows, ()) = tokio::join!(count(&fixture.session, "a"), opened);
    assert_eq!(rows.unwrap(), 600);
    let requests = server.requests();
    assert_eq!(requests.iter().filter(|request| read(request)).count(), 200, "one request a page");
    assert_eq!(requests.len(), 201, "and one for the list of them");
    assert!(server.most_at_once() <= 64, "{} at once", server.most_at_once());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_asked_for_ahead_is_bounded_by_bytes() {
    let server = Server::start();
    for number in 0..12 {
        server.buckets.put("raw", &format!("a/page-{number:02}.xml"), page(number, 3, 1_000_000));
    }
    let fixture = session(&server);
    assert_eq!(count(&fixture.session, "a").await.unwrap(), 36);
    let partitions = fixture.session.context.state().config().target_partitions();
    // Of pages of 3 MB, two are within 8 MiB; and the one that is decoded.
    assert!(server.most_at_once() <= 3 * partitions, "{} at once", server.most_at_once());
    assert_eq!(server.requests().iter().filter(|request| read(request)).count(), 12);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_page_is_read_in_ranges_and_is_whole() {
    let server = Server::start();
    for (name, records) in [("large", 10), ("larger", 70)] {
        let text = page(1, records, 1_000_000);
        let size = text.len();
        server.buckets.put("raw", &format!("{name}/page.xml"), text);
        server.forget();
        let fixture = session(&server);
        assert_eq!(count(&fixture.session, name).await.unwrap(), i64::try_from(records).unwrap());
        let mut ranges: Vec<String> =
            server.requests().iter().filter(|request| read(request)).map(|request| request.header("range").unwrap().to_owned()).collect();
        ranges.sort();
        ranges.dedup();
        assert_eq!(ranges.len(), size.div_ceil(8 << 20), "{name}: {ranges:?}");
        assert_eq!(server.requests().iter().filter(|request| read(request)).count(), ranges.len(), "{name}: a range came twice");
        assert!(server.most_at_once() <= 4, "{name}: {} at once", server.most_at_once());
    }
}

#[tokio::test]
async fn a_page_that_is_replaced_while_it_is_read_is_an_error_and_not_a_mixture() {
    let server = Server::start();
    server.buckets.put("raw", "a/page.xml", page(1, 20, 1_000_000));
    let fixture = session(&server);
    let replaced = page(2, 20, 1_000_000);
    server.fail(1, |request| read(request) && !request.header("range").unwrap_or_default().starts_with("bytes=0-"), {
        Fault::before(move |buckets, _| buckets.put("raw", "a/page.xml", replaced.clone()))
    });
    let error = count(&fixture.session, "a").await.unwrap_err();
    assert!(
        error.starts_with("PX104 page s3://raw/a/page.xml") && error.contains("cannot be read: it has changed since the run began"),
        "{error}"
    );
}

#[tokio::test]
async fn a_page_that_is_gone_or_refused_is_named_with_the_reason() {
    for (fault, reason) in [
        (Fault::answer(404, "NoSuchKey", "The specified key does not exist."), "there is no such file"),
        (Fault::access_denied(), "access denied: s3:GetObject on arn:aws:s3:::raw/a/page.xml"),
        (Fault::expired_token(), "the credentials have expired"),
    ] {
        let server = Server::start();
        server.buckets.put("raw", "a/page.xml", page(1, 3, 10));
        let fixture = session(&server);
        server.fail(usize::MAX, read, fault);
        let error = count(&fixture.session, "a").await.unwrap_err();
        assert!(error.starts_with("PX104 page s3://raw/a/page.xml cannot be read: ") && error.contains(reason), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_that_breaks_off_while_it_is_streamed_says_why() {
    let server = Server::start();
    server.buckets.put("raw", "a/page.xml", page(1, 70, 1_000_000));
    let fixture = session(&server);
    server.fail(
        usize::MAX,
        |request| request.header("range").is_some_and(|range| range.starts_with("bytes=41943040-")),
        Fault::expired_token(),
    );
    let error = count(&fixture.session, "a").await.unwrap_err();
    assert!(
        error.starts_with("PX104 page s3://raw/a/page.xml of collection ") && error.contains("the credentials have expired"),
        "{error}"
    );
}
