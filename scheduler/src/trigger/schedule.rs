//! A job's schedule: a cron expression of five fields, in UTC. The parser is croner's.

use std::str::FromStr;

use croner::Cron;
use schemas::problem::Problem;

/// When a job is due.
#[derive(Debug, Clone)]
pub struct Schedule(#[expect(dead_code, reason = "asked for the next time by the service, which is not built yet")] Cron);

impl Schedule {
    /// Reads an expression such as `0 2 * * *`, every night at two.
    ///
    /// # Errors
    /// It is none; the message says which field.
    pub fn parse(expression: &str) -> Result<Self, Problem> {
        let wrong = |why: String| {
            let problem = Problem::error("PC150", format!("schedule \"{expression}\" is no cron expression: {why}"));
            problem.hint("five fields: minute hour day month weekday, such as \"0 2 * * *\" for every night at two (UTC)")
        };
        let fields = expression.split_whitespace().count();
        if fields != 5 {
            return Err(wrong(format!("it has {fields} fields")));
        }
        Cron::from_str(expression).map(Self).map_err(|error| wrong(error.to_string()))
    }
}
