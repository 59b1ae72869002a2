//! What AWS charges: a TOML file with its date and source, of which a project may override any key.
//!
//! Prices differ by region and change; a receipt therefore says of when and where its prices are.

use std::sync::{Arc, LazyLock};

use schemas::document::{self, Table};
use schemas::problem::{Problem, Problems, Source};

/// The prices that come with this version.
const SHIPPED: &str = include_str!("prices.toml");

/// Prices in USD.
#[derive(Debug, Clone, PartialEq)]
pub struct Prices {
    /// When they were looked up.
    pub date: String,
    /// The region that they are of.
    pub region: String,
    /// Where they were looked up.
    pub source: String,
    /// 1,000 PUT, COPY, POST or LIST requests.
    pub s3_writes_per_1000: f64,
    /// 1,000 GET or other requests.
    pub s3_reads_per_1000: f64,
    /// A DPU of AWS Glue for an hour.
    pub glue_dpu_hour: f64,
    /// 1 GB of a Lambda function for a second.
    pub lambda_gb_second: f64,
    /// 1,000,000 calls of Lambda functions.
    pub lambda_per_1000000: f64,
    /// 1 vCPU of Fargate for an hour.
    pub fargate_vcpu_hour: f64,
    /// 1 GB of Fargate for an hour.
    pub fargate_gb_hour: f64,
}

impl Default for Prices {
    fn default() -> Self {
        static PRICES: LazyLock<Prices> = LazyLock::new(|| read_shipped().0);
        PRICES.clone()
    }
}

/// The shipped file is read by the code that reads a project's, so that the two cannot have different keys.
fn read_shipped() -> (Prices, Problems) {
    let source = Arc::new(Source { path: "prices.toml".into(), text: SHIPPED.into() });
    let (mut prices, mut problems) = (Prices::none(), Problems::default());
    document::read(&source, &mut problems, |top| prices.apply(top));
    (prices, problems)
}

impl Prices {
    fn none() -> Self {
        let (date, region, source) = (String::new(), String::new(), String::new());
        let nothing = f64::NAN;
        Self {
            date,
            region,
            source,
            s3_writes_per_1000: nothing,
            s3_reads_per_1000: nothing,
            glue_dpu_hour: nothing,
            lambda_gb_second: nothing,
            lambda_per_1000000: nothing,
            fargate_vcpu_hour: nothing,
            fargate_gb_hour: nothing,
        }
    }

    /// Takes what a table `[prices]` says, keeping the rest.
    pub fn apply(&mut self, table: &mut Table<'_, '_>) {
        for (key, kept) in [("date", &mut self.date), ("region", &mut self.region), ("source", &mut self.source)] {
            if let Some(given) = table.string(key) {
                *kept = given.value;
            }
        }
        let prices = [
            ("s3_writes_per_1000", &mut self.s3_writes_per_1000),
            ("s3_reads_per_1000", &mut self.s3_reads_per_1000),
            ("glue_dpu_hour", &mut self.glue_dpu_hour),
            ("lambda_gb_second", &mut self.lambda_gb_second),
            ("lambda_per_1000000", &mut self.lambda_per_1000000),
            ("fargate_vcpu_hour", &mut self.fargate_vcpu_hour),
            ("fargate_gb_hour", &mut self.fargate_gb_hour),
        ];
        for (key, kept) in prices {
            let Some(given) = table.number(key) else { continue };
            if given.value.is_finite() && given.value >= 0.0 {
                *kept = given.value;
            } else {
                let problem = Problem::error("PC112", format!("{key} is a price in USD, not {}", given.value));
                table.report(problem.hint(format!("write {key} = 0.44, or leave the line out")), given.span);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_prices_are_complete_and_dated() {
        let (prices, problems) = read_shipped();
        assert!(problems.0.is_empty(), "{problems}");
        assert!(!format!("{prices:?}").contains("NaN"), "{prices:?}");
        assert!(prices.date.parse::<jiff::civil::Date>().is_ok() && prices.source.contains("aws.amazon.com"), "{prices:?}");
    }

    #[test]
    fn a_project_overrides_some_and_its_mistakes_have_a_place() {
        let text = "date = \"2027-01-01\"\nglue_dpu_hour = 0.29\nfargate_gb_hour = -1\nlamda_gb_second = 1\n";
        let source = Arc::new(Source { path: "pacha.toml".into(), text: text.into() });
        let (mut prices, mut problems) = (Prices::default(), Problems::default());
        document::read(&source, &mut problems, |top| prices.apply(top));
        let shipped = Prices::default();
        assert_eq!((prices.glue_dpu_hour, prices.fargate_gb_hour), (0.29, shipped.fargate_gb_hour));
        assert_eq!((prices.date.as_str(), prices.region), ("2027-01-01", shipped.region));
        let text = problems.to_string();
        assert!(text.contains("PC112 pacha.toml:3:19: fargate_gb_hour is a price in USD, not -1"), "{text}");
        assert!(text.contains("unknown key lamda_gb_second; hint: did you mean lambda_gb_second?"), "{text}");
    }
}
