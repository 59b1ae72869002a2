//! Run keys: a digest of everything a result depends on. A collection whose key is published already has nothing to do.

use std::collections::BTreeMap;
use std::fmt::Write;

use schemas::source::SourceSchema;
use schemas::target::TargetSchema;
use sha2::{Digest, Sha256};

use crate::mapping::Level;
use crate::project::{Collection, Job, Project};
use crate::scan::PinnedCollection;

/// A digest that is fed parts of any length without their running together.
#[derive(Default)]
pub struct KeyBuilder(Sha256);

impl KeyBuilder {
    /// Adds a named part.
    pub fn add(&mut self, name: &str, value: impl AsRef<[u8]>) -> &mut Self {
        let value = value.as_ref();
        self.0.update((name.len() as u64).to_le_bytes());
        self.0.update(name);
        self.0.update((value.len() as u64).to_le_bytes());
        self.0.update(value);
        self
    }

    /// The digest, in hex.
    pub fn finish(self) -> String {
        self.0.finalize().iter().fold(String::with_capacity(64), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
    }
}

/// What all collections of a run share: the job, its target, its parameters, the lookups and the engine.
pub fn shared(project: &Project, job: &Job, target: Option<&TargetSchema>, parameters: &BTreeMap<String, String>) -> String {
    let mut key = KeyBuilder::default();
    key.add("engine", env!("CARGO_PKG_VERSION"));
    key.add("output", format!("{:?}", job.output));
    if let Some(target) = target {
        key.add("target", &target.source.text);
    }
    for (name, path) in &job.aliases {
        key.add(name, &path.value);
    }
    for (name, value) in parameters {
        key.add(name, value);
    }
    for (name, lookup) in &project.lookups {
        key.add(name, &lookup.text);
    }
    key.finish()
}

/// The run key of one collection.
pub fn collection(shared: &str, collection: &Collection, source: &SourceSchema, levels: &[Level], pinned: &PinnedCollection) -> String {
    let mut key = KeyBuilder::default();
    key.add("shared", shared);
    key.add("collection", &collection.file.text);
    key.add("source", serde_json::to_vec(source).unwrap_or_default());
    for level in levels {
        key.add(&level.name, &level.source.text);
    }
    key.add("inputs", inputs(std::slice::from_ref(pinned)));
    key.finish()
}

/// A digest over name, etag and size of every page.
pub fn inputs(collections: &[PinnedCollection]) -> String {
    let mut key = KeyBuilder::default();
    for page in collections.iter().flat_map(|collection| &collection.pages) {
        let meta = &page.meta;
        let etag = meta.e_tag.clone().unwrap_or_else(|| meta.last_modified.to_rfc3339());
        key.add(meta.location.as_ref(), format!("{etag} {}", meta.size));
    }
    key.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_a_key_do_not_run_together() {
        let key = |parts: &[(&str, &str)]| {
            let mut key = KeyBuilder::default();
            for (name, value) in parts {
                key.add(name, value);
            }
            key.finish()
        };
        assert_ne!(key(&[("a", "bc")]), key(&[("ab", "c")]));
        assert_eq!(key(&[("a", "bc")]), key(&[("a", "bc")]));
    }
}
