//! The whole command line, as data. Every doc comment is help text.

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ColorChoice, Parser, Subcommand, ValueEnum, ValueHint};
use engine::Error;
use schemas::problem::Problem;

/// Maps, checks and publishes harvested records with SQL.
///
/// A project is a folder with pacha.toml; `pacha init` makes one. Results go to stdout, everything else to stderr.
#[derive(Debug, Parser)]
#[command(name = "pacha", version, about, max_term_width = 100, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Args)]
pub(crate) struct Global {
    /// Folder of the project; the nearest one upward that holds pacha.toml if not given
    #[arg(long, global = true, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) project: Option<PathBuf>,
    /// Overrides a key of pacha.toml, such as warehouse=/data/w or limits.memory=2GiB
    #[arg(long = "set", global = true, value_name = "KEY=VALUE", value_parser = key_value)]
    pub(crate) set: Vec<(String, String)>,
    /// Colours on a terminal: auto, always or never
    #[arg(long, global = true, default_value = "auto", value_name = "WHEN")]
    pub(crate) color: ColorChoice,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Makes a project, empty or from an example
    Init {
        /// Folder to make; the current one if not given
        dir: Option<PathBuf>,
        /// The example to unpack: calisphere
        #[arg(long, value_name = "NAME")]
        example: Option<String>,
    },
    /// Shows what a page, folder or collection holds: format, records, fields with fill and samples
    Inspect {
        /// A path, or the id of a collection
        what: String,
        /// Source schema, where it cannot be guessed from the bytes
        #[arg(long)]
        source: Option<String>,
        /// Shows the most frequent values of one field
        #[arg(long)]
        field: Option<String>,
        /// How many values of the field
        #[arg(long, default_value_t = 20)]
        top: usize,
        #[command(flatten)]
        format: ResultFormat,
    },
    /// Checks the project's files, SQL and schemas without running anything
    Check {
        /// Jobs to check; all if none is given
        jobs: Vec<String>,
        #[command(flatten)]
        format: ResultFormat,
    },
    /// Shows records as harvested and as mapped; writes nothing
    Preview {
        /// A mapping or a job
        what: String,
        /// How many records
        #[arg(short = 'n', long, default_value_t = 10)]
        records: usize,
        /// Only the record with this identifier
        #[arg(long)]
        id: Option<String>,
        /// A collection to take records from
        #[arg(long)]
        collection: Option<String>,
        /// Value of a parameter
        #[arg(long = "param", value_name = "NAME=VALUE", value_parser = key_value)]
        params: Vec<(String, String)>,
        #[command(flatten)]
        format: ResultFormat,
    },
    /// Runs a job and publishes its result
    Run {
        /// The job
        job: String,
        /// Only these collections
        #[arg(long = "collection", value_name = "ID", num_args = 1..)]
        collections: Vec<String>,
        /// Value of a parameter
        #[arg(long = "param", value_name = "NAME=VALUE", value_parser = key_value)]
        params: Vec<(String, String)>,
        /// Runs what is unchanged too
        #[arg(long)]
        force: bool,
        /// Publishes what gates would hold back; the reason is recorded
        #[arg(long, value_name = "REASON")]
        accept: Option<String>,
        /// Runs on the executors of a scheduler, `df://host:port`, or of a cluster for this run alone, `local[N]`
        #[arg(long, value_name = "WHERE")]
        cluster: Option<String>,
        /// Runs in this process too, and publishes only if both give the same rows
        #[arg(long, requires = "cluster")]
        verify: bool,
        #[command(flatten)]
        format: ResultFormat,
    },
    /// Stops a run, wherever it runs; nothing of it is published
    Stop {
        /// The run's id, or the beginning of it
        run: String,
        #[command(flatten)]
        format: ResultFormat,
    },
    /// Hands out tasks of jobs to executors
    ///
    /// Runs until SIGTERM or Ctrl-C. Jobs find it by `pacha run JOB --cluster df://host:port`, executors by
    /// `pacha executor --scheduler df://host:port`. GET /healthz, /readyz, /metrics and /pacha/jobs show how it stands.
    Scheduler(SchedulerArguments),
    /// Runs tasks that a scheduler hands out
    ///
    /// Runs until SIGTERM or Ctrl-C, then finishes its tasks. It takes memory limits, stores and certificates from the project, if it
    /// is started in one; pages, mappings and lookups come with the tasks.
    Executor(ExecutorArguments),
    /// Queries collections, tables and files
    ///
    /// Names: collection."26001" (records of a collection), calisphere.mapped (a table), 'x.parquet' (a file). Without SQL, reads it
    /// from a terminal line by line, or from a pipe.
    Sql {
        /// The query
        sql: Option<String>,
        /// Reads the query from a file
        #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
        file: Option<PathBuf>,
        /// Form of the result
        #[arg(long, value_enum, default_value = "table")]
        format: SqlFormat,
        /// Writes the result to a file; .parquet writes Parquet
        #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
        output: Option<PathBuf>,
        /// Value of a parameter, $name in the query
        #[arg(long = "param", value_name = "NAME=VALUE", value_parser = key_value)]
        params: Vec<(String, String)>,
    },
    /// Lists runs, newest first
    Runs {
        /// Only runs of this job
        job: Option<String>,
        /// At most so many
        #[arg(short = 'n', long, default_value_t = 20)]
        limit: usize,
        #[command(flatten)]
        format: ResultFormat,
    },
    /// Shows one run: counts, tables, findings, problems
    Show {
        /// The run's id, or the beginning of it
        run: String,
        #[command(flatten)]
        format: ResultFormat,
    },
    /// Shows the findings of a job's last version, grouped by cause
    Findings {
        /// The job
        job: String,
        /// Only this field
        #[arg(long)]
        field: Option<String>,
        /// Only this code
        #[arg(long)]
        code: Option<String>,
        /// Only this collection
        #[arg(long)]
        collection: Option<String>,
        #[command(flatten)]
        format: ResultFormat,
    },
    /// Lists the versions of a database
    Commits {
        /// The database
        database: String,
        /// At most so many
        #[arg(short = 'n', long, default_value_t = 20)]
        limit: usize,
        #[command(flatten)]
        format: ResultFormat,
    },
    /// Publishes an older version of a database again
    Rollback {
        /// The database
        database: String,
        /// The version to go back to
        #[arg(long, value_name = "N")]
        to: u64,
        /// Why; recorded in the commit
        #[arg(long)]
        message: Option<String>,
        #[command(flatten)]
        format: ResultFormat,
    },
    /// Removes files that only old versions and dead runs name
    ///
    /// A version stays while it is one of the last, and while it was replaced only lately: a reader may hold it. Versions that go can no longer
    /// be read or rolled back to.
    Vacuum {
        /// The database
        database: String,
        /// How many of the newest versions stay
        #[arg(long, default_value_t = 4, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
        keep: u32,
        /// What was replaced or left behind for less than this stays, such as 24h or 7d
        #[arg(long, default_value = "24h", value_name = "AGE")]
        older_than: String,
        /// Removes nothing, and says what it would remove
        #[arg(long)]
        dry_run: bool,
        #[command(flatten)]
        format: ResultFormat,
    },
    /// Registers tables in the AWS Glue catalog and compares it with the log
    #[command(subcommand)]
    Catalog(CatalogCommand),
    /// Documents the SQL functions
    Functions {
        /// One function
        name: Option<String>,
        #[command(flatten)]
        format: ResultFormat,
    },
    /// Looks at project, warehouse, disk and settings, and says what would not work
    Doctor {
        /// Prints the least policy of AWS IAM that the project works with, as JSON, and looks at nothing
        #[arg(long)]
        policy: bool,
        #[command(flatten)]
        format: ResultFormat,
    },
    /// Prints a completion script for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

/// How a scheduler is started.
#[derive(Debug, Args)]
pub(crate) struct SchedulerArguments {
    /// Address and port to listen at; port 0 is any free port
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:50050")]
    pub(crate) listen: SocketAddr,
    /// Name or address by which executors reach it, if not the one it listens at
    #[arg(long, value_name = "HOST")]
    pub(crate) advertise: Option<String>,
    /// Listens without TLS where other machines can connect: only on a private network
    #[arg(long)]
    pub(crate) allow_plaintext: bool,
    /// An executor that was not heard of for so long is lost, such as 20s or 1m: several of its heartbeats
    #[arg(long, value_name = "TIME", default_value = "20s", value_parser = time)]
    pub(crate) executor_timeout: Duration,
    /// A job whose run was not heard of for so long is ended, such as 60s or 5m
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = time)]
    pub(crate) client_timeout: Duration,
    /// Who starts executors, instead of fleet.kind of pacha.toml: process, this scheduler on this machine; ecs, this scheduler
    /// on AWS; none, somebody else
    #[arg(long, value_name = "KIND", value_parser = ["none", "process", "ecs"])]
    pub(crate) fleet: Option<String>,
    /// Most executors that it starts, instead of fleet.max of pacha.toml
    #[arg(long, value_name = "N")]
    pub(crate) max_executors: Option<NonZeroUsize>,
    /// Ends when standard input does: with the process that holds its other end
    #[arg(long, hide = true)]
    pub(crate) until_stdin_closes: bool,
    /// Takes no certificates from the project
    #[arg(long, hide = true)]
    pub(crate) without_tls: bool,
    #[command(flatten)]
    pub(crate) format: ResultFormat,
}

/// How an executor is started.
#[derive(Debug, Args)]
pub(crate) struct ExecutorArguments {
    /// The scheduler, as it printed its address: df://host:port
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) scheduler: String,
    /// Its name in its id, by which whoever started it knows it; a new one if not given
    #[arg(long, value_name = "NAME", value_parser = executor_name)]
    pub(crate) name: Option<String>,
    /// Address to listen at; 0.0.0.0 is all of this machine's
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1")]
    pub(crate) listen: IpAddr,
    /// Name or address by which scheduler, clients and other executors reach it, if not the one it listens at
    #[arg(long, value_name = "HOST")]
    pub(crate) advertise: Option<String>,
    /// Port for rows that others fetch; 0 is any free port
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    pub(crate) port: u16,
    /// Port for tasks; 0 is any free port
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    pub(crate) grpc_port: u16,
    /// Tasks that it runs at a time; 0 is one for each core
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) vcores: usize,
    /// Folder for rows that others fetch; that for temporary files if not given
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) work_dir: Option<PathBuf>,
    /// Listens without TLS where other machines can connect: only on a private network
    #[arg(long)]
    pub(crate) allow_plaintext: bool,
    /// How long to wait for the scheduler, such as 30s or 5m
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = time)]
    pub(crate) wait: Duration,
    /// How long it finishes tasks for when it is to end, such as 25s; then they run elsewhere
    #[arg(long, value_name = "TIME", default_value = "25s", value_parser = time)]
    pub(crate) grace: Duration,
    /// How often the scheduler hears of it
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = time)]
    pub(crate) heartbeat: Duration,
    /// Serves /healthz, /readyz and /metrics at this address and port
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(crate) metrics_listen: Option<SocketAddr>,
    /// Ends when standard input does: with the process that holds its other end
    #[arg(long, hide = true)]
    pub(crate) until_stdin_closes: bool,
    /// Takes no certificates from the project
    #[arg(long, hide = true)]
    pub(crate) without_tls: bool,
    #[command(flatten)]
    pub(crate) format: ResultFormat,
}

/// What can be done with the catalog that others read.
#[derive(Debug, Subcommand)]
pub(crate) enum CatalogCommand {
    /// Shows the newest version in Glue now, without a run
    Register {
        /// A database or a table of one, as in calisphere.mapped; all databases if none is given
        what: Option<String>,
        /// Takes over tables of the same name that were not made by pacha
        #[arg(long)]
        adopt: bool,
        #[command(flatten)]
        format: ResultFormat,
    },
    /// Removes tables from Glue; no data is touched
    Unregister {
        /// A database or a table of one
        what: String,
        #[command(flatten)]
        format: ResultFormat,
    },
    /// Shows what Glue has of our databases, and how far it is behind
    Show {
        /// The database; all if none is given
        database: Option<String>,
        #[command(flatten)]
        format: ResultFormat,
    },
    /// Says in what Glue differs from the newest version
    Diff {
        /// The database; all if none is given
        database: Option<String>,
        #[command(flatten)]
        format: ResultFormat,
    },
    /// Brings up to date whatever is behind in Glue
    Repair {
        /// The database; all if none is given
        database: Option<String>,
        #[command(flatten)]
        format: ResultFormat,
    },
}

/// Form of a printed result.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct ResultFormat {
    /// Form of the result: text for people, json for scripts
    #[arg(long, value_enum, default_value = "text")]
    pub(crate) format: Form,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Form {
    Text,
    Json,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum SqlFormat {
    Table,
    Csv,
    Json,
    Ndjson,
    Markdown,
}

impl Cli {
    /// The command line as typed. Help and version are printed, and end the process.
    ///
    /// # Errors
    /// It is not one, in the form of every other message.
    pub(crate) fn read() -> Result<Self, Error> {
        Self::try_parse().map_err(|error| {
            if !error.use_stderr() || error.kind() == clap::error::ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
                error.exit();
            }
            Error::configuration(mistyped(&error.render().to_string()))
        })
    }
}

/// The parser's text: what is wrong, then perhaps `tip:` and `Usage:`, in paragraphs.
fn mistyped(text: &str) -> Problem {
    let text = text.strip_prefix("error: ").unwrap_or(text);
    let (what, rest) = text.split_once("\n\n").unwrap_or((text, ""));
    let what: Vec<&str> = what.lines().map(str::trim).collect();
    let tip = rest.lines().find_map(|line| line.trim().strip_prefix("tip: "));
    let usage = rest.lines().find_map(|line| line.strip_prefix("Usage: "));
    let hint = match (tip, usage) {
        (Some(tip), _) => format!("{tip}; pacha --help lists everything"),
        (None, Some(usage)) => format!("write {usage}"),
        (None, None) => "pacha --help lists everything".to_owned(),
    };
    Problem::error("PC011", what.join(" ")).hint(hint)
}

fn key_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err(format!("write KEY=VALUE, not {text}")),
    }
}

fn time(text: &str) -> Result<Duration, String> {
    let time = engine::table::vacuum::age(text).and_then(|age| Duration::try_from(age).ok());
    time.ok_or_else(|| format!("{text} is no length of time; write 30s or 5m"))
}

/// What is a part of an id, and of the name of a file.
fn executor_name(text: &str) -> Result<String, String> {
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let fits = (1..=128).contains(&text.len()) && text.chars().all(good);
    fits.then(|| text.to_owned()).ok_or_else(|| format!("{text} is no name: letters, digits, \"-\", \"_\" and \".\", at most 128"))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
