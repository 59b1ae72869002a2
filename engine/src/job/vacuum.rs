//! A whole vacuum: survey, ask the records of runs who lives, remove; again where somebody published meanwhile.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::record;
use crate::error::{Kind, Result};
use crate::session::Session;
use crate::table::Database;
use crate::table::vacuum::{Retention, Seen, Vacuumed};

/// How often it looks again because somebody has published meanwhile.
const SURVEYS: usize = 5;

/// Removes from a database what no reader can want. Where the project has a catalog, it is asked what it shows first.
///
/// # Errors
/// The catalog cannot be asked, the database cannot be read, something cannot be removed, or others publish all the time.
pub async fn vacuum(session: &Session, database: &Database, retention: &Retention, dry_run: bool) -> Result<Vacuumed> {
    let held = match &session.glue {
        Some(glue) => {
            let now = glue.shown(database).await?;
            let mut seen = Seen::read(database).await?;
            seen.look(&now, Timestamp::now());
            if !dry_run {
                seen.write(database).await?;
            }
            Some(seen.held(&now, retention))
        }
        None => None,
    };
    let mut attempt = 1;
    loop {
        let survey = database.survey(retention, held.as_ref()).await?;
        let mut fates = BTreeMap::new();
        for run in survey.runs() {
            let fate = record::fate(database, &run).await?;
            fates.insert(run, fate);
        }
        match database.vacuum(survey, &fates, dry_run).await {
            Err(error) if error.kind == Kind::Conflict && attempt < SURVEYS => attempt += 1,
            done => return done,
        }
    }
}
