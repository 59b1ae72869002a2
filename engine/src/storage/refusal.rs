//! What a remote store's answer, or its silence, means to the user: why it refuses, and what to do about it.
//!
//! `object_store` hands on what S3 said as text: XML with a code, inside a sentence about retries. The code decides here;
//! nothing of the rest is shown but what names a region, a server or a policy.

use std::error::Error as StdError;

use object_store::client::{HttpError, HttpErrorKind};

use crate::error::Error;

/// Why something failed, and what to type next; whoever asks knows what was being done, and where.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Reason {
    pub(super) code: &'static str,
    pub(super) why: String,
    pub(super) hint: String,
}

impl Reason {
    fn new(code: &'static str, why: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { code, why: why.into(), hint: hint.into() }
    }
}

/// The reason of an error of a remote store while `doing` something at `place`; `None` if it has no form that is known here.
pub(super) fn reason(doing: &str, place: &str, error: &object_store::Error) -> Option<Reason> {
    if let Some(ours) = chain(error).find_map(|error| error.downcast_ref::<Error>()) {
        let problem = ours.problems.0.first()?;
        return Some(Reason::new(problem.code, problem.message.clone(), problem.hint.clone().unwrap_or_default()));
    }
    let text = error.to_string();
    if let Some(code) = element(&text, "Code") {
        // That something is or is not there is no refusal, and an operation that is missing was recognised already.
        let plain = matches!(code, "NoSuchKey" | "BlobNotFound" | "PreconditionFailed" | "ConditionalRequestConflict");
        let lacking = matches!(error, object_store::Error::NotSupported { .. });
        return (!plain && !lacking).then(|| answered(code, doing, place, &text));
    }
    // GCS and Azure get their credentials by a request of their own.
    if text.contains("token request") {
        let hint = "set GOOGLE_SERVICE_ACCOUNT or GOOGLE_APPLICATION_CREDENTIALS, for Azure AZURE_STORAGE_ACCOUNT_KEY or a client's; see docs/storage.md";
        return Some(Reason::new("PS531", "no credentials were found in the environment, and this machine has none of its own", hint));
    }
    if let Some(reason) = unanswered(place, error, &text) {
        return Some(reason);
    }
    match error {
        // To a HEAD there is no text.
        object_store::Error::PermissionDenied { .. } | object_store::Error::Unauthenticated { .. } if s3(place).is_some() => {
            Some(denied(doing, place, &text))
        }
        _ => None,
    }
}

/// What was asked for, as far as an error tells: the URL of the request.
pub(super) fn place(error: &object_store::Error) -> String {
    let text = error.to_string();
    let url = text.find("http://").or_else(|| text.find("https://")).map(|start| &text[start..]);
    let url = url.and_then(|url| url.split([' ', '?', ')']).next());
    url.map_or_else(|| "the store".to_owned(), str::to_owned)
}

/// Whether an error says that the bucket is not there, and not only an object in it.
pub(super) fn of_the_bucket(error: &object_store::Error) -> bool {
    matches!(element(&error.to_string(), "Code"), Some("NoSuchBucket" | "ContainerNotFound"))
}

/// Whether a request was sent more than once, so that the last answer says nothing of what the ones before have done.
pub(super) fn repeated(error: &object_store::Error) -> bool {
    error.to_string().contains(" retries, max_retries: ")
}

/// Whether an error says that the store has no such operation, or does not know a header.
pub(super) fn not_implemented(error: &object_store::Error) -> bool {
    element(&error.to_string(), "Code") == Some("NotImplemented")
}

fn answered(code: &str, doing: &str, place: &str, text: &str) -> Reason {
    let bucket = s3(place).map_or(place, |(bucket, _)| bucket);
    match code {
        "ExpiredToken" | "ExpiredTokenException" | "TokenRefreshRequired" | "RequestExpired" => Reason::new(
            "PS532",
            "the credentials have expired",
            "log in again (`aws sso login`), or get new keys; then run again: what was finished is not done twice",
        ),
        "InvalidAccessKeyId"
        | "SignatureDoesNotMatch"
        | "InvalidToken"
        | "NotSignedUp"
        | "InvalidClientTokenId"
        | "AuthenticationFailed" => Reason::new(
            "PS501",
            format!("the store does not accept the credentials ({code})"),
            "`pacha doctor` says which they are; set others with AWS_PROFILE, or [aws] profile in pacha.toml",
        ),
        "AuthorizationHeaderMalformed" | "PermanentRedirect" | "TemporaryRedirect" | "IllegalLocationConstraintException" => {
            wrong_region(bucket, text)
        }
        "InvalidBucketName" => Reason::new(
            "PS534",
            format!("no bucket can have the name {bucket}"),
            "write the name of a bucket: 3 to 63 lower-case letters, digits, . and -",
        ),
        "NoSuchBucket" | "ContainerNotFound" => Reason::new(
            "PS534",
            format!("there is no bucket {bucket}"),
            format!("check its name, account and region; make it with `aws s3 mb s3://{bucket}`"),
        ),
        "AccessDenied" | "AllAccessDisabled" | "AccessDeniedException" | "AuthorizationPermissionMismatch" | "AuthorizationFailure" => {
            denied(doing, place, text)
        }
        "InvalidObjectState" => {
            Reason::new("PS535", "the object is in an archive", format!("restore it with `aws s3api restore-object --bucket {bucket}`"))
        }
        "RequestTimeTooSkewed" => {
            let theirs = element(text, "ServerTime").map_or_else(String::new, |time| format!(": there it is {time}"));
            Reason::new(
                "PS537",
                format!("this machine's clock is wrong{theirs}"),
                "set the clock (`timedatectl set-ntp true`), then run again",
            )
        }
        "SlowDown"
        | "Throttling"
        | "ThrottlingException"
        | "TooManyRequests"
        | "RequestLimitExceeded"
        | "ServiceUnavailable"
        | "ServerBusy" => Reason::new(
            "PS538",
            format!("the store asks for fewer requests ({code}), and still did after ten attempts"),
            "wait, or set fewer at a time with --set s3.requests=16; then run again",
        ),
        "InternalError" => {
            Reason::new("PS500", "the store failed in itself (InternalError), ten times", "run again; what was finished is not done twice")
        }
        _ => {
            let message = element(text, "Message").unwrap_or_default().trim_end_matches('.');
            Reason::new("PS500", format!("the store answered {code}: {message}"), "`pacha doctor` tries each operation on its own")
        }
    }
}

fn wrong_region(bucket: &str, text: &str) -> Reason {
    let named = element(text, "Region").or_else(|| region_of(element(text, "Endpoint")?));
    match named {
        Some(region) => Reason::new(
            "PS533",
            format!("bucket {bucket} is in region {region}, and that is not the one that was asked"),
            format!("set AWS_REGION={region}, or region = \"{region}\" under [aws] in pacha.toml"),
        ),
        None => Reason::new(
            "PS533",
            format!("bucket {bucket} is in another region than the one that was asked"),
            format!("`aws s3api get-bucket-location --bucket {bucket}` says which; set AWS_REGION to it"),
        ),
    }
}

/// `eu-west-1` of `bucket.s3.eu-west-1.amazonaws.com` or `bucket.s3-eu-west-1.amazonaws.com`.
fn region_of(endpoint: &str) -> Option<&str> {
    let host = endpoint.strip_suffix(".amazonaws.com")?;
    let region = host.rsplit(['.']).next()?;
    Some(region.strip_prefix("s3-").unwrap_or(region)).filter(|region| *region != "s3")
}

/// Which action on which resource: what S3 says, if it does; else what the request needs.
fn denied(doing: &str, place: &str, text: &str) -> Reason {
    let said = text.split_once("not authorized to perform: ").and_then(|(_, rest)| {
        let (action, rest) = rest.split_once(" on resource: ")?;
        let resource = rest.trim_start_matches(['"', '\'']).split(['"', '\'', ' ', '<']).next()?;
        // Quotation marks come as entities.
        Some((action.to_owned(), resource.trim_start_matches("&quot;").trim_end_matches("&quot;").to_owned()))
    });
    let Some((bucket, key)) = s3(place) else {
        return Reason::new("PS535", "the store does not allow it", "give this identity the right; `pacha doctor` says which one it is");
    };
    let (action, resource) = said.unwrap_or_else(|| match doing {
        "list" => ("s3:ListBucket".into(), format!("arn:aws:s3:::{bucket}")),
        "read" => ("s3:GetObject".into(), format!("arn:aws:s3:::{bucket}/{key}")),
        "delete" | "remove" => ("s3:DeleteObject".into(), format!("arn:aws:s3:::{bucket}/{key}")),
        _ => ("s3:PutObject".into(), format!("arn:aws:s3:::{bucket}/{key}")),
    });
    let hint = "allow it in the policy of this identity, which `pacha doctor` names";
    let hint = if action == "s3:GetObject" {
        format!(
            "{hint}; without s3:ListBucket a missing object is denied too, and a bucket whose reader pays needs request_payer = true under [s3]"
        )
    } else {
        hint.to_owned()
    };
    Reason::new("PS535", format!("access denied: {action} on {resource}"), hint)
}

/// A request that got no answer at all.
fn unanswered(place: &str, error: &object_store::Error, text: &str) -> Option<Reason> {
    let kinds: Vec<HttpErrorKind> = chain(error).filter_map(|error| error.downcast_ref::<HttpError>()).map(HttpError::kind).collect();
    let last = kinds.last()?;
    let host = host(text).map_or_else(|| "the store".to_owned(), str::to_owned);
    let hint = match s3(place) {
        Some(_) => "check the network, and the endpoint under [s3] in pacha.toml or in AWS_ENDPOINT_URL; `pacha doctor` says which is used",
        None => "check the network, and the name of the account",
    };
    Some(match last {
        HttpErrorKind::Connect => Reason::new("PS536", format!("cannot connect to {host}: {}", cause(error)), hint),
        HttpErrorKind::Timeout => Reason::new("PS536", format!("{host} did not answer in time"), hint),
        _ => Reason::new("PS536", format!("the connection to {host} broke off"), "run again; what was finished is not done twice"),
    })
}

/// The innermost text of a failed connection, without the numbers that only a programmer reads.
fn cause(error: &object_store::Error) -> String {
    let text = super::problem::innermost(error);
    match text.split(" (os error").next().unwrap_or(&text).to_lowercase() {
        text if text.contains("lookup address") || text.contains("dns") => "there is no such host".to_owned(),
        text if text.contains("deadline") || text.contains("timed out") => "it does not answer".to_owned(),
        text => text,
    }
}

/// The server of the URL in a text.
fn host(text: &str) -> Option<&str> {
    let (_, rest) = text.split_once("http://").or_else(|| text.split_once("https://"))?;
    rest.split(['/', ' ', '?', ')']).next().filter(|host| !host.is_empty())
}

/// Bucket and key of a place on S3.
fn s3(place: &str) -> Option<(&str, &str)> {
    let rest = place.strip_prefix("s3://").or_else(|| place.strip_prefix("s3a://"))?;
    Some(rest.split_once('/').unwrap_or((rest, "")))
}

fn element<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(&format!("<{name}>"))?;
    Some(rest.split_once(&format!("</{name}>"))?.0)
}

fn chain<'a>(error: &'a (dyn StdError + 'static)) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    let mut next = Some(error);
    std::iter::from_fn(move || {
        let current = next?;
        next = current.source();
        Some(current)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(doing: &str, xml: &str) -> Reason {
        let source = format!("Server returned non-2xx status code: 400 Bad Request: <Error>{xml}</Error>").into();
        reason(doing, "s3://raw/26001/a.xml", &object_store::Error::Generic { store: "S3", source }).unwrap()
    }

    #[test]
    fn a_refusal_names_action_and_resource_as_far_as_they_are_known() {
        let plain = "<Code>AccessDenied</Code><Message>Access Denied</Message>";
        let cases = [
            ("read", "s3:GetObject on arn:aws:s3:::raw/26001/a.xml"),
            ("write", "s3:PutObject on arn:aws:s3:::raw/26001/a.xml"),
            ("delete", "s3:DeleteObject on arn:aws:s3:::raw/26001/a.xml"),
            ("list", "s3:ListBucket on arn:aws:s3:::raw"),
        ];
        for (doing, expected) in cases {
            let reason = said(doing, plain);
            assert_eq!((reason.code, reason.why), ("PS535", format!("access denied: {expected}")));
        }
        let key = "<Code>AccessDenied</Code><Message>User: arn:aws:sts::1:assumed-role/x is not authorized to perform: kms:GenerateDataKey \
                   on resource: arn:aws:kms:us-east-1:1:key/2 because no identity-based policy allows it</Message>";
        assert_eq!(said("write", key).why, "access denied: kms:GenerateDataKey on arn:aws:kms:us-east-1:1:key/2");
    }

    #[test]
    fn the_right_region_is_read_from_either_form_of_the_answer() {
        let cases = [
            "<Code>AuthorizationHeaderMalformed</Code><Region>eu-west-1</Region>",
            "<Code>PermanentRedirect</Code><Endpoint>raw.s3.eu-west-1.amazonaws.com</Endpoint>",
            "<Code>PermanentRedirect</Code><Endpoint>raw.s3-eu-west-1.amazonaws.com</Endpoint>",
        ];
        for xml in cases {
            let reason = said("read", xml);
            assert_eq!(reason.code, "PS533");
            assert!(reason.why.contains("region eu-west-1") && reason.hint.contains("AWS_REGION=eu-west-1"), "{reason:?}");
        }
        assert!(said("read", "<Code>PermanentRedirect</Code><Endpoint>s3.amazonaws.com</Endpoint>").hint.contains("get-bucket-location"));
    }

    #[test]
    fn a_machine_without_credentials_for_another_cloud_is_told_what_to_set() {
        let source = "Error performing token request: Error performing GET http://metadata/token in 1ms - 403 Forbidden".into();
        let reason = reason("list", "gs://raw/26001", &object_store::Error::Generic { store: "GCS", source }).unwrap();
        assert!(reason.code == "PS531" && reason.hint.contains("GOOGLE_SERVICE_ACCOUNT"), "{reason:?}");
    }

    #[test]
    fn an_answer_that_is_not_known_keeps_its_code_and_text() {
        let reason = said("write", "<Code>EntityTooLarge</Code><Message>Your proposed upload exceeds the maximum.</Message>");
        assert_eq!(
            (reason.code, reason.why.as_str()),
            ("PS500", "the store answered EntityTooLarge: Your proposed upload exceeds the maximum")
        );
    }
}
