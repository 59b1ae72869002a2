//! The shipped base views and the mappings of the sample project, planned against their targets: a renamed column, a
//! function that changed its type or a field that a target gained shows here, without a run.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may fail")]
#![expect(clippy::disallowed_methods, reason = "planning needs the functions of a session, not its stores and tables")]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use datafusion::common::ScalarValue;
use datafusion::execution::SessionStateBuilder;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::prelude::{SessionConfig, SessionContext};
use engine::format::json::inference::{Inference, infer};
use engine::format::{Page, PageBytes};
use engine::function::{self, Lookups};
use engine::mapping::compose::{VERNACULAR, reads};
use engine::mapping::{Level, PlanRequest, plan};
use engine::project::{Collection, FreeValue, Project};
use engine::scan::{HarvestTable, PinnedCollection, View};
use schemas::base;
use schemas::problem::Problems;
use schemas::source::{Codec, SourceSchema};
use schemas::target::TargetSchema;

fn sample() -> Project {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../jobs/examples/calisphere");
    Project::load(&root, &[]).unwrap_or_else(|error| panic!("{error}"))
}

fn context(project: &Project) -> SessionContext {
    let mut config = SessionConfig::new();
    let options = config.options_mut();
    options.sql_parser.dialect = datafusion::config::Dialect::DuckDB;
    options.sql_parser.map_string_types_to_utf8view = false;
    let context = SessionContext::new_with_state(SessionStateBuilder::new().with_config(config).with_default_features().build());
    let texts = project.lookups.iter().map(|(name, source)| (name.clone(), source.text.clone()));
    for function in function::all(&Arc::new(Lookups::read(texts, &mut Problems::default()))) {
        context.register_udf(function.as_ref().clone());
    }
    for function in plan::functions() {
        context.register_udf(function);
    }
    context
}

fn values(collection: Option<&Collection>) -> Vec<(String, ScalarValue)> {
    let text = |value: &str| ScalarValue::Utf8(Some(value.to_owned()));
    let mut values: Vec<(String, ScalarValue)> = ["id", "title", "institution", "source_url"].map(|key| (key.to_owned(), text("x"))).into();
    for (key, value) in collection.iter().flat_map(|collection| &collection.values) {
        if let FreeValue::Text(value) = value {
            values.push((key.clone(), text(value)));
        }
    }
    values
}

/// The source schema with the shape of its documents, where it has documents.
fn shaped(project: &Project, collection: &Collection) -> Arc<SourceSchema> {
    if collection.source.codec != Codec::Json {
        return Arc::clone(&collection.source);
    }
    let mut inference = Inference::default();
    for folder in std::fs::read_dir(project.root.join(&collection.pages[0].value)).unwrap().flatten() {
        for page in std::fs::read_dir(folder.path()).unwrap().flatten() {
            let bytes = PageBytes::Whole(std::fs::read(page.path()).unwrap().into());
            infer(&collection.source, &Page::default(), bytes, &mut inference).unwrap();
        }
    }
    Arc::new(collection.source.with_shape(inference.finish()))
}

/// Plans, and shows every mistake.
async fn check(context: &SessionContext, request: PlanRequest, values: Vec<(String, ScalarValue)>) {
    let collection = PinnedCollection { id: "26001".into(), values, ..PinnedCollection::default() };
    let table = HarvestTable::new(&request.source, ObjectStoreUrl::local_filesystem(), &[collection], View::Run);
    let planned = plan::plan(context, Arc::new(table), &request).await;
    let problems = planned.map_or_else(|problems| problems, |planned| planned.warnings);
    let text: Vec<String> = problems.0.iter().map(|problem| problem.render(false)).collect();
    assert!(text.is_empty(), "{}", text.join("\n"));
}

fn request(source: &Arc<SourceSchema>, levels: Vec<Level>, target: &Arc<TargetSchema>) -> PlanRequest {
    let (source, target) = (Arc::clone(source), Arc::clone(target));
    PlanRequest { source, levels, target, aliases: Vec::new(), vernacular: false, raw: false, parameters: BTreeMap::new() }
}

#[tokio::test]
async fn every_base_view_plans_against_its_target() {
    let project = sample();
    let context = context(&project);
    for name in TargetSchema::shipped_names() {
        for source in base::sources(name) {
            let level = Level { name: source.to_owned(), source: base::shipped(name, source).unwrap() };
            check(&context, request(&project.sources[source], vec![level], &project.targets[name]), values(None)).await;
        }
    }
}

#[tokio::test]
async fn the_mappings_of_the_sample_project_plan_against_ucldc() {
    let project = sample();
    assert!(project.warnings().is_empty(), "{:?}", project.warnings());
    let context = context(&project);
    let job = project.job("nightly").unwrap();
    let target = job.target.as_ref().unwrap();
    for collection in &job.collections {
        let mut levels = Vec::new();
        let mut next = job.mapping_of(collection).unwrap().to_owned();
        while next != VERNACULAR {
            let own = project.mappings.get(&next).map(|file| Arc::clone(&file.source));
            let text = own.unwrap_or_else(|| base::shipped(&target.name, &next).unwrap());
            let reads = reads(&text).unwrap();
            levels.insert(0, Level { name: std::mem::replace(&mut next, reads), source: text });
        }
        let mut request = request(&shaped(&project, collection), levels, target);
        if collection.source.codec == Codec::Json {
            request.aliases = job.aliases.iter().map(|(name, path)| (name.clone(), path.value.clone())).collect();
        }
        check(&context, request, values(Some(collection))).await;
    }
}
