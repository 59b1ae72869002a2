//! Finds a project folder and loads all of it, in the order in which its files name each other: settings, schemas, lookups,
//! mappings, collections, jobs.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use schemas::problem::{Problem, Problems, Severity, Source};
use schemas::source::SourceSchema;
use schemas::suggest;
use schemas::target::TargetSchema;

use super::files::Folders;
use super::settings::Head;
use super::{CatalogKind, Collection, Job, MappingFile, Settings, code, collection, files, job_file, lookup, name, schema_files};
use crate::error::{Error, Result};

/// The file that makes a folder a project.
pub const FILE: &str = "pacha.toml";

/// Everything an operator wrote, checked.
#[derive(Debug, Clone)]
pub struct Project {
    /// The folder of `pacha.toml`; every path of the project starts there.
    pub root: PathBuf,
    /// Its name; the folder's if the file says nothing.
    pub name: String,
    /// URL or path of the warehouse, as written; `warehouse` if the file says nothing.
    pub warehouse: String,
    /// Where tables are registered.
    pub catalog: CatalogKind,
    /// Output, limits and gates.
    pub settings: Settings,
    /// All collections by id, disabled ones too.
    pub collections: BTreeMap<String, Arc<Collection>>,
    /// Mappings by name.
    pub mappings: BTreeMap<String, Arc<MappingFile>>,
    /// Jobs by name.
    pub jobs: BTreeMap<String, Arc<Job>>,
    /// The CSV text of lookups by name.
    pub lookups: BTreeMap<String, Arc<Source>>,
    /// Source schemas by name: the shipped ones and the project's own.
    pub sources: BTreeMap<String, Arc<SourceSchema>>,
    /// Target schemas by name: the shipped ones and the project's own.
    pub targets: BTreeMap<String, Arc<TargetSchema>>,
    warnings: Problems,
}

impl Project {
    /// The project folder that `start` is in: the nearest one upward that holds `pacha.toml`.
    ///
    /// # Errors
    /// There is none.
    pub fn find(start: &Path) -> Result<PathBuf> {
        let absolute = std::path::absolute(start).unwrap_or_else(|_| start.to_owned());
        let found = absolute.ancestors().find(|folder| folder.join(FILE).is_file());
        found.map(Path::to_owned).ok_or_else(|| {
            let problem = Problem::error(code::NO_PROJECT, format!("no {FILE} in {} or above it", absolute.display()));
            Error::configuration(problem.hint("change into a project, name one with --project DIR, or start one with `pacha init`"))
        })
    }

    /// Loads the project in `root`, with `--set` overrides of `pacha.toml`.
    ///
    /// # Errors
    /// All mistakes of all files, errors before warnings.
    pub fn load(root: &Path, overrides: &[(String, String)]) -> Result<Self> {
        let mut problems = Problems::default();
        let head = read_head(root, overrides, &mut problems);
        check_catalog(&head, &mut problems);
        problems.extend(head.settings.fleet.check().err());
        let mut project = Self::read(Folders { root, sound: false }, head, &mut problems);
        problems.0.sort_by_key(|problem| problem.severity);
        if problems.fatal() {
            return Err(Error::mistakes(problems));
        }
        project.warnings = problems;
        Ok(project)
    }

    /// Loads what is sound of the project in `root`, for commands that look at the warehouse: a file with a mistake is left
    /// out, as if it were not there, and named in a warning.
    ///
    /// # Errors
    /// The mistakes of `pacha.toml` and of the overrides.
    pub fn load_sound(root: &Path, overrides: &[(String, String)]) -> Result<Self> {
        let mut problems = Problems::default();
        let head = read_head(root, overrides, &mut problems);
        check_catalog(&head, &mut problems);
        problems.extend(head.settings.fleet.check().err());
        if problems.fatal() {
            return Err(Error::mistakes(problems));
        }
        let mut project = Self::read(Folders { root, sound: true }, head, &mut problems);
        if problems.fatal() {
            let errors = problems.0.iter().filter(|problem| problem.severity == Severity::Error);
            let files: BTreeSet<&str> =
                errors.map(|problem| problem.place.as_ref().map_or(problem.message.as_str(), |place| &place.source.path)).collect();
            let files = files.into_iter().collect::<Vec<_>>().join(", ");
            let problem = Problem::warning(code::LEFT_OUT, format!("files with mistakes are left out here: {files}"));
            problems = Problems(vec![problem.hint("`pacha check` shows the mistakes")]);
        }
        project.warnings = problems;
        Ok(project)
    }

    /// Reads all files but `pacha.toml`.
    fn read(folders: Folders<'_>, head: Head, problems: &mut Problems) -> Self {
        let root = folders.root;
        let sources = schema_files::sources(folders, problems);
        let targets = schema_files::targets(folders, problems);
        let lookups = folders.load("lookups", "csv", problems, |stem, source, problems| {
            name::check(name::identifier("a lookup", stem), source, problems);
            lookup::check(source, problems);
            Arc::clone(source)
        });
        let mappings = load_mappings(folders, &sources, problems);
        let known = collection::Known { root, sources: &sources, mappings: &mappings };
        let collections =
            folders.load("collections", "toml", problems, |id, file, problems| Collection::read(id, file, &known, problems).map(Arc::new));
        let known = job_file::Known { root, settings: &head.settings, collections: &collections, mappings: &mappings, targets: &targets };
        let jobs = folders.load("jobs", "toml", problems, |name, file, problems| Arc::new(job_file::read(name, file, &known, problems)));
        check_given(&jobs, problems);
        let folder = || std::path::absolute(root).ok().and_then(|path| Some(path.file_name()?.to_string_lossy().into_owned()));
        Self {
            root: root.to_owned(),
            name: head.name.or_else(folder).unwrap_or_else(|| "project".to_owned()),
            warehouse: head.warehouse.unwrap_or_else(|| "warehouse".to_owned()),
            catalog: head.catalog,
            settings: head.settings,
            collections: collections.into_iter().filter_map(|(id, collection)| Some((id, collection?))).collect(),
            mappings,
            jobs,
            lookups,
            sources,
            targets,
            warnings: Problems::default(),
        }
    }

    /// A project without files, for SQL outside of one: the shipped schemas, and paths relative to `root`.
    pub fn bare(root: &Path) -> Self {
        let mut problems = Problems::default();
        Self {
            root: root.to_owned(),
            name: "none".into(),
            warehouse: "warehouse".into(),
            catalog: CatalogKind::default(),
            settings: Settings::default(),
            collections: BTreeMap::new(),
            mappings: BTreeMap::new(),
            jobs: BTreeMap::new(),
            lookups: BTreeMap::new(),
            sources: schema_files::sources(Folders { root, sound: true }, &mut problems),
            targets: BTreeMap::new(),
            warnings: Problems::default(),
        }
    }

    /// A project without files but with settings: for processes that are started where no project is.
    ///
    /// # Errors
    /// The mistakes of the settings.
    pub fn bare_with(root: &Path, settings: &[(String, String)]) -> Result<Self> {
        let (mut head, mut problems) = (Head::default(), Problems::default());
        apply(&mut head, settings, &mut problems);
        if problems.fatal() {
            return Err(Error::mistakes(problems));
        }
        let mut project = Self::bare(root);
        project.warehouse = head.warehouse.unwrap_or(project.warehouse);
        (project.catalog, project.settings, project.warnings) = (head.catalog, head.settings, problems);
        Ok(project)
    }

    /// What is probably not meant, but stops nothing: pages that are not there, files that are not read.
    pub fn warnings(&self) -> &[Problem] {
        &self.warnings.0
    }

    /// The job of that name.
    ///
    /// # Errors
    /// There is none; the closest name is in the hint.
    pub fn job(&self, name: &str) -> Result<&Arc<Job>> {
        self.jobs.get(name).ok_or_else(|| {
            let problem = Problem::error(code::JOB, format!("no job \"{name}\": there is no jobs/{name}.toml"));
            Error::configuration(problem.hint(suggest::hint(name, self.jobs.keys().map(String::as_str))))
        })
    }

    /// The collection of that id.
    ///
    /// # Errors
    /// There is none; the closest id is in the hint.
    pub fn collection(&self, id: &str) -> Result<&Arc<Collection>> {
        self.collections.get(id).ok_or_else(|| {
            let problem = Problem::error(code::COLLECTION, format!("no collection \"{id}\": there is no collections/{id}.toml"));
            Error::configuration(problem.hint(suggest::hint(id, self.collections.keys().map(String::as_str))))
        })
    }
}

fn read_head(root: &Path, overrides: &[(String, String)], problems: &mut Problems) -> Head {
    let mut head = Head::default();
    if let Some(source) = files::read(root, FILE, problems) {
        head.read(&source, problems);
    }
    apply(&mut head, overrides, problems);
    head
}

fn apply(head: &mut Head, overrides: &[(String, String)], problems: &mut Problems) {
    // One may be right only together with one that comes after it, such as a lower halt with a lower warn.
    let mut early = Vec::new();
    for (key, value) in overrides {
        let mut found = Problems::default();
        head.set(key, value, &mut found);
        if !found.0.is_empty() {
            early.push((key, value));
        }
    }
    for (key, value) in early {
        head.set(key, value, problems);
    }
}

/// A mapping may be selected from by its name, so it cannot take the name of a table that is there already.
fn load_mappings(
    folders: Folders<'_>,
    sources: &BTreeMap<String, Arc<SourceSchema>>,
    problems: &mut Problems,
) -> BTreeMap<String, Arc<MappingFile>> {
    folders.load("mappings", "sql", problems, |stem, source, problems| {
        name::check(name::identifier("a mapping", stem), source, problems);
        if stem == "vernacular" || stem == "collection" || sources.contains_key(stem) {
            let problem = Problem::error(code::NAME, format!("a mapping cannot be called \"{stem}\": FROM {stem} means something already"));
            problems.push(problem.at(source, 0..0).hint(format!("rename the file, to {stem}_own.sql for instance")));
        }
        if source.text.trim().is_empty() {
            let problem = Problem::error(code::INCOMPLETE, "the mapping is empty").at(source, 0..0);
            problems.push(problem.hint("write one SELECT, such as FROM oai_dc SELECT *"));
        }
        Arc::new(MappingFile { name: stem.to_owned(), source: Arc::clone(source) })
    })
}

/// What is registered in Glue is read where it lies, by engines that know S3 and no disk of ours.
fn check_catalog(head: &Head, problems: &mut Problems) {
    let warehouse = head.warehouse.as_deref().unwrap_or("warehouse");
    if head.catalog == CatalogKind::Glue && !warehouse.starts_with("s3://") && !warehouse.starts_with("s3a://") {
        let message = format!("catalog = \"glue\" needs a warehouse that readers of Glue can open: {warehouse} is not on S3");
        let hint = "set warehouse = \"s3://bucket/prefix\" in pacha.toml, or catalog = \"warehouse\"";
        problems.push(Problem::error(code::CATALOG, message).hint(hint));
    }
}

/// Each collection against the target of each job that takes it, once.
fn check_given(jobs: &BTreeMap<String, Arc<Job>>, problems: &mut Problems) {
    let mut seen = BTreeSet::new();
    for job in jobs.values() {
        let Some(target) = &job.target else { continue };
        for collection in &job.collections {
            if (!collection.fill.is_empty() || !collection.overwrite.is_empty()) && seen.insert((&collection.id, &target.name)) {
                collection.check_given(target, problems);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::project::{FreeValue, Harvest};

    /// A project folder with these files.
    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        folder
    }

    const SCHEMA: (&str, &str) =
        ("schemas/sources/mill.toml", "source = \"mill\"\nrecord_path = \"mills/mill\"\nfields.title = \"title\"\n");
    const MAPPING: (&str, &str) = ("mappings/mill_dc.sql", "FROM vernacular SELECT title");
    const PAGE: (&str, &str) = ("pages/26001/1.xml", "<mills/>");

    #[track_caller]
    fn mistakes(files: &[(&str, &str)], expected: &[&str]) {
        let folder = folder(files);
        let error = Project::load(folder.path(), &[]).expect_err("the project has mistakes");
        let text = error.to_string().replace(&folder.path().display().to_string(), "/p");
        for part in expected {
            assert!(text.contains(part), "{part}\nis not in\n{text}");
        }
        assert_eq!(error.problems.0.len(), expected.len(), "{text}");
        assert_eq!(error.exit_code(), 2);
    }

    #[test]
    fn settings_can_be_given_where_no_project_is() {
        let set = |key: &str, value: &str| Project::bare_with(Path::new("."), &[(key.to_owned(), value.to_owned())]);
        assert_eq!(set("limits.memory", "64MiB").unwrap().settings.limits.memory, 64 << 20);
        assert_eq!(set("warehouse", "s3://lake/w").unwrap().warehouse, "s3://lake/w");
        assert_eq!(set("limits.memory", "much").unwrap_err().exit_code(), 2);
    }

    #[test]
    fn a_good_project_loads_with_defaults_overrides_and_own_schemas() {
        let folder = folder(&[
            ("pacha.toml", "name = \"mills\"\n[output]\nraw = true\n"),
            SCHEMA,
            MAPPING,
            PAGE,
            ("lookups/kinds.csv", "value,label\nw,water mill\n"),
            (
                "collections/26001.toml",
                "pages = \"pages/26001\"\nharvest = \"latest\"\nsource = \"mill\"\nrecord_id = \"number\"\nmapping = \"mill_dc\"\n[values]\ncampus = \"Mill Hill\"\nhosts = [\"a\", \"b\"]\n[fill]\ntype = \"image\"\n",
            ),
            ("collections/26002.toml", "enabled = false\npages = [\"https://mills.example/oai\"]\nsource = \"mill\"\n"),
            (
                "jobs/nightly.toml",
                "target = \"dc\"\ncollections = \"26*\"\nschedule = \"30 2 * * 1-5\"\n[params]\nsince = \"1900\"\nrequired = [\"until\"]\n[alias]\np = \"doc.properties\"\n[gates]\nfloor = 3\n",
            ),
            (
                "jobs/report.toml",
                "[[step]]\ntable = \"by_title\"\nsql = '''\nSELECT title FROM nightly.mapped'''\n[[step]]\ntable = \"b\"\nfile = \"steps/b.sql\"\n",
            ),
            ("steps/b.sql", "SELECT 1"),
        ]);
        let project = Project::load(folder.path(), &[("output.file_size".into(), "1MiB".into())]).unwrap();
        assert_eq!((project.name.as_str(), project.warehouse.as_str()), ("mills", "warehouse"));
        assert!(project.warnings().is_empty(), "{:?}", project.warnings());
        let collection = project.collection("26001").unwrap();
        assert_eq!((collection.harvest, &collection.source.envelope.record_id), (Harvest::Latest, &vec!["number".to_owned()]));
        assert_eq!(collection.fill[0].value, FreeValue::Text("image".into()));
        let job = project.job("nightly").unwrap();
        let ids: Vec<&str> = job.collections.iter().map(|collection| collection.id.as_str()).collect();
        assert_eq!((ids, job.mapping_of(collection)), (vec!["26001"], Some("mill_dc")), "a disabled collection takes part in no job");
        assert_eq!((job.database.as_str(), job.output.raw, job.output.file_size, job.gates.floor), ("nightly", true, 1 << 20, 3));
        let params: Vec<_> = job.params.iter().map(|param| (param.name.as_str(), param.default.as_deref())).collect();
        assert_eq!(params, [("since", Some("1900")), ("until", None)]);
        assert_eq!(job.value_keys().into_iter().collect::<Vec<_>>(), [("campus", false), ("hosts", true)]);
        let report = project.job("report").unwrap();
        assert_eq!((report.steps[0].sql.text(), report.steps[1].sql.text()), ("SELECT title FROM nightly.mapped", "SELECT 1"));
    }

    #[test]
    fn mistakes_in_all_files_are_reported_at_once_with_place_and_hint() {
        mistakes(
            &[
                ("pacha.toml", "name = \"mills\"\nwarehose = \"w\"\n"),
                SCHEMA,
                MAPPING,
                PAGE,
                ("collections/26001.toml", "pages = \"pages/26001\"\nsource = \"mil\"\n"),
                ("collections/26002.toml", "pages = \"pages/26001\"\nsource = \"mill\"\nmapping = \"mil_dc\"\nunpack = \"a\"\n"),
                ("collections/26003.toml", "source = \"mill\"\n[values]\ntitle = \"x\"\nyear = 1890\n"),
                ("jobs/a.toml", "collections = [\"26001\", \"26004\", \"27*\", \"26[\"]\nmapping = \"mill_dc\"\ntarget = \"cd\"\n"),
                ("jobs/b.toml", "mapping = \"mill_dc\"\nschedule = \"nightly\"\n"),
            ],
            &[
                "PC101 pacha.toml:2:1: unknown key warehose; hint: did you mean warehouse?",
                "PX001 collections/26001.toml:2:10: no source schema \"mil\"; hint: did you mean mill?",
                "PC105 collections/26002.toml:3:11: no mapping \"mil_dc\": there is no mappings/mil_dc.sql; hint: did you mean mill_dc?",
                "PC108 collections/26002.toml:4:10: unpack is for JSON; mill is XML",
                "PC101 collections/26003.toml:1:1: pages is missing",
                "PC103 collections/26003.toml:3:1: values.title: collection.title is there already",
                "PC101 collections/26003.toml:4:8: values.year wants a string or a list of strings",
                "PC104 jobs/a.toml:1:25: no collection \"26004\": there is no collections/26004.toml; hint: did you mean 2600",
                "PC104 jobs/a.toml:1:34: no collection matches \"27*\"",
                "PC112 jobs/a.toml:1:41: \"26[\" is no pattern",
                "PC106 jobs/a.toml:3:10: no target \"cd\"; hint: did you mean dc?",
                "PC111 jobs/b.toml:1:11: target is missing",
                "PC112 jobs/b.toml:2:12: schedule \"nightly\" is not five cron fields",
            ],
        );
    }

    #[test]
    fn what_a_collection_fills_in_is_checked_against_the_target_of_its_jobs() {
        let target = "schema = \"mills\"\n[fields]\ntitle = { type = \"list<string>\" }\nid = { type = \"string\" }\ncount = { type = \"int\" }\ntype = { type = \"list<string>\", vocab = \"dcmi_type\", on_unknown = \"error\" }\n";
        mistakes(
            &[
                ("pacha.toml", ""),
                SCHEMA,
                MAPPING,
                PAGE,
                ("schemas/targets/mills.toml", target),
                (
                    "collections/26001.toml",
                    "pages = \"pages/26001\"\nsource = \"mill\"\n[fill]\ntitel = \"x\"\nid = [\"a\"]\n[overwrite]\ncount = \"3\"\ntype = \"images\"\ntitle = \"fine\"\n",
                ),
                ("jobs/a.toml", "mapping = \"mill_dc\"\ntarget = \"mills\"\n"),
                ("jobs/b.toml", "mapping = \"mill_dc\"\ntarget = \"mills\"\n"),
            ],
            &[
                "PC107 collections/26001.toml:4:1: no field \"titel\" in mills; hint: did you mean title?",
                "PC108 collections/26001.toml:5:6: id is one value, not a list; hint: write id = \"…\"",
                "PC108 collections/26001.toml:7:9: count is int: only text can be given here",
                "PC108 collections/26001.toml:8:8: type cannot be \"images\": the word is not in dcmi_type; hint: did you mean image?",
            ],
        );
    }

    #[test]
    fn steps_have_one_query_and_a_table_of_their_own() {
        let steps = "database = \"Mills\"\n[inputs]\nd = 1\nc = \"x://c.csv\"\n[[step]]\ntable = \"mapped\"\nsql = \"SELECT 1\"\n[[step]]\ntable = \"c\"\nsql = \"SELECT 1\"\n[[step]]\ntable = \"a-b\"\n[[step]]\ntable = \"e\"\nfile = \"e.sql\"\n[[step]]\ntable = \"e\"\nsql = \"\"\n";
        mistakes(
            &[
                ("pacha.toml", ""),
                ("jobs/a.toml", steps),
                ("jobs/b.toml", "[params]\nrequired = [\"x\"]\nx = \"1\"\n[alias]\npage = \"doc.page\"\n"),
            ],
            &[
                "PC103 jobs/a.toml:1:12: a database cannot be called \"Mills\"; hint: use lower-case letters, digits and \"_\", starting with a letter, such as mills",
                "PC101 jobs/a.toml:3:5: inputs.d wants a path or URL in a string",
                "PC109 jobs/a.toml:6:9: a step cannot write mapped: the engine writes that table",
                "PC109 jobs/a.toml:9:9: c is an input of this job already",
                "PC103 jobs/a.toml:12:9: a table cannot be called \"a-b\"; hint: use lower-case letters, digits and \"_\", starting with a letter, such as a_b",
                "PC111 jobs/a.toml:11:1: step a-b has no query",
                "PC102 jobs/a.toml:15:8: no file \"e.sql\"; hint: looked for /p/e.sql; paths start at the project's folder",
                "PC109 jobs/a.toml:17:9: two steps write the table e",
                "PC111 jobs/a.toml:16:1: step e has an empty query",
                "PC111 jobs/b.toml:3:1: parameter x is required and has a default",
                "PC103 jobs/b.toml:5:1: an alias cannot be called \"page\": that column is there already",
                "PC111 jobs/b.toml:1:1: the job does nothing",
            ],
        );
    }

    #[test]
    fn names_schemas_and_lookups_are_checked() {
        mistakes(
            &[
                ("pacha.toml", "nmae = 1\n"),
                ("collections/a b.toml", "pages = \"x://y\"\nsource = \"json\"\n"),
                ("mappings/json.sql", "SELECT 1"),
                ("mappings/blank.sql", " \n"),
                ("lookups/one.csv", "value\na\n"),
                ("schemas/sources/json.toml", "source = \"json\"\ncodec = \"json\"\n"),
                ("schemas/sources/mill.toml", "source = \"mills\"\ncodec = \"json\"\n"),
                ("jobs/a.toml", "target = \"dc\"\n"),
            ],
            &[
                "PC101 pacha.toml:1:1: unknown key nmae; hint: did you mean name?",
                "PC103 collections/a b.toml:1:1: a collection cannot be called \"a b\"",
                "PC103 mappings/json.sql:1:1: a mapping cannot be called \"json\"",
                "PC111 mappings/blank.sql:1:1: the mapping is empty",
                "PC113 lookups/one.csv:1:1: a lookup has two columns or more",
                "PC110 schemas/sources/json.toml:1:1: \"json\" is a shipped schema",
                "PC110 schemas/sources/mill.toml:1:11: the file is called mill, the schema \"mills\"; hint: write source = \"mill\", or rename the file",
                "PC105 jobs/a.toml:1:1: no mapping for a b",
            ],
        );
    }

    #[test]
    fn missing_pages_and_stray_files_are_warnings() {
        let folder = folder(&[
            ("pacha.toml", ""),
            ("collections/26001.toml", "pages = [\"pages/26001\", \"pages/*.xml\", \"https://x.example/\"]\nsource = \"json\"\n"),
            ("collections/26002.yaml", ""),
            ("collections/26001.lock.json", "{}"),
            ("collections/README.md", ""),
        ]);
        let project = Project::load(folder.path(), &[]).unwrap();
        let text: Vec<String> =
            project.warnings().iter().map(|problem| problem.to_string().replace(&folder.path().display().to_string(), "/p")).collect();
        assert_eq!(
            text,
            [
                "PC120 collections/26002.yaml is not read: only *.toml files are; hint: rename it to end in .toml, or move it out of collections/",
                "PX103 collections/26001.toml:1:10: nothing at \"pages/26001\"; hint: looked for a file or directory /p/pages/26001; correct the path or put the files there",
                "PX103 collections/26001.toml:1:25: nothing at \"pages/*.xml\"; hint: looked for files that match /p/pages/*.xml; correct the path or put the files there",
            ]
        );
    }

    #[test]
    fn a_file_that_is_not_utf_8_is_a_mistake_with_its_line() {
        let folder = folder(&[("pacha.toml", "")]);
        std::fs::create_dir(folder.path().join("jobs")).unwrap();
        std::fs::write(folder.path().join("jobs/a.toml"), b"title = \"a\"\ndoc = \"caf\xe9\"\n").unwrap();
        let error = Project::load(folder.path(), &[]).unwrap_err();
        assert_eq!(error.to_string(), "PC102 jobs/a.toml is not UTF-8: line 2 has a byte that is no text; hint: save the file as UTF-8");
    }

    #[test]
    fn the_project_is_found_from_a_folder_inside_it() {
        let folder = folder(&[("pacha.toml", ""), ("pages/26001/1.xml", "")]);
        assert_eq!(Project::find(&folder.path().join("pages/26001")).unwrap(), folder.path());
        let other = tempfile::tempdir().unwrap();
        let error = Project::find(other.path()).unwrap_err();
        assert!(error.to_string().starts_with("PC001 no pacha.toml in "), "{error}");
        assert!(error.to_string().contains("pacha init"), "{error}");
    }

    #[test]
    fn thousands_of_collections_load_in_the_order_of_their_ids() {
        let text = "title = \"Mill photographs\"\npages = \"pages\"\nsource = \"mill\"\nmapping = \"mill_dc\"\n[values]\ncampus = \"Mill Hill\"\n[fill]\nrights = \"copyrighted\"\ntype = [\"image\"]\n";
        let folder = folder(&[("pacha.toml", ""), SCHEMA, MAPPING, ("pages/1.xml", "<mills/>"), ("jobs/a.toml", "target = \"dc\"\n")]);
        std::fs::create_dir(folder.path().join("collections")).unwrap();
        for id in 0..2_300 {
            std::fs::write(folder.path().join(format!("collections/{}.toml", 20_000 + id)), text).unwrap();
        }
        let start = std::time::Instant::now();
        let project = Project::load(folder.path(), &[]).unwrap();
        eprintln!("2,300 collections loaded in {:?}", start.elapsed());
        assert_eq!(project.job("a").unwrap().collections.len(), 2_300);
        assert!(project.job("a").unwrap().collections.is_sorted_by_key(|collection| &collection.id));
    }
}
