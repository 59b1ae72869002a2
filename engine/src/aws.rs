//! Who we are at AWS, and where: one identity for S3 and Glue, from the default chain.
//!
//! `object_store` has a chain of its own that knows neither profiles nor single sign-on; so its clients get their
//! credentials from here, and a laptop, a container and a Lambda need no setting. Nothing is looked up before the first
//! request needs it: a project on a local disk never pays for this.

use std::time::{Duration, SystemTime};

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::ProvideCredentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_smithy_http_client::tls;
use schemas::problem::Problem;
use tokio::sync::{Mutex, OnceCell};

use crate::error::{Error, Result, innermost};
use crate::project::AwsSettings;

pub mod answer;
mod caller;

pub use caller::Caller;

/// Credentials are renewed when they have less than this to live: longer than any request is tried for.
const EARLY: Duration = Duration::from_secs(5 * 60);

/// The identity, looked up once.
#[derive(Debug, Default)]
pub struct Aws {
    settings: AwsSettings,
    /// Credentials that were given; then the chain is not asked.
    given: Option<Credentials>,
    config: OnceCell<SdkConfig>,
    /// What the chain gave last. The SDK keeps it per client, and object_store asks for it with each request.
    credentials: Mutex<Option<Credentials>>,
}

/// Where a setting was found, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Its value.
    pub value: String,
    /// What said so.
    pub origin: &'static str,
}

impl Aws {
    /// An identity that is looked up when it is first asked for.
    pub fn new(settings: AwsSettings) -> Self {
        Self { settings, ..Self::default() }
    }

    /// An identity that is known.
    pub fn with_credentials(credentials: Credentials, region: &str) -> Self {
        let settings = AwsSettings { region: Some(region.to_owned()), ..AwsSettings::default() };
        Self { settings, given: Some(credentials), ..Self::default() }
    }

    /// Region and chain of credentials, and the HTTP client of the SDK's services.
    pub async fn config(&self) -> &SdkConfig {
        self.config.get_or_init(|| Box::pin(self.load())).await
    }

    /// What requests are signed with now; looked up anew shortly before it expires.
    ///
    /// # Errors
    /// The chain has none (`PS531`), or what it has has expired (`PS532`).
    pub async fn credentials(&self) -> Result<Credentials> {
        // Held while they are looked up, so that many requests at the start ask once.
        let mut kept = self.credentials.lock().await;
        let left = |credentials: &Credentials| credentials.expiry().map(|at| at.duration_since(SystemTime::now()).unwrap_or_default());
        let lives = |credentials: &Credentials, least: Duration| left(credentials).is_none_or(|left| left > least);
        if let Some(credentials) = kept.as_ref().filter(|credentials| lives(credentials, EARLY)) {
            return Ok(credentials.clone());
        }
        match (self.look_up().await, kept.as_ref()) {
            (Ok(new), _) if lives(&new, Duration::ZERO) => Ok(kept.insert(new).clone()),
            // The chain is out of reach for a moment, and what we have still holds.
            (Err(_), Some(old)) if lives(old, Duration::ZERO) => Ok(old.clone()),
            (Ok(_), _) => Err(expired(&self.settings)),
            (Err(error), _) => Err(error),
        }
    }

    /// Looks credentials up anew with the next request: a service has said that these are no good any more.
    pub async fn forget_credentials(&self) {
        *self.credentials.lock().await = None;
    }

    /// The region, and what said so.
    pub async fn region(&self) -> Option<Found> {
        let value = self.config().await.region()?.to_string();
        let said = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let origin = match &self.settings.region {
            Some(_) => "[aws] region in pacha.toml",
            None if said("AWS_REGION") => "AWS_REGION",
            None if said("AWS_DEFAULT_REGION") => "AWS_DEFAULT_REGION",
            None => "the profile, or this machine's role",
        };
        Some(Found { value, origin })
    }

    /// URL of a service that is not Amazon's own: what the project says, `AWS_ENDPOINT_URL_<SERVICE>`, `AWS_ENDPOINT_URL`.
    pub async fn endpoint(&self, setting: Option<&str>, service: &'static str) -> Option<Found> {
        if let Some(value) = setting {
            return Some(Found { value: value.to_owned(), origin: "pacha.toml" });
        }
        if let Some(value) = std::env::var(service).ok().filter(|value| !value.is_empty()) {
            return Some(Found { value, origin: service });
        }
        let value = self.config().await.endpoint_url()?.to_owned();
        Some(Found { value, origin: "AWS_ENDPOINT_URL" })
    }

    async fn look_up(&self) -> Result<Credentials> {
        let Some(provider) = self.config().await.credentials_provider() else {
            return Err(no_credentials(&self.settings, "the chain is empty"));
        };
        provider.provide_credentials().await.map_err(|error| refused(&self.settings, &error))
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
        if let Some(credentials) = &self.given {
            loader = loader.credentials_provider(credentials.clone());
        }
        loader.load().await
    }
}

fn profile(settings: &AwsSettings) -> String {
    settings.profile.clone().or_else(|| std::env::var("AWS_PROFILE").ok()).unwrap_or_else(|| "default".into())
}

/// A session of single sign-on that has ended is told apart: then nothing is wrong with the machine.
fn refused(settings: &AwsSettings, error: &CredentialsError) -> Error {
    let why = reason(error);
    if why.to_lowercase().contains("expired") { expired(settings) } else { no_credentials(settings, &why) }
}

/// Says where it was looked, because "no credentials" alone sends people to the wrong place.
fn no_credentials(settings: &AwsSettings, why: &str) -> Error {
    let message = format!(
        "no credentials for AWS: {why}; looked in AWS_ACCESS_KEY_ID, profile {} of ~/.aws (keys, SSO, process, role), \
         AWS_WEB_IDENTITY_TOKEN_FILE, the container's and the machine's role",
        profile(settings)
    );
    Error::failed(
        Problem::error("PS531", message)
            .hint("log in (`aws sso login`), set AWS_PROFILE, or [aws] profile in pacha.toml; then `pacha doctor`"),
    )
}

fn expired(settings: &AwsSettings) -> Error {
    let message = format!("the credentials for AWS of profile {} have expired", profile(settings));
    Error::failed(Problem::error("PS532", message).hint("log in again (`aws sso login`), or get new keys; then run again"))
}

fn reason(error: &CredentialsError) -> String {
    innermost(error).to_string().trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use aws_credential_types::provider::{SharedCredentialsProvider, future};

    use super::*;

    /// Gives credentials with so many seconds to live, one after the other, and then fails.
    #[derive(Debug)]
    struct Chain {
        lives: Vec<Option<u64>>,
        asked: Arc<AtomicUsize>,
        failure: &'static str,
    }

    impl ProvideCredentials for Chain {
        fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
        where
            Self: 'a,
        {
            let asked = self.asked.fetch_add(1, Ordering::SeqCst);
            future::ProvideCredentials::ready(match self.lives.get(asked) {
                Some(life) => {
                    let expiry = life.map(|seconds| SystemTime::now() + Duration::from_secs(seconds));
                    Ok(Credentials::new(format!("key-{asked}"), "secret", None, expiry, "test"))
                }
                None => Err(CredentialsError::not_loaded(self.failure)),
            })
        }
    }

    fn identity(lives: &[Option<u64>], failure: &'static str) -> (Aws, Arc<AtomicUsize>) {
        let asked = Arc::new(AtomicUsize::new(0));
        let chain = Chain { lives: lives.to_vec(), asked: Arc::clone(&asked), failure };
        let config = SdkConfig::builder().credentials_provider(SharedCredentialsProvider::new(chain)).build();
        (Aws { config: OnceCell::new_with(Some(config)), ..Aws::default() }, asked)
    }

    #[tokio::test]
    async fn credentials_are_asked_for_once_and_again_before_they_expire() {
        let (aws, asked) = identity(&[Some(3600), Some(60), Some(3600)], "gone");
        for _ in 0..3 {
            assert_eq!(aws.credentials().await.unwrap().access_key_id(), "key-0");
        }
        assert_eq!(asked.load(Ordering::SeqCst), 1);
        aws.forget_credentials().await;
        assert_eq!(aws.credentials().await.unwrap().access_key_id(), "key-1");
        assert_eq!(aws.credentials().await.unwrap().access_key_id(), "key-2", "key-1 had a minute left");
    }

    #[tokio::test]
    async fn what_still_holds_is_used_while_the_chain_is_out_of_reach() {
        let (aws, _) = identity(&[Some(60)], "gone");
        assert_eq!(aws.credentials().await.unwrap().access_key_id(), "key-0");
        assert_eq!(aws.credentials().await.unwrap().access_key_id(), "key-0");
    }

    #[tokio::test]
    async fn no_credentials_says_where_it_looked_and_expired_ones_what_to_do() {
        let (aws, _) = identity(&[], "no file /home/x/.aws/credentials");
        let text = aws.credentials().await.unwrap_err().to_string();
        assert!(text.starts_with("PS531 no credentials for AWS: no file /home/x/.aws/credentials; looked in AWS_ACCESS_KEY_ID"), "{text}");
        for (lives, failure) in [(vec![Some(0)], ""), (vec![], "the SSO session has expired")] {
            let text = identity(&lives, failure).0.credentials().await.unwrap_err().to_string();
            assert!(text.starts_with("PS532 ") && text.contains("`aws sso login`"), "{text}");
        }
    }
}
