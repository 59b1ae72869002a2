//! Google Cloud Storage and Azure Blob Storage, by `object_store`'s own clients and their own settings in the environment.

use std::sync::Arc;

use object_store::azure::MicrosoftAzureBuilder;
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::{ObjectStore, Result};
use url::Url;

use super::http::Connector;
use super::s3::{options, retries};

/// A bucket of Google's: `gs://bucket`. Settings are `GOOGLE_SERVICE_ACCOUNT` and the like.
pub(super) fn google(url: &Url, connector: &Connector) -> Result<Arc<dyn ObjectStore>> {
    let builder = GoogleCloudStorageBuilder::from_env().with_url(url.as_str()).with_client_options(options());
    Ok(Arc::new(builder.with_retry(retries()).with_http_connector(connector.clone()).build()?))
}

/// A container of Azure's: `az://container` with `AZURE_STORAGE_ACCOUNT_NAME`, or `abfss://container@account.dfs.core.windows.net`.
pub(super) fn azure(url: &Url, connector: &Connector) -> Result<Arc<dyn ObjectStore>> {
    let builder = MicrosoftAzureBuilder::from_env().with_url(url.as_str()).with_client_options(options());
    Ok(Arc::new(builder.with_retry(retries()).with_http_connector(connector.clone()).build()?))
}
