//! What scheduler and executors take from a session: the same settings, functions and codec in each, from the one place that
//! makes sessions.

use std::sync::Arc;

use ballista_core::ConfigProducer;
use ballista_core::extension::{EndpointOverrideFn, SessionConfigExt};
use ballista_scheduler::SessionBuilder;
use datafusion::execution::SessionState;
use datafusion::prelude::SessionConfig;
use engine::Result;
use engine::cluster::Tls;
use engine::session::Session;

/// A process of a cluster.
pub(crate) struct Member {
    /// With all functions.
    pub(crate) state: SessionState,
    /// Certificates, if connections are certified.
    pub(crate) tls: Option<Arc<Tls>>,
    config: SessionConfig,
}

impl Member {
    /// Takes a session of [`engine::session::cluster_session`].
    ///
    /// # Errors
    /// Its certificates cannot be read.
    pub(crate) fn new(session: &Session) -> Result<Self> {
        let project = &session.project;
        let tls = Tls::read(&project.settings.cluster.tls_files(&project.root))?;
        let mut config = session.context.copied_config();
        if let Some(tls) = &tls {
            config = config.with_ballista_use_tls(true).with_ballista_override_create_grpc_client_endpoint(tls.endpoints());
        }
        Ok(Self { state: session.context.state(), tls, config })
    }

    /// The settings that each task begins with. None of them is a secret: stores and credentials are the process's own.
    pub(crate) fn config(&self) -> ConfigProducer {
        let config = self.config.clone();
        Arc::new(move || config.clone())
    }

    /// A session for a job's settings.
    pub(crate) fn sessions(&self) -> SessionBuilder {
        let template = self.state.clone();
        Arc::new(move |config| {
            let mut state = template.clone();
            *state.config_mut() = config;
            Ok(state)
        })
    }

    /// How connections to other processes are made, if not as Ballista would.
    pub(crate) fn endpoints(&self) -> Option<EndpointOverrideFn> {
        self.tls.as_ref().map(Tls::endpoints)
    }
}
