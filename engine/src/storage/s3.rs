//! A bucket: `object_store`'s client of S3, made when it is first used.
//!
//! Region, endpoint and credentials may have to be asked for over the network, and naming a place must not wait for that,
//! so the client is made with the first request. After that everything is `object_store`'s own.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt, TryFutureExt};
use object_store::aws::{AmazonS3, AmazonS3Builder, AwsCredential, S3ConditionalPut};
use object_store::client::CredentialProvider;
use object_store::path::Path;
use object_store::{
    BackoffConfig, ClientOptions, CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result, RetryConfig,
};
use tokio::sync::OnceCell;

use super::http::Connector;
use crate::aws::Aws;
use crate::project::S3Settings;

/// Where requests go if nothing says so. Signing needs some region, and a bucket elsewhere answers with the right one.
pub(super) const REGION: &str = "us-east-1";

/// A bucket and what its client is made of.
#[derive(Debug, Clone)]
pub(super) struct Bucket {
    name: String,
    aws: Arc<Aws>,
    settings: S3Settings,
    connector: Connector,
    client: Arc<OnceCell<AmazonS3>>,
}

impl Bucket {
    pub(super) fn new(name: &str, aws: &Arc<Aws>, settings: &S3Settings, connector: &Connector) -> Self {
        let (aws, settings, connector) = (Arc::clone(aws), settings.clone(), connector.clone());
        Self { name: name.to_owned(), aws, settings, connector, client: Arc::default() }
    }

    async fn client(&self) -> Result<&AmazonS3> {
        self.client.get_or_try_init(|| self.make().boxed()).await
    }

    async fn make(&self) -> Result<AmazonS3> {
        let region = self.aws.region().await.map_or_else(|| REGION.to_owned(), |found| found.value);
        let endpoint = self.aws.endpoint(self.settings.endpoint.as_deref(), "AWS_ENDPOINT_URL_S3").await.map(|found| found.value);
        let path_style = self.settings.path_style.unwrap_or(endpoint.is_some());
        let mut builder = AmazonS3Builder::new()
            .with_bucket_name(&self.name)
            .with_region(region)
            .with_virtual_hosted_style_request(!path_style)
            .with_conditional_put(S3ConditionalPut::ETagMatch)
            .with_request_payer(self.settings.request_payer)
            .with_skip_signature(self.settings.anonymous)
            .with_client_options(options())
            .with_retry(retries())
            .with_http_connector(self.connector.clone());
        if !self.settings.anonymous {
            builder = builder.with_credentials(Arc::new(Signer { aws: Arc::clone(&self.aws), connector: self.connector.clone() }));
        }
        if let Some(key) = &self.settings.kms_key {
            builder = builder.with_sse_kms_encryption(key);
        }
        if let Some(endpoint) = endpoint {
            let plain = endpoint.starts_with("http://");
            let endpoint = if path_style { endpoint } else { hosted(&endpoint, &self.name) };
            builder = builder.with_endpoint(endpoint.trim_end_matches('/')).with_allow_http(plain);
        }
        builder.build()
    }
}

/// The URL of a bucket that is named by the host.
fn hosted(endpoint: &str, bucket: &str) -> String {
    match endpoint.split_once("://") {
        Some((scheme, rest)) => format!("{scheme}://{bucket}.{rest}"),
        None => endpoint.to_owned(),
    }
}

/// A wrong host is known in seconds; a large part over a slow line has minutes.
pub(super) fn options() -> ClientOptions {
    ClientOptions::new()
        .with_connect_timeout(Duration::from_secs(4))
        .with_timeout(Duration::from_secs(120))
        .with_pool_idle_timeout(Duration::from_secs(20))
        .with_user_agent(object_store::HeaderValue::from_static(concat!("pachamama/", env!("CARGO_PKG_VERSION"))))
}

/// `object_store` chooses each pause at random between the first one and twice the last.
pub(super) fn retries() -> RetryConfig {
    let backoff = BackoffConfig { init_backoff: Duration::from_millis(100), max_backoff: Duration::from_secs(10), base: 2.0 };
    RetryConfig { backoff, max_retries: 10, retry_timeout: Duration::from_secs(120) }
}

/// Signs with the identity of the process.
#[derive(Debug)]
struct Signer {
    aws: Arc<Aws>,
    connector: Connector,
}

#[async_trait]
impl CredentialProvider for Signer {
    type Credential = AwsCredential;

    async fn get_credential(&self) -> Result<Arc<AwsCredential>> {
        if self.connector.expired.swap(false, Ordering::Relaxed) {
            self.aws.forget_credentials().await;
        }
        let found = self.aws.credentials().await;
        let found = found.map_err(|error| object_store::Error::Generic { store: "S3", source: Box::new(error) })?;
        Ok(Arc::new(AwsCredential {
            key_id: found.access_key_id().to_owned(),
            secret_key: found.secret_access_key().to_owned(),
            token: found.session_token().map(str::to_owned),
        }))
    }
}

impl fmt::Display for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s3://{}", self.name)
    }
}

#[async_trait]
impl ObjectStore for Bucket {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        self.client().await?.put_opts(location, payload, options).await
    }

    async fn put_multipart_opts(&self, location: &Path, options: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        self.client().await?.put_multipart_opts(location, options).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.client().await?.get_opts(location, options).await
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.client().await?.get_ranges(location, ranges).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let bucket = self.clone();
        let deleted = async move { Ok::<_, object_store::Error>(bucket.client().await?.delete_stream(locations)) };
        deleted.try_flatten_stream().boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let (bucket, prefix) = (self.clone(), prefix.cloned());
        let listed = async move { Ok::<_, object_store::Error>(bucket.client().await?.list(prefix.as_ref())) };
        listed.try_flatten_stream().boxed()
    }

    fn list_with_offset(&self, prefix: Option<&Path>, offset: &Path) -> BoxStream<'static, Result<ObjectMeta>> {
        let (bucket, prefix, offset) = (self.clone(), prefix.cloned(), offset.clone());
        let listed = async move { Ok::<_, object_store::Error>(bucket.client().await?.list_with_offset(prefix.as_ref(), &offset)) };
        listed.try_flatten_stream().boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.client().await?.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.client().await?.copy_opts(from, to, options).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_can_be_in_the_path_or_in_the_host_of_an_endpoint() {
        assert_eq!(hosted("http://127.0.0.1:9000", "raw"), "http://raw.127.0.0.1:9000");
        assert_eq!(hosted("https://minio.example/", "raw"), "https://raw.minio.example/");
    }
}
