//! The checks on single values that a target schema may name.

use crate::document::{self, Placed, Table};
use crate::problem::Problem;
use crate::suggest;

/// A check on each value of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Check {
    /// An absolute http or https URL with a host, without spaces.
    Url,
    /// The host is a name, not an IP address.
    NoBareIp,
}

impl Check {
    /// Every check by its name.
    pub const ALL: [(&'static str, Self); 2] = [("url", Self::Url), ("no_bare_ip", Self::NoBareIp)];

    /// The check of that name; a mistake at its place if there is none.
    pub(crate) fn named(table: &mut Table<'_, '_>, name: &Placed<String>) -> Option<Self> {
        let found = Self::ALL.iter().find(|(known, _)| *known == name.value);
        if found.is_none() {
            let problem = Problem::error(document::CODE, format!("no check \"{}\"", name.value));
            table.report(problem.hint(suggest::hint(&name.value, Self::ALL.iter().map(|(known, _)| *known))), name.span.clone());
        }
        found.map(|(_, check)| *check)
    }

    /// Its name in a target schema.
    pub fn name(self) -> &'static str {
        match self {
            Self::Url => "url",
            Self::NoBareIp => "no_bare_ip",
        }
    }

    /// What is wrong with the value, if anything.
    pub fn fault(self, value: &str) -> Option<&'static str> {
        match self {
            Self::Url => url_fault(value),
            Self::NoBareIp => host(value).is_some_and(is_ip).then_some("the host is a bare IP address"),
        }
    }
}

fn url_fault(value: &str) -> Option<&'static str> {
    if value.chars().any(char::is_whitespace) {
        return Some("a URL has no spaces");
    }
    if value.starts_with("http//") || value.starts_with("https//") {
        return Some("the colon after http is missing");
    }
    match host(value) {
        None => Some("not an absolute http or https URL"),
        Some("") => Some("the URL has no host"),
        Some(_) => None,
    }
}

/// The host of an absolute http(s) URL, without port and user.
fn host(value: &str) -> Option<&str> {
    let (scheme, rest) = value.split_once("://")?;
    if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
        return None;
    }
    let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    let host = authority.rsplit('@').next().unwrap_or(authority);
    if let Some(v6) = host.strip_prefix('[') {
        return v6.split(']').next();
    }
    host.split(':').next()
}

fn is_ip(host: &str) -> bool {
    host.parse::<std::net::IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_needs_scheme_colon_and_host() {
        assert_eq!(Check::Url.fault("https://museum.example/item/4?x=1"), None);
        assert_eq!(Check::Url.fault("http//museum.example/1"), Some("the colon after http is missing"));
        assert_eq!(Check::Url.fault("/item/4"), Some("not an absolute http or https URL"));
        assert_eq!(Check::Url.fault("http:///4"), Some("the URL has no host"));
        assert_eq!(Check::Url.fault("http://a b"), Some("a URL has no spaces"));
        assert_eq!(Check::NoBareIp.fault("http://10.1.2.3/item/4"), Some("the host is a bare IP address"));
        assert_eq!(Check::NoBareIp.fault("http://museum.example:8080/"), None);
    }
}
