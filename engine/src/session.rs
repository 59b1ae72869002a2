//! `session(project)`: THE place where functions, stores and settings are registered on DataFusion.
//!
//! Client, scheduler and executors build their sessions here, so that what one knows the others know too.
//! clippy forbids the registering calls everywhere else.

#![expect(clippy::disallowed_methods, reason = "this is the one place where sessions are made and things registered")]

use std::sync::Arc;

use ballista_core::extension::SessionConfigExt;
use ballista_core::optimizer::with_ballista_optimizer_rules;
use datafusion::catalog::{CatalogProvider, MemoryCatalogProvider, MemoryCatalogProviderList, MemorySchemaProvider};
use datafusion::execution::SessionStateBuilder;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::{FairSpillPool, TrackConsumersPool};
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::optimizer::Optimizer;
use datafusion::prelude::{SessionConfig, SessionContext};
use schemas::problem::{Problem, Problems};

use crate::aws::Aws;
use crate::catalog::GlueCatalog;
use crate::cluster::MESSAGE_BYTES;
use crate::codec::{codec, opaque};
use crate::error::{Error, Result};
use crate::function::{self, lookup::Lookups};
use crate::mapping;
use crate::progress::Progress;
use crate::project::{CatalogKind, Project};
use crate::sql::one_row::{self, OneRow};
use crate::storage::{Location, Storage};

/// Rows of a batch. Records are wide, a kilobyte or more: twice as many, which is DataFusion's default, take no less time
/// but over a hundred megabytes more, as a mapping holds several batches and all they become at a time.
const BATCH_ROWS: usize = 4_096;

/// A side of a join that is smaller is read by every task of a cluster instead of being divided: each holds it in memory, and an
/// executor has as many tasks as vcores. Of our tables rows are known and not bytes; a text is taken for 32 bytes then, and
/// may have a thousand.
const BROADCAST_BYTES: usize = 4 << 20;

/// A project, ready to run SQL: the context, the stores, and where the warehouse is.
#[derive(Clone)]
pub struct Session {
    /// What the user wrote.
    pub project: Arc<Project>,
    /// Who we are at AWS; looked up when first asked for.
    pub aws: Arc<Aws>,
    /// Stores by URL.
    pub storage: Arc<Storage>,
    /// Where databases live.
    pub warehouse: Location,
    /// The Glue catalog, if the project registers its tables there.
    pub glue: Option<Arc<GlueCatalog>>,
    /// DataFusion, with everything of ours registered.
    pub context: SessionContext,
    /// Where its plans are to run.
    pub plans: Plans,
    /// How far the running plan has come.
    pub progress: Arc<Progress>,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Session {{ project: {}, warehouse: {} }}", self.project.name, self.warehouse)
    }
}

/// Where the plans of a session are to run. The plans differ in shape, never in their rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plans {
    /// In this process.
    Embedded,
    /// On executors: nothing in a plan reaches over a stage, and a stage has this many partitions. The three roles of a
    /// cluster have such a session.
    Cluster(usize),
}

/// Builds the session of a project.
///
/// # Errors
/// A lookup that cannot be read, or a warehouse URL whose scheme is not built in.
pub fn session(project: &Arc<Project>) -> Result<Session> {
    session_as(project, Arc::new(Aws::new(project.settings.aws.clone())), Plans::Embedded)
}

/// Builds the session of a project whose plans run on a cluster, for its client, its scheduler or an executor of it.
///
/// # Errors
/// As for [`session`].
pub fn cluster_session(project: &Arc<Project>, partitions: usize) -> Result<Session> {
    session_as(project, Arc::new(Aws::new(project.settings.aws.clone())), Plans::Cluster(partitions))
}

/// Builds the session of a project, as somebody at AWS.
///
/// # Errors
/// As for [`session`].
pub fn session_as(project: &Arc<Project>, aws: Arc<Aws>, plans: Plans) -> Result<Session> {
    let storage = Arc::new(Storage::with(Arc::clone(&aws), project.settings.s3.clone()));
    let warehouse = storage.resolve(&project.warehouse, &project.root)?;
    let mut problems = Problems::default();
    let entries = project.lookups.iter().map(|(name, source)| (name.clone(), source.text.clone()));
    let lookups = Arc::new(Lookups::read(entries, &mut problems));
    if problems.fatal() {
        return Err(Error::mistakes(problems));
    }
    let progress = Arc::new(Progress::default());
    let context = context(project, &storage, &lookups, &progress, plans)?;
    let glue = (project.catalog == CatalogKind::Glue).then(|| Arc::new(GlueCatalog::new(project, &storage, &aws)));
    Ok(Session { project: Arc::clone(project), aws, storage, warehouse, glue, context, plans, progress })
}

fn context(
    project: &Project,
    storage: &Arc<Storage>,
    lookups: &Arc<Lookups>,
    progress: &Arc<Progress>,
    plans: Plans,
) -> Result<SessionContext> {
    let limits = &project.settings.limits;
    let memory = usize::try_from(limits.memory).unwrap_or(usize::MAX);
    let pool = TrackConsumersPool::new(FairSpillPool::new(memory), std::num::NonZeroUsize::MIN);
    let runtime = RuntimeEnvBuilder::new()
        .with_object_store_registry(Arc::clone(storage) as _)
        .with_memory_pool(Arc::new(pool))
        .with_disk_manager_builder(DiskManagerBuilder::default().with_mode(DiskManagerMode::OsTmpDirectory))
        .build_arc()
        .map_err(|error| {
            Error::failed(
                Problem::error("PR011", format!("the engine cannot start: {error}"))
                    .hint("check the temporary directory and limits in pacha.toml"),
            )
        })?;
    let config = config(plans, limits.threads).with_extension(Arc::clone(progress));
    let builder = SessionStateBuilder::new().with_config(config).with_runtime_env(runtime).with_default_features();
    let mut rules = match plans {
        Plans::Embedded => Optimizer::new().rules,
        // Without Ballista's a nullable NOT IN runs as one task.
        Plans::Cluster(_) => with_ballista_optimizer_rules(&Optimizer::new().rules),
    };
    rules.insert(0, Arc::new(OneRow));
    let builder = match plans {
        Plans::Embedded => builder,
        Plans::Cluster(_) => builder.with_physical_optimizer_rules(opaque::rules()),
    };
    let mut state = builder.with_optimizer_rules(rules).build();
    for function in function::all(lookups) {
        register(&mut state, function)?;
    }
    for function in mapping::plan::functions().into_iter().chain([one_row::function()]) {
        register(&mut state, Arc::new(function))?;
    }
    Ok(SessionContext::new_with_state(state))
}

/// A context with the functions, stores and settings of another and no tables: for one statement or one mapping, so that
/// many can be planned at the same time.
pub fn private(context: &SessionContext) -> SessionContext {
    let mut state = context.state();
    state.register_catalog_list(Arc::new(MemoryCatalogProviderList::new()));
    let catalog = Arc::new(MemoryCatalogProvider::new());
    // A schema registered in a catalog that was just made, and a catalog in its list, replace nothing.
    let _ = catalog.register_schema("public", Arc::new(MemorySchemaProvider::new()));
    let _ = state.catalog_list().register_catalog("datafusion".into(), catalog);
    SessionContext::new_with_state(state)
}

fn register(state: &mut datafusion::execution::SessionState, function: Arc<datafusion::logical_expr::ScalarUDF>) -> Result<()> {
    use datafusion::execution::FunctionRegistry;
    let name = function.name().to_owned();
    state
        .register_udf(function)
        .map_err(|error| Error::failed(Problem::error("PR012", format!("function {name} cannot be registered: {error}"))))?;
    Ok(())
}

fn config(plans: Plans, threads: usize) -> SessionConfig {
    let config = match plans {
        Plans::Embedded if threads > 0 => SessionConfig::new().with_target_partitions(threads),
        Plans::Embedded => SessionConfig::new().with_target_partitions(std::thread::available_parallelism().map_or(2, usize::from)),
        Plans::Cluster(partitions) => SessionConfig::new_with_ballista()
            .with_target_partitions(partitions.max(1))
            .with_ballista_physical_extension_codec(codec())
            .with_ballista_adaptive_query_planner(false)
            .with_ballista_broadcast_join_threshold_bytes(BROADCAST_BYTES)
            .with_ballista_grpc_client_max_message_size(MESSAGE_BYTES),
    };
    let mut config = config.with_batch_size(BATCH_ROWS).with_information_schema(true);
    let options = config.options_mut();
    if let Plans::Cluster(_) = plans {
        // Which side is small enough for every task is the scheduler's to say: it takes back what is not correct in tasks of
        // their own, but then in another number of them than the client knows.
        (options.optimizer.hash_join_single_partition_threshold, options.optimizer.hash_join_single_partition_threshold_rows) = (0, 0);
    }
    // A scheduler looks at stages again that the client has planned: with one partition, it would make one of all files.
    options.optimizer.repartition_file_scans &= plans != Plans::Cluster(1);
    // As in one process. Ballista prefers sorted joins, which spill; but those of DataFusion 55.2 fail on a condition beside an
    // equality where one side of an outer join has no partner. tests/cluster/shapes.rs finds such queries.
    options.optimizer.prefer_hash_join = true;
    // As a node of the plan it cannot travel, and fails where a column that is never null has no row. See `OneRow`.
    options.optimizer.enable_physical_uncorrelated_scalar_subquery = false;
    options.sql_parser.dialect = datafusion::config::Dialect::DuckDB;
    options.sql_parser.collect_spans = true;
    // Our columns are plain UTF-8 throughout: codecs build it, Parquet stores it, and functions need one kind only.
    options.sql_parser.map_string_types_to_utf8view = false;
    options.execution.parquet.schema_force_view_types = false;
    // DataFusion 55.2 loses a mapping's own columns when it moves get_field(…) below two projections that use the same name:
    // `* REPLACE` over a base view gave the base view's values. tests/tests/mapping.rs holds the case.
    options.optimizer.enable_leaf_expression_pushdown = false;
    options.execution.parquet.pushdown_filters = true;
    options.execution.parquet.reorder_filters = true;
    config
}
