//! The names a schema knows: its namespaces and the local names of its paths, as small numbers.
//!
//! Every element of a page is looked up here, so both must be fast for what is known and for what is not.

/// A namespace: [`NONE`], [`OTHER`], or one that the schema names.
pub(super) type Ns = u16;
/// The element is in no namespace.
pub(super) const NONE: Ns = 0;
/// A namespace that the schema does not name.
pub(super) const OTHER: Ns = 1;
/// Index of a local name that paths use; 0 is any other name.
pub(super) type NameId = u16;
/// The namespaces of a schema.
#[derive(Debug, Default)]
pub(super) struct Namespaces {
    uris: Vec<String>,
    prefixes: Vec<(String, Ns)>,
}

impl Namespaces {
    pub(super) fn new(declared: &[(String, String)]) -> Self {
        let mut namespaces = Self::default();
        let xml = ("xml".to_owned(), "http://www.w3.org/XML/1998/namespace".to_owned());
        for (prefix, uri) in declared.iter().chain([&xml]) {
            let known = namespaces.uris.iter().position(|known| same_uri(known, uri));
            let index = known.unwrap_or_else(|| {
                namespaces.uris.push(uri.clone());
                namespaces.uris.len() - 1
            });
            namespaces.prefixes.push((prefix.clone(), index as Ns + 2));
        }
        namespaces
    }

    /// The namespace of a URI.
    pub(super) fn of_uri(&self, uri: &str) -> Ns {
        if uri.is_empty() {
            return NONE;
        }
        // Nearly always one is exactly the same; only then is it worth looking for one that is nearly so.
        let exact = self.uris.iter().position(|known| known == uri);
        exact.or_else(|| self.uris.iter().position(|known| same_uri(known, uri))).map_or(OTHER, |index| index as Ns + 2)
    }

    /// The namespace that the schema gives a prefix; what an undeclared prefix most likely means.
    pub(super) fn of_prefix(&self, prefix: &str) -> Option<Ns> {
        self.prefixes.iter().find(|(known, _)| known == prefix).map(|(_, ns)| *ns)
    }

    /// The URI of a namespace that the schema names.
    pub(super) fn uri(&self, ns: Ns) -> Option<&str> {
        self.uris.get(usize::from(ns).checked_sub(2)?).map(String::as_str)
    }

    /// How many there are, [`NONE`] and [`OTHER`] included.
    pub(super) fn len(&self) -> usize {
        self.uris.len() + 2
    }
}

/// A slash too many or too few and https for http do not make another namespace.
fn same_uri(left: &str, right: &str) -> bool {
    fn plain(uri: &str) -> &str {
        let uri = uri.trim().trim_end_matches('/');
        uri.strip_prefix("http://").or_else(|| uri.strip_prefix("https://")).unwrap_or(uri)
    }
    plain(left) == plain(right)
}

/// The local names that paths use.
#[derive(Debug, Default)]
pub(super) struct Names {
    names: Vec<String>,
    /// Open addressing; 0 is empty. The size is a power of two, at least twice the number of names.
    table: Vec<NameId>,
}

impl Names {
    fn hash(name: &[u8]) -> usize {
        let (first, middle, last) = match name {
            [] => return 0,
            [only] => (*only, 0, 0),
            [first, .., last] => (*first, name[name.len() / 2], *last),
        };
        name.len() + 7 * usize::from(first) + 31 * usize::from(middle) + 131 * usize::from(last)
    }

    /// The index of a name, which has one from now on.
    pub(super) fn add(&mut self, name: &str) -> NameId {
        match self.id(name) {
            0 => {
                self.names.push(name.to_owned());
                self.table = vec![0; (self.names.len() * 4).next_power_of_two()];
                for (index, name) in self.names.iter().enumerate() {
                    let mut place = Self::hash(name.as_bytes()) & (self.table.len() - 1);
                    while self.table[place] != 0 {
                        place = (place + 1) & (self.table.len() - 1);
                    }
                    self.table[place] = index as NameId + 1;
                }
                self.names.len() as NameId
            }
            id => id,
        }
    }

    /// The index of a name; 0 if no path uses it.
    #[inline]
    pub(super) fn id(&self, name: &str) -> NameId {
        if self.table.is_empty() {
            return 0;
        }
        let mask = self.table.len() - 1;
        let mut place = Self::hash(name.as_bytes()) & mask;
        loop {
            let id = self.table[place];
            if id == 0 || self.names[usize::from(id) - 1] == name {
                return id;
            }
            place = (place + 1) & mask;
        }
    }

    /// How many there are, the unknown one included.
    pub(super) fn len(&self) -> usize {
        self.names.len() + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_by_their_bytes() {
        let mut names = Names::default();
        let words = ["title", "creator", "date", "type", "dc", "a", "ab", "ba", "identifier", "isPartOf", "isPartof"];
        let ids: Vec<NameId> = words.iter().map(|word| names.add(word)).collect();
        for (word, id) in words.iter().zip(ids) {
            assert_eq!(names.id(word), id);
        }
        assert_eq!(names.id("titel"), 0);
        assert_eq!(names.id(""), 0);
    }

    #[test]
    fn a_namespace_is_known_in_spite_of_a_slash_or_https() {
        let namespaces = Namespaces::new(&[("dc".into(), "http://purl.org/dc/elements/1.1/".into())]);
        assert_eq!(namespaces.of_uri("https://purl.org/dc/elements/1.1"), 2);
        assert_eq!(namespaces.of_uri("http://purl.org/dc/terms/"), OTHER);
        assert_eq!(namespaces.of_uri(""), NONE);
    }
}
