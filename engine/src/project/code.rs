//! The codes of a project's mistakes, in one place so that `docs/project.md` can list them.
//!
//! `PC101` (the form of a TOML file) belongs to [`schemas::document`], `PX001` (unknown source schema) to
//! [`schemas::source`].

/// No `pacha.toml` here or above.
pub const NO_PROJECT: &str = "PC001";
/// A file cannot be read, or is not UTF-8.
pub const UNREADABLE: &str = "PC102";
/// A name that cannot be one: of a file, table, database, parameter, alias.
pub const NAME: &str = "PC103";
/// A job names a collection that does not exist, or a pattern that matches none.
pub const COLLECTION: &str = "PC104";
/// No mapping of that name, or none for a collection.
pub const MAPPING: &str = "PC105";
/// No target of that name.
pub const TARGET: &str = "PC106";
/// `fill` or `overwrite` names a field its target does not have.
pub const FIELD: &str = "PC107";
/// A value does not suit its field: a list for one value, text for a struct, a word outside the vocabulary.
pub const VALUE: &str = "PC108";
/// A table is written twice, or its name is kept for the engine.
pub const TABLE: &str = "PC109";
/// A schema has the name of a shipped one, or not the name of its file.
pub const SCHEMA: &str = "PC110";
/// A job lacks something, or says the same twice.
pub const INCOMPLETE: &str = "PC111";
/// A setting is out of range, or not of the form it must have.
pub const RANGE: &str = "PC112";
/// A lookup is no CSV table of two columns or more.
pub const LOOKUP: &str = "PC113";
/// No job of that name.
pub const JOB: &str = "PC114";
/// The Glue catalog, over a warehouse that its readers cannot open.
pub const CATALOG: &str = "PC160";
/// Warning: a file in a project folder is not read.
pub const IGNORED: &str = "PC120";
/// Warning: files with mistakes are left out by a command that can do without them.
pub const LEFT_OUT: &str = "PC121";
/// Warning: there are no pages where a collection says, or no file where an input says.
pub const NO_PAGES: &str = "PX103";
