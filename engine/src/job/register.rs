//! After the commit: the catalog that others read is told. What is committed stays committed, whatever comes of it.

use schemas::problem::{Problem, Problems};

use super::record::{RecordedProblem, RunRecord};
use crate::catalog::glue::{Publication, Publish};
use crate::error::{Error, Kind, Result};
use crate::session::Session;
use crate::table::Database;

/// Shows the newest version in Glue, if the project's tables are registered there; also after a run that changed nothing,
/// which may come after one that could not tell. `withheld` is what gates have held back, and is handed on.
///
/// # Errors
/// Glue was not brought up to date: what is committed, what is not published, and why.
pub async fn register(session: &Session, database: &Database, record: &mut RunRecord, withheld: Option<Error>) -> Result<Option<Error>> {
    match publish(session, database).await {
        Ok(publication) => {
            record.problems.extend(publication.warnings.0.iter().map(RecordedProblem::from));
            Ok(withheld)
        }
        Err(mut error) => {
            error.problems.extend(withheld.into_iter().flat_map(|withheld| withheld.problems));
            Err(error)
        }
    }
}

/// Shows the newest version of a database in Glue, if the project's tables are registered there.
///
/// # Errors
/// As for [`register`].
pub async fn publish(session: &Session, database: &Database) -> Result<Publication> {
    let Some(glue) = &session.glue else { return Ok(Publication::default()) };
    // Nothing was ever committed: there is nothing to show.
    let version = database.head().await?;
    if version == 0 {
        return Ok(Publication::default());
    }
    Box::pin(glue.publish(&session.context, database, Publish::default())).await.map_err(|error| {
        let name = database.name();
        let message = format!("version {version} of {name} is committed, and Glue does not show all of it yet");
        let first = Problem::error("PS560", message).hint(format!("when what follows is mended: pacha catalog repair {name}"));
        Error { kind: Kind::Failed, problems: Problems([first].into_iter().chain(error.problems).collect()) }
    })
}
