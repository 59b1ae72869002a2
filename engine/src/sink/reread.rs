//! Withheld records, read again from their pages.
//!
//! A job that does not keep vernacular tables decodes only the columns its mapping reads. Quarantine wants the whole
//! record; there are few of them, so their pages are opened once more rather than every record carried along.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray, StructArray};
use arrow::datatypes::Int32Type;
use datafusion::error::Result;
use datafusion::execution::TaskContext;
use datafusion::execution::object_store::ObjectStoreUrl;
use jiff::Timestamp;
use object_store::ObjectMeta;
use object_store::path::Path;
use schemas::source::SourceSchema;
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::format::{self, Page, PageBytes};
use crate::mapping::document;
use crate::storage::{page_problem, pinned, remote};

/// How the pages of a unit are read again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reread {
    /// How they are decoded.
    pub source: SourceSchema,
    /// URL of their store.
    pub store: String,
    /// The pages, by number.
    pub pages: Vec<RereadPage>,
}

/// A page that may be read again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RereadPage {
    /// Its collection.
    pub collection_id: String,
    /// Its path, as shown.
    pub path: String,
    /// Its place in the store.
    pub location: String,
    /// Its bytes when it was pinned.
    pub bytes: u64,
    /// Its time of change when it was pinned, in microseconds since 1970.
    pub modified: i64,
    /// Its etag then.
    pub e_tag: Option<String>,
}

impl RereadPage {
    fn pinned(&self) -> object_store::Result<ObjectMeta> {
        Ok(ObjectMeta {
            // Not `from`, which would encode what is encoded already.
            location: Path::parse(&self.location)?,
            last_modified: std::time::SystemTime::from(Timestamp::from_microsecond(self.modified).unwrap_or_default()).into(),
            size: self.bytes,
            e_tag: self.e_tag.clone(),
            version: None,
        })
    }
}

/// A record's page number and its ordinal there.
pub type RecordPlace = (u32, u32);

impl Reread {
    /// The records at `places` as JSON text, in that order.
    ///
    /// # Errors
    /// A page that was there a moment ago cannot be read.
    pub(super) async fn texts(&self, context: &TaskContext, places: &[RecordPlace]) -> Result<StringArray> {
        let mut wanted: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
        for (page, seq) in places {
            wanted.entry(*page).or_default().push(*seq);
        }
        let mut found: BTreeMap<RecordPlace, String> = BTreeMap::new();
        for (page, seqs) in wanted {
            self.page(context, page, &seqs, &mut found).await?;
        }
        Ok(places.iter().map(|place| found.get(place).map(String::as_str)).collect())
    }

    async fn page(&self, context: &TaskContext, no: u32, seqs: &[u32], found: &mut BTreeMap<RecordPlace, String>) -> Result<()> {
        let Some(page) = self.pages.get(no as usize) else { return Ok(()) };
        let RereadPage { collection_id, path, .. } = page;
        let url = ObjectStoreUrl::parse(&self.store)?;
        let store = context.runtime_env().object_store(&url)?;
        let unreadable = |error: object_store::Error| Error::failed(page_problem(path, collection_id, &error));
        let pinned = page.pinned().map_err(unreadable)?;
        let answer = pinned::open(store.as_ref(), remote(url.as_ref()), &pinned).await.map_err(unreadable)?;
        let bytes = answer.bytes().await.map_err(unreadable)?;
        let page = Page { collection_id: collection_id.clone(), path: path.clone(), ..Page::default() };
        let source = Arc::new(self.source.clone());
        let columns: Vec<usize> = (0..source.table_schema().fields().len()).collect();
        let codec = format::decoder(&source, &columns, 8192)?;
        codec.decode(&page, PageBytes::Whole(bytes), &mut |batch| {
            take(&batch, no, seqs, found).map_err(|error| crate::sql::mistake::running(&error))
        })?;
        Ok(())
    }
}

/// Writes the wanted rows of a batch as JSON; the record's raw text, which the page has, is left out.
fn take(batch: &RecordBatch, no: u32, seqs: &[u32], found: &mut BTreeMap<RecordPlace, String>) -> Result<()> {
    let Some(numbers) = batch.column_by_name("page_seq").and_then(|column| column.as_primitive_opt::<Int32Type>()) else { return Ok(()) };
    let chosen: Vec<usize> = (0..batch.num_rows()).filter(|row| seqs.contains(&numbers.value(*row).cast_unsigned())).collect();
    if chosen.is_empty() {
        return Ok(());
    }
    let kept: Vec<usize> = (0..batch.num_columns()).filter(|column| batch.schema_ref().field(*column).name() != "raw").collect();
    let records: ArrayRef = Arc::new(StructArray::from(batch.project(&kept)?));
    for row in chosen {
        let text = document::texts(&records.slice(row, 1))?;
        if let Some(text) = text.as_string_opt::<i32>().filter(|text| text.is_valid(0)) {
            found.insert((no, numbers.value(row).cast_unsigned()), text.value(0).to_owned());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_found_again_whatever_its_name() {
        for location in ["home/x/data [1]/page~1 100%.xml", "pages/b%C3%BCcher/ü?.xml", "p/a.xml"] {
            let page = RereadPage {
                collection_id: "a".into(),
                path: location.into(),
                location: location.into(),
                bytes: 1,
                modified: 1_700_000_000_123_456,
                e_tag: None,
            };
            let pinned = page.pinned().unwrap();
            assert_eq!((pinned.location.as_ref(), pinned.last_modified.timestamp_micros()), (location, page.modified));
        }
    }
}
