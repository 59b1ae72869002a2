//! Who we are at AWS, and where: one identity for S3 and Glue, from the default chain.
//!
//! `object_store` has a chain of its own that knows neither profiles nor single sign-on; so its clients get their
//! credentials from here, and a laptop, a container and a Lambda need no setting. Nothing is looked up before the first
//! request needs it: a project on a local disk never pays for this.

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::ProvideCredentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_smithy_http_client::tls;
use schemas::problem::Problem;
use tokio::sync::OnceCell;

use crate::error::{Error, Result};
use crate::project::AwsSettings;

/// The identity, looked up once.
#[derive(Debug, Default)]
pub struct Aws {
    settings: AwsSettings,
    config: OnceCell<SdkConfig>,
}

impl Aws {
    /// An identity that is looked up when it is first asked for.
    pub fn new(settings: AwsSettings) -> Self {
        Self { settings, config: OnceCell::new() }
    }

    /// Credentials, region and the HTTP client of the SDK's services.
    pub async fn config(&self) -> &SdkConfig {
        self.config.get_or_init(|| self.load()).await
    }

    /// What requests are signed with now; renewed by the chain before it expires.
    ///
    /// # Errors
    /// The chain has none (`PS531`), or what it has is refused or expired.
    pub async fn credentials(&self) -> Result<Credentials> {
        let Some(provider) = self.config().await.credentials_provider() else {
            return Err(no_credentials(&self.settings, "the chain is empty"));
        };
        provider.provide_credentials().await.map_err(|error| no_credentials(&self.settings, &reason(&error)))
    }

    /// The region that was found.
    pub async fn region(&self) -> Option<String> {
        self.config().await.region().map(ToString::to_string)
    }

    async fn load(&self) -> SdkConfig {
        // The TLS of object_store's clients, so that the binary holds one.
        let client = aws_smithy_http_client::Builder::new().tls_provider(tls::Provider::Rustls(tls::rustls_provider::CryptoMode::Ring));
        let mut loader = aws_config::defaults(BehaviorVersion::latest()).http_client(client.build_https());
        if let Some(profile) = &self.settings.profile {
            loader = loader.profile_name(profile);
        }
        if let Some(region) = &self.settings.region {
            loader = loader.region(Region::new(region.clone()));
        }
        loader.load().await
    }
}

/// Says where it was looked, because "no credentials" alone sends people to the wrong place.
fn no_credentials(settings: &AwsSettings, why: &str) -> Error {
    let profile = settings.profile.clone().or_else(|| std::env::var("AWS_PROFILE").ok()).unwrap_or_else(|| "default".into());
    let message = format!(
        "no credentials for AWS: {why}; looked in AWS_ACCESS_KEY_ID, profile {profile} of ~/.aws (keys, SSO, process, role), \
         AWS_WEB_IDENTITY_TOKEN_FILE, the container's and the machine's role"
    );
    Error::failed(
        Problem::error("PS531", message)
            .hint("log in (`aws sso login`), set AWS_PROFILE, or [aws] profile in pacha.toml; then `pacha doctor`"),
    )
}

fn reason(error: &CredentialsError) -> String {
    let mut innermost: &dyn std::error::Error = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}
