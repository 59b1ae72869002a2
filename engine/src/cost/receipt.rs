//! The receipt of a run: its requests at S3, and what the same seconds would have cost on AWS Glue, Lambda and Fargate.
//!
//! The comparison assumes that the work takes as long there as it took here, on as many processors as were busy and with the
//! memory that was used, each rounded up to what the service sells. Start-up and idle time are left out, which favours
//! Glue: it starts in about a minute. Nothing is said of what this machine costs.

use serde::{Deserialize, Serialize};

use super::prices::Prices;
use super::used::Used;
use crate::storage::traffic::TrafficCounts;

/// What is assumed, in a line.
pub const ASSUMED: &str = "the same seconds on as many vCPU as were busy here, without start-up";

/// Memory of an executor for each of its vcores, as the task definitions in `scheduler/deploy` have it.
pub const EXECUTOR_GIGABYTES: f64 = 2.0;

/// Requests at S3, by what they cost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Requests {
    /// PUT, COPY, POST and LIST.
    pub writes: u64,
    /// GET and HEAD. DELETE is free and not counted.
    pub reads: u64,
}

impl From<TrafficCounts> for Requests {
    fn from(traffic: TrafficCounts) -> Self {
        Self { writes: traffic.put + traffic.copy + traffic.post + traffic.list, reads: traffic.get + traffic.head }
    }
}

/// What a run cost.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Receipt {
    /// The currency, always USD.
    pub currency: String,
    /// When the prices were looked up.
    pub prices_of: String,
    /// The region that they are of.
    pub region: String,
    /// Requests at S3.
    pub requests: Requests,
    /// What these cost.
    pub requests_cost: f64,
    /// What the run took.
    #[serde(flatten)]
    pub used: Used,
    /// Seconds that executors worked for it, added up over their vcores; none for a run in one process.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub executor_seconds: Option<f64>,
    /// What these cost on Fargate, with [`EXECUTOR_GIGABYTES`] for each vCPU.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub executor_cost: Option<f64>,
    /// [`ASSUMED`].
    pub assumed: String,
    /// What the same work would have cost elsewhere, requests not included.
    pub alternatives: Vec<Alternative>,
}

/// The same work elsewhere.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Alternative {
    /// The service.
    pub service: String,
    /// How much of it.
    pub size: String,
    /// What it would have cost; none where it could not have been done.
    pub cost: Option<f64>,
}

impl Receipt {
    /// Prices a run.
    pub fn new(used: Used, requests: Requests, executor_seconds: Option<f64>, prices: &Prices) -> Self {
        // What the same work would take elsewhere is what all processes took together.
        let used = Used { cpu_seconds: used.cpu_seconds.map(|cpu| cpu + executor_seconds.unwrap_or_default()), ..used };
        let hour = prices.fargate_vcpu_hour + EXECUTOR_GIGABYTES * prices.fargate_gb_hour;
        let requests_cost =
            (requests.writes as f64 * prices.s3_writes_per_1000 + requests.reads as f64 * prices.s3_reads_per_1000) / 1000.0;
        Self {
            currency: "USD".into(),
            prices_of: prices.date.clone(),
            region: prices.region.clone(),
            requests,
            requests_cost,
            used,
            executor_seconds,
            executor_cost: executor_seconds.map(|seconds| seconds / 3600.0 * hour),
            assumed: ASSUMED.into(),
            alternatives: vec![glue(&used, prices), lambda(&used, prices), fargate(&used, prices)],
        }
    }
}

/// Gigabytes of 2³⁰ bytes, as AWS counts memory; 2 where nothing was measured.
fn gigabytes(used: &Used) -> f64 {
    used.peak_memory.map_or(2.0, |bytes| bytes as f64 / f64::from(1 << 30))
}

/// Processors that were busy, on average; 1 where nothing was measured.
fn busy(used: &Used) -> f64 {
    match used.cpu_seconds {
        Some(cpu) if used.seconds > 0.0 => cpu / used.seconds,
        _ => 1.0,
    }
}

fn glue(used: &Used, prices: &Prices) -> Alternative {
    let workers = (busy(used) / 4.0).max(gigabytes(used) / 16.0).ceil().max(2.0);
    let seconds = used.seconds.ceil().max(60.0);
    let cost = workers * seconds / 3600.0 * prices.glue_dpu_hour;
    Alternative { service: "AWS Glue".into(), size: format!("{workers} DPU × {seconds} s"), cost: Some(cost) }
}

/// Megabytes of a function that give it one vCPU.
const MEGABYTES_A_CPU: f64 = 1769.0;
const MOST_MEGABYTES: f64 = 10_240.0;
const MOST_SECONDS: f64 = 900.0;

fn lambda(used: &Used, prices: &Prices) -> Alternative {
    let none = |why: &str| Alternative { service: "Lambda".into(), size: why.into(), cost: None };
    let for_memory = gigabytes(used) * 1024.0;
    let for_processors = busy(used) * MEGABYTES_A_CPU;
    // Where it has fewer processors than were busy, it takes longer.
    let seconds = (used.seconds * (for_processors / MOST_MEGABYTES).max(1.0) * 1000.0).ceil() / 1000.0;
    if for_memory > MOST_MEGABYTES {
        return none("takes more than 10,240 MB");
    }
    if seconds > MOST_SECONDS {
        return none("takes longer than 15 minutes");
    }
    let megabytes = for_processors.max(for_memory).ceil().clamp(128.0, MOST_MEGABYTES);
    let cost = megabytes / 1024.0 * seconds * prices.lambda_gb_second + prices.lambda_per_1000000 / 1e6;
    Alternative { service: "Lambda".into(), size: format!("{megabytes} MB × {seconds:.1} s"), cost: Some(cost) }
}

/// What Fargate sells: vCPU, and the least and most memory with them in GB, in steps.
const TASKS: [(f64, f64, f64, f64); 7] = [
    (0.25, 0.5, 2.0, 0.5),
    (0.5, 1.0, 4.0, 1.0),
    (1.0, 2.0, 8.0, 1.0),
    (2.0, 4.0, 16.0, 1.0),
    (4.0, 8.0, 30.0, 1.0),
    (8.0, 16.0, 60.0, 4.0),
    (16.0, 32.0, 120.0, 8.0),
];

fn fargate(used: &Used, prices: &Prices) -> Alternative {
    let fits = |(cpu, _, most, _): &&(f64, f64, f64, f64)| *cpu >= busy(used) && *most >= gigabytes(used);
    // Where none has as many processors as were busy, the largest takes longer.
    let largest = TASKS.last().filter(|(_, _, most, _)| *most >= gigabytes(used));
    let Some(&(cpu, least, _, step)) = TASKS.iter().find(fits).or(largest) else {
        return Alternative { service: "Fargate".into(), size: "takes more than 120 GB".into(), cost: None };
    };
    let memory = least.max((gigabytes(used) / step).ceil() * step);
    let seconds = (used.seconds * (busy(used) / cpu).max(1.0)).ceil().max(60.0);
    let cost = seconds / 3600.0 * (cpu * prices.fargate_vcpu_hour + memory * prices.fargate_gb_hour);
    Alternative { service: "Fargate".into(), size: format!("{cpu} vCPU, {memory} GB × {seconds} s"), cost: Some(cost) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn receipt(seconds: f64, cpu: f64, gigabytes: f64) -> Receipt {
        let peak_memory = Some((gigabytes * f64::from(1 << 30)) as u64);
        Receipt::new(Used { seconds, cpu_seconds: Some(cpu), peak_memory }, Requests::default(), None, &Prices::default())
    }

    /// Service, size and cost in millionths of a dollar.
    fn lines(receipt: &Receipt) -> Vec<(&str, &str, Option<u64>)> {
        let of = |one: &Alternative| one.cost.map(|cost| (cost * 1e6).round() as u64);
        receipt.alternatives.iter().map(|one| (one.service.as_str(), one.size.as_str(), of(one))).collect()
    }

    #[test]
    fn a_small_run_costs_the_least_that_each_service_takes() {
        let expected = [
            ("AWS Glue", "2 DPU × 60 s", Some(14_667)),
            ("Lambda", "2048 MB × 10.0 s", Some(267)),
            ("Fargate", "0.25 vCPU, 2 GB × 60 s", Some(317)),
        ];
        assert_eq!(lines(&receipt(10.0, 2.0, 2.0)), expected);
        assert_eq!(lines(&receipt(0.4, 0.1, 0.01))[1], ("Lambda", "443 MB × 0.4 s", Some(3)));
    }

    #[test]
    fn processors_and_memory_are_rounded_up_to_what_is_sold() {
        let expected = [
            ("AWS Glue", "3 DPU × 61 s", Some(22_367)),
            ("Lambda", "10240 MB × 105.4 s", Some(14_051)),
            ("Fargate", "16 vCPU, 32 GB × 61 s", Some(13_385)),
        ];
        assert_eq!(lines(&receipt(61.0, 610.0, 9.5)), expected);
        assert_eq!(lines(&receipt(60.0, 90.0, 17.0))[2].1, "4 vCPU, 17 GB × 60 s");
    }

    #[test]
    fn what_a_service_cannot_do_has_no_price_but_a_reason() {
        assert_eq!(lines(&receipt(901.0, 10.0, 1.0))[1], ("Lambda", "takes longer than 15 minutes", None));
        let large = receipt(10.0, 10.0, 130.0);
        assert_eq!(lines(&large)[1..], [("Lambda", "takes more than 10,240 MB", None), ("Fargate", "takes more than 120 GB", None)]);
    }

    #[test]
    fn the_work_of_executors_has_its_price_and_counts_elsewhere_too() {
        let used = Used { seconds: 10.0, cpu_seconds: Some(1.0), peak_memory: Some(1 << 30) };
        let receipt = Receipt::new(used, Requests::default(), Some(39.0), &Prices::default());
        assert_eq!(receipt.used.cpu_seconds, Some(40.0));
        assert_eq!(receipt.executor_cost.map(|cost| (cost * 1e9).round()), Some(534_842.0));
    }

    #[test]
    fn requests_are_priced_by_the_thousand() {
        let requests = Requests { writes: 1_200, reads: 50_000 };
        let receipt = Receipt::new(Used::default(), requests, None, &Prices::default());
        assert!((receipt.requests_cost - 0.026).abs() < 1e-12, "{}", receipt.requests_cost);
        assert_eq!((receipt.prices_of.as_str(), receipt.region.as_str()), ("2026-11-01", "us-east-1"));
    }

    #[test]
    fn what_is_removed_costs_nothing() {
        let traffic = TrafficCounts { put: 1, copy: 2, post: 3, list: 4, get: 50, head: 60, delete: 700, ..TrafficCounts::default() };
        assert_eq!(Requests::from(traffic), Requests { writes: 10, reads: 110 });
    }

    #[test]
    fn what_was_not_measured_is_null_for_scripts_and_small_for_the_comparison() {
        let receipt = Receipt::new(Used { seconds: 10.0, ..Used::default() }, Requests::default(), None, &Prices::default());
        assert_eq!(lines(&receipt)[1].1, "2048 MB × 10.0 s");
        let json = serde_json::to_value(&receipt).unwrap();
        assert!(json["peak_memory"].is_null() && json["cpu_seconds"].is_null(), "{json}");
        assert_eq!(json["requests"]["writes"], 0);
        assert_eq!(serde_json::from_value::<Receipt>(json).unwrap(), receipt);
    }
}
