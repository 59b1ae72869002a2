//! Signature version 4, recomputed: a request that was signed with another key, region or body is refused.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4::SigningParams;
use hyper::http::request::Parts;

/// Whether `head` and `body` carry the signature that `credentials` give for a region and a service.
pub(super) fn check(head: &Parts, body: &[u8], credentials: &Credentials, (region, service): (&str, &str)) -> Result<(), String> {
    let header = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok());
    let given = header("authorization").ok_or("the request is not signed")?;
    let part = |name: &str| {
        let start = given.find(name)? + name.len();
        given[start..].split([',', ' ']).next()
    };
    let (Some(scope), Some(signed), Some(signature)) = (part("Credential="), part("SignedHeaders="), part("Signature=")) else {
        return Err("the header Authorization is not whole".into());
    };
    let scope: Vec<&str> = scope.split('/').collect();
    let [key, _, in_region, for_service, _] = scope[..] else { return Err("the credential's scope is not whole".into()) };
    if (key, in_region, for_service) != (credentials.access_key_id(), region, service) {
        return Err(format!("the request is signed with {key} for {for_service} in {in_region}"));
    }
    let time = header("x-amz-date").and_then(instant).ok_or("there is no x-amz-date")?;
    let names = signed.split(';').filter(|name| !matches!(*name, "x-amz-date" | "x-amz-security-token"));
    let headers: Vec<(&str, &str)> = names.filter_map(|name| Some((name, header(name)?))).collect();
    let host = header("host").unwrap_or_default();
    let uri = format!("http://{host}{}", head.uri.path_and_query().map_or("/", |path| path.as_str()));
    let identity = credentials.clone().into();
    let params = SigningParams::builder()
        .identity(&identity)
        .region(region)
        .name(service)
        .time(time)
        .settings(SigningSettings::default())
        .build()
        .map_err(|error| error.to_string())?;
    let request = SignableRequest::new(head.method.as_str(), uri, headers.into_iter(), SignableBody::Bytes(body));
    let request = request.map_err(|error| error.to_string())?;
    let (_, expected) = sign(request, &params.into()).map_err(|error| error.to_string())?.into_parts();
    if expected == signature { Ok(()) } else { Err("the signature does not match".into()) }
}

fn instant(text: &str) -> Option<SystemTime> {
    let civil = jiff::civil::DateTime::strptime("%Y%m%dT%H%M%SZ", text).ok()?;
    let seconds = civil.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_second();
    Some(UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).ok()?))
}
