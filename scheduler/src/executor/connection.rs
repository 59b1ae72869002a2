//! Connections between executors, kept for the next rows that are fetched from the same place.
//!
//! Ballista has such a store but keeps it to its own process; without one, every piece of a shuffle opens a connection, and a
//! large one uses up the machine's ports.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use ballista_core::client::BallistaClient;
use ballista_core::client_pool::{BallistaClientPool, PooledClient};
use ballista_core::error::Result;
use ballista_core::extension::BallistaConfigGrpcEndpoint;
use ballista_core::utils::GrpcClientConfig;

/// How long a connection is kept that nobody uses.
const IDLE: Duration = Duration::from_secs(30);

type Idle = HashMap<(String, u16), Vec<(BallistaClient, Instant)>>;

/// Connections that nobody uses at the moment. Clones are the same.
#[derive(Clone, Default)]
pub(super) struct Connections(Arc<Mutex<Idle>>);

impl fmt::Debug for Connections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Connections")
    }
}

impl Connections {
    fn change<T>(&self, change: impl FnOnce(&mut Idle) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[async_trait]
impl BallistaClientPool for Connections {
    async fn acquire(
        &self,
        host: &str,
        port: u16,
        config: &GrpcClientConfig,
        customize_endpoint: Option<Arc<BallistaConfigGrpcEndpoint>>,
    ) -> Result<PooledClient> {
        self.evict_idle().await;
        let place = (host.to_owned(), port);
        let kept = self.change(|idle| idle.get_mut(&place).and_then(Vec::pop));
        let client = match kept {
            Some((client, _)) => client,
            None => {
                BallistaClient::try_new(
                    host,
                    port,
                    config.max_message_size,
                    config.use_tls,
                    customize_endpoint,
                    config.io_retries_times,
                    config.io_retry_wait_time_ms,
                    config.initial_connection_window_size,
                    config.initial_stream_window_size,
                )
                .await?
            }
        };
        let back = self.clone();
        let give_back = move |client| back.change(|idle| idle.entry(place).or_default().push((client, Instant::now())));
        Ok(PooledClient::new(client, Box::new(give_back)))
    }

    async fn evict_idle(&self) {
        self.change(|idle| {
            idle.retain(|_, clients| {
                clients.retain(|(_, since)| since.elapsed() < IDLE);
                !clients.is_empty()
            });
        });
    }
}
