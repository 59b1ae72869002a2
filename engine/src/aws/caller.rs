//! Who AWS says we are: for people who wonder why they may not.

use std::time::Duration;

use aws_config::Region;
use aws_config::timeout::TimeoutConfig;
use aws_sdk_sts::error::{DisplayErrorContext, ProvideErrorMetadata};
use schemas::problem::Problem;

use super::answer::reason;
use super::{Aws, expired, profile};
use crate::error::{Error, Result};

/// STS needs some region to be asked in.
const REGION: &str = "us-east-1";

/// An identity, as STS knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// Number of the account.
    pub account: String,
    /// User or role.
    pub arn: String,
}

impl Aws {
    /// Asks STS who we are. Every identity may ask that.
    ///
    /// # Errors
    /// There are no credentials, or STS does not know them or cannot be reached.
    pub async fn caller(&self) -> Result<Caller> {
        self.credentials().await?;
        let shared = self.config().await;
        let timeouts = TimeoutConfig::builder().connect_timeout(Duration::from_secs(4)).operation_timeout(Duration::from_secs(12)).build();
        let mut config = aws_sdk_sts::config::Builder::from(shared).timeout_config(timeouts);
        if shared.region().is_none() {
            config = config.region(Region::new(REGION));
        }
        let answer = aws_sdk_sts::Client::from_conf(config.build()).get_caller_identity().send().await;
        let answer = answer.map_err(|error| match error.code() {
            Some("ExpiredToken" | "ExpiredTokenException" | "RequestExpired") => expired(&self.settings),
            Some(code @ ("InvalidClientTokenId" | "SignatureDoesNotMatch" | "UnrecognizedClientException")) => {
                let problem = Problem::error("PS501", format!("AWS does not accept the credentials ({code})"));
                Error::failed(problem.hint("log in again, or set others with AWS_PROFILE, or [aws] profile in pacha.toml"))
            }
            code => {
                let said = || match reason(&error) {
                    text if text.is_empty() => DisplayErrorContext(&error).to_string(),
                    text => text,
                };
                let why = code.map_or_else(said, |code| format!("it answered {code}"));
                let problem = Problem::error("PS536", format!("STS, which knows who we are, cannot be asked: {why}"));
                Error::failed(problem.hint("check the network, and AWS_ENDPOINT_URL if it is set"))
            }
        })?;
        let text = |value: Option<&str>| value.unwrap_or("unknown").to_owned();
        Ok(Caller { account: text(answer.account()), arn: text(answer.arn()) })
    }

    /// Where the credentials come from, as far as the environment tells: the chain asks it first, then the profile.
    pub fn credentials_from(&self) -> String {
        match std::env::var_os("AWS_ACCESS_KEY_ID") {
            Some(value) if !value.is_empty() => "AWS_ACCESS_KEY_ID".to_owned(),
            _ => format!("profile {}, or the role of this container or machine", profile(&self.settings)),
        }
    }
}
