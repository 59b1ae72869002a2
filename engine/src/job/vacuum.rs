//! A whole vacuum: survey, ask the records of runs who lives, remove; again where somebody published meanwhile.

use std::collections::BTreeMap;

use super::record;
use crate::error::{Kind, Result};
use crate::table::Database;
use crate::table::vacuum::{Held, Retention, Vacuumed};

/// How often it looks again because somebody has published meanwhile.
const SURVEYS: usize = 5;

/// Removes from a database what no reader can want. `held` is what readers of a catalog may hold, if it could be asked.
///
/// # Errors
/// The database cannot be listed or read, something cannot be removed, or others publish all the time.
pub async fn vacuum(database: &Database, retention: &Retention, held: Option<&Held>, dry_run: bool) -> Result<Vacuumed> {
    let mut attempt = 1;
    loop {
        let survey = database.survey(retention, held).await?;
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
