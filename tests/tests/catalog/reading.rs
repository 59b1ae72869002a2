//! Tables that others have registered, and ours from elsewhere, read by name.

use engine::project::Partitions;
use pacha_tests::glue::Fault;
use serde_json::{Value, json};

use super::world::{World, ask, commit, publish};

const OPEN_CSV: &str = "org.apache.hadoop.hive.serde2.OpenCSVSerde";
const LAZY: &str = "org.apache.hadoop.hive.serde2.lazy.LazySimpleSerDe";
const JSON: &str = "org.openx.data.jsonserde.JsonSerDe";
const PARQUET: &str = "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe";

/// A table of theirs: its folder below the test's own, columns and keys as name:type, how it is read.
struct Theirs<'a> {
    name: &'a str,
    columns: &'a [(&'a str, &'a str)],
    keys: &'a [(&'a str, &'a str)],
    serde: (&'a str, Value),
    parameters: Value,
}

fn columns(of: &[(&str, &str)]) -> Value {
    of.iter().map(|(name, kind)| json!({ "Name": name, "Type": kind })).collect()
}

impl Theirs<'_> {
    fn descriptor(&self, world: &World, below: &str) -> Value {
        json!({
            "Location": format!("file://{}/theirs/{}/{below}", world.path().display(), self.name),
            "Columns": columns(self.columns),
            "SerdeInfo": { "SerializationLibrary": self.serde.0, "Parameters": self.serde.1 },
        })
    }

    fn register(&self, world: &World) {
        let database = json!({ "DatabaseInput": { "Name": "theirs" } });
        let _ = world.glue.call("CreateDatabase", &database);
        let input = json!({
            "Name": self.name, "TableType": "EXTERNAL_TABLE", "PartitionKeys": columns(self.keys), "Parameters": self.parameters,
            "StorageDescriptor": self.descriptor(world, ""),
        });
        world.glue.call("CreateTable", &json!({ "DatabaseName": "theirs", "TableInput": input })).unwrap();
    }

    fn partition(&self, world: &World, below: &str, values: &[&str]) {
        let input = json!({ "Values": values, "StorageDescriptor": self.descriptor(world, below) });
        let body = json!({ "DatabaseName": "theirs", "TableName": self.name, "PartitionInputList": [input] });
        let answer = world.glue.call("BatchCreatePartition", &body).unwrap();
        assert_eq!(answer["Errors"], json!([]));
    }
}

fn write(world: &World, path: &str, bytes: impl AsRef<[u8]>) {
    let path = world.path().join("theirs").join(path);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, bytes).unwrap();
}

fn table(lines: &[&str]) -> String {
    lines.join("\n")
}

#[tokio::test]
async fn csv_of_two_kinds_and_json_are_read_as_glue_describes_them() {
    let world = World::new();
    write(&world, "open/a.csv", "name;depth\n\"Pier; east\";12\nQuay;3\n");
    write(&world, "open/_SUCCESS", "");
    write(&world, "open/.hidden.csv", "no;1\n");
    Theirs {
        name: "open",
        columns: &[("name", "string"), ("depth", "int")],
        keys: &[],
        serde: (OPEN_CSV, json!({ "separatorChar": ";", "quoteChar": "\"" })),
        parameters: json!({ "skip.header.line.count": "1", "classification": "csv" }),
    }
    .register(&world);
    write(&world, "lazy/a", "Pier \"east\"\u{1}12\n\\N\u{1}3\n");
    Theirs {
        name: "lazy",
        columns: &[("name", "string"), ("depth", "bigint")],
        keys: &[],
        serde: (LAZY, json!({})),
        parameters: json!({}),
    }
    .register(&world);
    write(&world, "json/a.json", "{\"name\":\"Pier\",\"at\":{\"x\":1.5}}\n{\"name\":\"Quay\",\"at\":null}\n");
    Theirs {
        name: "json",
        columns: &[("name", "string"), ("at", "struct<x:double>")],
        keys: &[],
        serde: (JSON, json!({})),
        parameters: json!({}),
    }
    .register(&world);
    let session = world.session();
    let open = ask(&session, "SELECT name, depth + 1 AS deeper FROM theirs.open ORDER BY depth").await.unwrap();
    assert_eq!(
        open,
        table(&[
            "+------------+--------+",
            "| name       | deeper |",
            "+------------+--------+",
            "| Quay       | 4      |",
            "| Pier; east | 13     |",
            "+------------+--------+"
        ])
    );
    let lazy = ask(&session, "SELECT name, depth FROM theirs.lazy ORDER BY depth").await.unwrap();
    assert!(lazy.contains("|             | 3     |") && lazy.contains("| Pier \"east\" | 12    |"), "{lazy}");
    let json = ask(&session, "SELECT name, at.x AS x FROM theirs.json WHERE at IS NOT NULL").await.unwrap();
    assert!(json.contains("| Pier | 1.5 |") && !json.contains("Quay"), "{json}");
}

#[tokio::test]
async fn a_query_asks_for_the_partitions_it_needs_in_the_words_of_glue() {
    let world = World::new();
    let days = Theirs {
        name: "days",
        columns: &[("n", "int")],
        keys: &[("day", "date"), ("hour", "int"), ("place", "string")],
        serde: (LAZY, json!({ "field.delim": "," })),
        parameters: json!({}),
    };
    days.register(&world);
    for day in 1..=12 {
        let folder = format!("day=2026-11-{day:02}/");
        write(&world, &format!("days/{folder}a.csv"), format!("{day}\n"));
        days.partition(&world, &folder, &[&format!("2026-11-{day:02}"), &day.to_string(), if day == 5 { "it's" } else { "pier" }]);
    }
    let session = world.session();
    let sum = async |condition: &str| {
        world.glue.forget_requests();
        let shown = ask(&session, &format!("SELECT sum(n) AS n, count(*) AS c FROM theirs.days WHERE {condition}")).await.unwrap();
        let asked: Vec<Value> = world.glue.asked("GetPartitions").into_iter().map(|body| body["Expression"].clone()).collect();
        (shown.lines().nth(3).unwrap().to_owned(), asked)
    };
    let (row, asked) = sum("day = DATE '2026-11-03'").await;
    assert_eq!((row.as_str(), &asked[..]), ("| 3 | 1 |", &[json!("day = '2026-11-03'")][..]));
    let (row, asked) = sum("hour > 9 AND n < 12").await;
    assert_eq!((row.as_str(), &asked[0]), ("| 21 | 2 |", &json!("hour > 9")), "10 as a number comes after 9");
    let (row, asked) = sum("place IN ('it''s', 'nowhere')").await;
    assert_eq!(row, "| 5 | 1 |");
    assert!(
        asked[0] == "(place = 'it''s' OR place = 'nowhere')"
            || asked[0] == "place IN ('it''s', 'nowhere')"
            || asked[0] == "place = 'it''s' OR place = 'nowhere'",
        "{asked:?}"
    );
    let (row, asked) = sum("n > 0").await;
    assert_eq!(row, "| 78 | 12 |");
    assert!(asked.len() > 1 && asked.iter().all(Value::is_null), "all of them, in pages: {asked:?}");
    let (row, asked) = sum("n = 2 OR hour = 4").await;
    assert_eq!((row.as_str(), &asked[0]), ("| 6 | 2 |", &json!(null)), "either side may be true: nothing can be left out");
    let typed =
        ask(&session, "SELECT arrow_typeof(day) AS d, arrow_typeof(hour) AS h, place FROM theirs.days WHERE hour = 5").await.unwrap();
    assert!(typed.contains("| Date32 | Int32 | it's  |"), "{typed}");
}

#[tokio::test]
async fn parquet_in_folders_is_read_by_their_names_where_the_table_is_projected() {
    let world = World::new();
    let session = world.session();
    // Files of a version of ours serve as somebody's Parquet.
    commit(&session, "d", "mapped", &[&["a"], &["b", "b"]]).await;
    for (number, folder) in [(0, "kind=one%2Ftwo"), (1, "kind=__HIVE_DEFAULT_PARTITION__")] {
        let bytes = std::fs::read(world.path().join(format!("warehouse/d/mapped/data/run1/{number}.parquet"))).unwrap();
        write(&world, &format!("kinds/{folder}/x.parquet"), bytes);
    }
    Theirs {
        name: "kinds",
        columns: &[("collection_id", "string"), ("title", "string"), ("n", "bigint")],
        keys: &[("kind", "string")],
        serde: (PARQUET, json!({})),
        parameters: json!({ "projection.enabled": "true" }),
    }
    .register(&world);
    let shown = ask(&session, "SELECT kind, count(*) AS c FROM theirs.kinds GROUP BY kind ORDER BY c").await.unwrap();
    assert!(shown.contains("| one/two | 1 |") && shown.contains("|         | 2 |"), "{shown}");
    // The files say Title; Glue knows no capitals, and a name that is not found would read as null.
    let titles = ask(&session, "SELECT title, kind FROM theirs.kinds WHERE title = 'a 0'").await.unwrap();
    assert!(titles.contains("| a 0   | one/two |"), "{titles}");
}

#[tokio::test]
async fn ours_are_read_through_their_log_at_the_version_that_glue_shows() {
    let world = World::new();
    let session = world.session_with(|glue| glue.prefix = "lib_".into());
    commit(&session, "d", "mapped", &[&["1"]]).await;
    publish(&session, "d").await.unwrap();
    commit(&session, "d", "mapped", &[&["1"], &["2"]]).await;
    let count = async |table: &str| ask(&session, &format!("SELECT count(*) AS c FROM {table}")).await.unwrap();
    assert!(count("lib_d.mapped").await.contains("| 1 |"), "what Glue shows, not what the log has");
    assert!(count("d.mapped").await.contains("| 2 |"));
    publish(&session, "d").await.unwrap();
    assert!(count("lib_d.mapped").await.contains("| 2 |"));
}

#[tokio::test]
async fn the_names_of_the_warehouse_win_and_those_of_glue_are_suggested() {
    let world = World::new();
    let session = world.session();
    commit(&session, "theirs", "mapped", &[&["1"], &["2"]]).await;
    for name in ["mapped", "boats"] {
        write(&world, &format!("{name}/a"), "x\n");
        Theirs { name, columns: &[("name", "string")], keys: &[], serde: (LAZY, json!({})), parameters: json!({}) }.register(&world);
    }
    assert!(ask(&session, "SELECT count(*) AS c FROM theirs.mapped").await.unwrap().contains("| 2 |"), "the warehouse's");
    assert!(ask(&session, "SELECT count(*) AS c FROM theirs.boats").await.unwrap().contains("| 1 |"));
    let error = ask(&session, "SELECT * FROM theirs.boots").await.unwrap_err().to_string();
    assert!(error.contains("no table theirs.boots") && error.contains("did you mean theirs.boats?"), "{error}");
}

#[tokio::test]
async fn what_cannot_be_read_says_why_and_what_would() {
    let world = World::new();
    type Case<'a> = (&'a str, &'a str, &'a [(&'a str, &'a str)], Value, &'a str);
    let cases: [Case<'_>; 5] = [
        ("cells", LAZY, &[("n", "array<int>")], json!({}), "column n is array<int> in a text file; hint: leave the column out"),
        (
            "orc",
            "org.apache.hadoop.hive.ql.io.orc.OrcSerde",
            &[("n", "int")],
            json!({}),
            "its files are written by org.apache.hadoop.hive.ql.io.orc.OrcSerde; hint: Parquet, CSV and JSON are read",
        ),
        (
            "iceberg",
            PARQUET,
            &[("n", "int")],
            json!({ "table_type": "ICEBERG" }),
            "it is a table of ICEBERG, whose files need its own log; hint: query it with Athena",
        ),
        ("odd", PARQUET, &[("n", "uniontype<int,string>")], json!({}), "column n is uniontype<int,string>, a type that is not known"),
        (
            "template",
            PARQUET,
            &[("n", "int")],
            json!({ "projection.enabled": "true", "storage.location.template": "s3://x/${n}/" }),
            "its partitions are projected by a template; hint: register its partitions",
        ),
    ];
    let session = world.session();
    for (name, serde, columns, parameters, expected) in cases {
        Theirs { name, columns, keys: &[], serde: (serde, json!({})), parameters }.register(&world);
        let error = ask(&session, &format!("SELECT * FROM theirs.{name}")).await.unwrap_err().to_string();
        assert!(error.contains("PS575") && error.contains(&format!("cannot read theirs.{name} of Glue: {expected}")), "{error}");
    }
    let error = ask(&session, "SELECT * FROM table_version('theirs.orc', 2)").await.unwrap_err().to_string();
    assert!(error.contains("no table theirs.orc at version 2"), "{error}");
    world.glue.fail("GetTable", 100, &Fault::Refuse(400, "AccessDeniedException", "not authorized"));
    let error = ask(&session, "SELECT * FROM theirs.orc").await.unwrap_err().to_string();
    assert!(error.contains("PS562") && error.contains("this identity may not do glue:GetTable (theirs.orc)"), "{error}");
}

#[tokio::test]
async fn a_table_that_is_registered_but_not_published_yet_says_so() {
    let world = World::new();
    let session = world.session_with(|glue| {
        glue.prefix = "lib_".into();
        glue.partitions = Partitions::Registered;
    });
    commit(&session, "d", "mapped", &[&["1"]]).await;
    world.glue.fail("BatchCreatePartition", 100, &Fault::Refuse(400, "InvalidInputException", "no"));
    publish(&session, "d").await.unwrap_err();
    let error = ask(&session, "SELECT * FROM lib_d.mapped").await.unwrap_err().to_string();
    assert!(error.contains("PS577") && error.contains("no version of it was published yet"), "{error}");
}
