//! What a cluster must never do, whatever happens to it: lose a row, double one, hang, or say nothing of use. Real processes of
//! the real binary, killed, frozen and cut off in the middle of what they do; what must hold in the end is the same for all.
//!
//! Nothing here waits for time to pass. A process is where the test wants it because a request of its own is held by the S3
//! server of the test, which knows each executor by its access key.
//!
//! * [`killed`]: executors that die, in each phase. [`frozen`]: that hang, and wake. [`cut`]: that cannot be reached.
//! * [`scheduler`]: it dies and comes back, or not. [`client`]: it dies, is stopped, or stops.
//! * [`disk`]: full ones. [`refused`]: what cannot run on a cluster. [`secrets`]: what nobody may see.
//! * [`same`]: every file of SQL tests, and the sample project, there as here. [`shapes`]: queries made at random. [`readme`]: its commands.
//! * [`world`]: the project, its buckets, and what must hold.
//!
//! `tests/repeat 20` runs them so many times.

#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test may fail")]

mod client;
mod cut;
mod disk;
mod frozen;
mod killed;
mod readme;
mod refused;
mod same;
mod scheduler;
mod secrets;
mod shapes;
mod world;

/// The binary.
const PACHA: &str = env!("CARGO_BIN_EXE_pacha");
