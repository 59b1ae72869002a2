//! What the S3 server of the tests holds: buckets in memory, behind the protocol of `s3s`.
//!
//! Not `s3s-fs`, which looks and then writes: two conditional puts at once would both succeed, and a test of the commit
//! would prove nothing. Here every operation is one step under one lock. Listings carry etags and uploads can be listed,
//! as on Amazon's, and a key may be a prefix of another.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use bytes::{Bytes, BytesMut};
use futures::TryStreamExt;
use s3s::crypto::{Checksum, Md5};
use s3s::dto::{
    AbortMultipartUploadInput, AbortMultipartUploadOutput, Bucket, CommonPrefix, CompleteMultipartUploadInput,
    CompleteMultipartUploadOutput, CopyObjectInput, CopyObjectOutput, CopyObjectResult, CopySource, CreateBucketInput, CreateBucketOutput,
    CreateMultipartUploadInput, CreateMultipartUploadOutput, DeleteObjectInput, DeleteObjectOutput, DeleteObjectsInput,
    DeleteObjectsOutput, DeletedObject, ETag, ETagCondition, GetObjectInput, GetObjectOutput, HeadBucketInput, HeadBucketOutput,
    HeadObjectInput, HeadObjectOutput, ListBucketsInput, ListBucketsOutput, ListMultipartUploadsInput, ListMultipartUploadsOutput,
    ListObjectsV2Input, ListObjectsV2Output, MultipartUpload, PutObjectInput, PutObjectOutput, StreamingBlob, Timestamp, UploadPartInput,
    UploadPartOutput,
};
use s3s::{S3, S3Request, S3Response, S3Result, s3_error};

/// Smallest part of an upload but its last, as on Amazon's.
const SMALLEST_PART: usize = 5 << 20;

/// The buckets; clones are the same ones.
#[derive(Debug, Clone, Default)]
pub struct Buckets {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    buckets: BTreeMap<String, BTreeMap<String, Object>>,
    uploads: BTreeMap<String, Upload>,
    made: u64,
    /// Conditions are not looked at, as by some compatible stores.
    unconditional: bool,
}

#[derive(Debug, Clone)]
struct Object {
    bytes: Bytes,
    etag: String,
    modified: SystemTime,
}

#[derive(Debug)]
struct Upload {
    bucket: String,
    key: String,
    parts: BTreeMap<i32, Object>,
}

impl Object {
    fn new(bytes: Bytes) -> Self {
        let etag = hex(&Md5::checksum(&bytes));
        Self { bytes, etag, modified: SystemTime::now() }
    }

    fn etag(&self) -> ETag {
        ETag::Strong(self.etag.clone())
    }
}

impl Buckets {
    /// Makes a bucket, if there is none of the name.
    pub fn make(&self, bucket: &str) {
        self.state().buckets.entry(bucket.to_owned()).or_default();
    }

    /// Puts an object, in a bucket that is made if need be.
    pub fn put(&self, bucket: &str, key: &str, bytes: impl Into<Bytes>) {
        self.state().buckets.entry(bucket.to_owned()).or_default().insert(key.to_owned(), Object::new(bytes.into()));
    }

    /// An object's bytes.
    pub fn get(&self, bucket: &str, key: &str) -> Option<Bytes> {
        Some(self.state().buckets.get(bucket)?.get(key)?.bytes.clone())
    }

    /// Removes an object.
    pub fn remove(&self, bucket: &str, key: &str) -> bool {
        self.state().buckets.get_mut(bucket).is_some_and(|objects| objects.remove(key).is_some())
    }

    /// Keys of a bucket that begin with `prefix`, in order.
    pub fn keys(&self, bucket: &str, prefix: &str) -> Vec<String> {
        let state = self.state();
        let keys = state.buckets.get(bucket).into_iter().flat_map(|objects| objects.keys());
        keys.filter(|key| key.starts_with(prefix)).cloned().collect()
    }

    /// Keys of the multipart uploads that were begun and neither completed nor aborted.
    pub fn uploads(&self) -> Vec<String> {
        self.state().uploads.values().map(|upload| format!("{}/{}", upload.bucket, upload.key)).collect()
    }

    /// From now on conditions of writes are ignored, as by stores that do not know them.
    pub fn ignore_conditions(&self) {
        self.state().unconditional = true;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn bucket(&self, name: &str) -> S3Result<&BTreeMap<String, Object>> {
        self.buckets.get(name).ok_or_else(|| s3_error!(NoSuchBucket, "The specified bucket does not exist"))
    }

    fn object(&self, bucket: &str, key: &str) -> S3Result<&Object> {
        self.bucket(bucket)?.get(key).ok_or_else(|| s3_error!(NoSuchKey, "The specified key does not exist."))
    }

    /// Looks and writes, in one step.
    fn write(
        &mut self,
        bucket: &str,
        key: &str,
        object: Object,
        if_match: Option<&ETagCondition>,
        if_none_match: Option<&ETagCondition>,
    ) -> S3Result<()> {
        let there = self.bucket(bucket)?.get(key);
        let taken = if_none_match.is_some_and(ETagCondition::is_any) && there.is_some();
        let changed = match if_match {
            None => false,
            Some(ETagCondition::Any) => there.is_none(),
            Some(ETagCondition::ETag(expected)) => !there.is_some_and(|object| object.etag().strong_cmp(expected)),
        };
        if (taken || changed) && !self.unconditional {
            return Err(s3_error!(PreconditionFailed, "At least one of the pre-conditions you specified did not hold"));
        }
        self.buckets.entry(bucket.to_owned()).or_default().insert(key.to_owned(), object);
        Ok(())
    }

    fn upload(&mut self, id: &str) -> S3Result<&mut Upload> {
        self.uploads.get_mut(id).ok_or_else(|| s3_error!(NoSuchUpload, "The specified upload does not exist"))
    }
}

#[async_trait::async_trait]
impl S3 for Buckets {
    async fn create_bucket(&self, request: S3Request<CreateBucketInput>) -> S3Result<S3Response<CreateBucketOutput>> {
        self.make(&request.input.bucket);
        Ok(S3Response::new(CreateBucketOutput::default()))
    }

    async fn head_bucket(&self, request: S3Request<HeadBucketInput>) -> S3Result<S3Response<HeadBucketOutput>> {
        self.state().bucket(&request.input.bucket)?;
        Ok(S3Response::new(HeadBucketOutput::default()))
    }

    async fn list_buckets(&self, _: S3Request<ListBucketsInput>) -> S3Result<S3Response<ListBucketsOutput>> {
        let names: Vec<String> = self.state().buckets.keys().cloned().collect();
        let buckets = names.into_iter().map(|name| Bucket { name: Some(name), ..Bucket::default() }).collect();
        Ok(S3Response::new(ListBucketsOutput { buckets: Some(buckets), ..ListBucketsOutput::default() }))
    }

    async fn get_object(&self, request: S3Request<GetObjectInput>) -> S3Result<S3Response<GetObjectOutput>> {
        let input = request.input;
        let object = self.state().object(&input.bucket, &input.key)?.clone();
        if let Some(ETagCondition::ETag(expected)) = &input.if_match
            && !object.etag().strong_cmp(expected)
        {
            return Err(s3_error!(PreconditionFailed, "At least one of the pre-conditions you specified did not hold"));
        }
        let whole = object.bytes.len();
        let (bytes, content_range) = match input.range {
            None => (object.bytes.clone(), None),
            Some(range) => {
                let range = range.check(whole as u64)?;
                let shown = format!("bytes {}-{}/{whole}", range.start, range.end - 1);
                (object.bytes.slice(range.start as usize..range.end as usize), Some(shown))
            }
        };
        let length = bytes.len() as i64;
        Ok(S3Response::new(GetObjectOutput {
            body: Some(StreamingBlob::wrap(futures::stream::iter([Ok::<_, std::io::Error>(bytes)]))),
            content_length: Some(length),
            content_range,
            e_tag: Some(object.etag()),
            last_modified: Some(Timestamp::from(object.modified)),
            ..GetObjectOutput::default()
        }))
    }

    async fn head_object(&self, request: S3Request<HeadObjectInput>) -> S3Result<S3Response<HeadObjectOutput>> {
        let object = self.state().object(&request.input.bucket, &request.input.key)?.clone();
        Ok(S3Response::new(HeadObjectOutput {
            content_length: Some(object.bytes.len() as i64),
            e_tag: Some(object.etag()),
            last_modified: Some(Timestamp::from(object.modified)),
            ..HeadObjectOutput::default()
        }))
    }

    async fn put_object(&self, request: S3Request<PutObjectInput>) -> S3Result<S3Response<PutObjectOutput>> {
        let input = request.input;
        let object = Object::new(whole(input.body).await?);
        let e_tag = Some(object.etag());
        self.state().write(&input.bucket, &input.key, object, input.if_match.as_ref(), input.if_none_match.as_ref())?;
        Ok(S3Response::new(PutObjectOutput { e_tag, ..PutObjectOutput::default() }))
    }

    async fn copy_object(&self, request: S3Request<CopyObjectInput>) -> S3Result<S3Response<CopyObjectOutput>> {
        let input = request.input;
        let CopySource::Bucket { bucket, key, .. } = &input.copy_source else {
            return Err(s3_error!(NotImplemented));
        };
        let mut state = self.state();
        let object = Object { modified: SystemTime::now(), ..state.object(bucket, key)?.clone() };
        let (e_tag, last_modified) = (Some(object.etag()), Some(Timestamp::from(object.modified)));
        state.write(&input.bucket, &input.key, object, None, None)?;
        let result = CopyObjectResult { e_tag, last_modified, ..CopyObjectResult::default() };
        Ok(S3Response::new(CopyObjectOutput { copy_object_result: Some(result), ..CopyObjectOutput::default() }))
    }

    async fn delete_object(&self, request: S3Request<DeleteObjectInput>) -> S3Result<S3Response<DeleteObjectOutput>> {
        self.state().bucket(&request.input.bucket)?;
        self.remove(&request.input.bucket, &request.input.key);
        Ok(S3Response::new(DeleteObjectOutput::default()))
    }

    async fn delete_objects(&self, request: S3Request<DeleteObjectsInput>) -> S3Result<S3Response<DeleteObjectsOutput>> {
        let input = request.input;
        self.state().bucket(&input.bucket)?;
        let gone = input.delete.objects.into_iter().map(|object| {
            self.remove(&input.bucket, &object.key);
            DeletedObject { key: Some(object.key), ..DeletedObject::default() }
        });
        Ok(S3Response::new(DeleteObjectsOutput { deleted: Some(gone.collect()), ..DeleteObjectsOutput::default() }))
    }

    async fn list_objects_v2(&self, request: S3Request<ListObjectsV2Input>) -> S3Result<S3Response<ListObjectsV2Output>> {
        let input = request.input;
        let state = self.state();
        let objects = state.bucket(&input.bucket)?;
        let prefix = input.prefix.clone().unwrap_or_default();
        let delimiter = input.delimiter.clone().filter(|delimiter| !delimiter.is_empty());
        let most = input.max_keys.and_then(|most| usize::try_from(most).ok()).unwrap_or(1000).min(1000);
        let after = input.continuation_token.clone().max(input.start_after.clone());
        let from = after.as_deref().filter(|after| *after >= prefix.as_str()).map_or(Bound::Included(prefix.as_str()), Bound::Excluded);
        let (mut contents, mut prefixes, mut last) = (Vec::new(), BTreeSet::new(), None);
        let mut truncated = false;
        for (key, object) in objects.range::<str, _>((from, Bound::Unbounded)).take_while(|(key, _)| key.starts_with(&prefix)) {
            let below = delimiter.as_ref().and_then(|delimiter| {
                let end = key[prefix.len()..].find(delimiter.as_str())?;
                Some(key[..prefix.len() + end + delimiter.len()].to_owned())
            });
            // The prefix was told with the page before, whose last key or prefix it is.
            if below.as_ref().is_some_and(|below| prefixes.contains(below) || after.as_ref().is_some_and(|after| after >= below)) {
                continue;
            }
            if contents.len() + prefixes.len() == most {
                truncated = true;
                break;
            }
            last = Some(below.clone().unwrap_or_else(|| key.clone()));
            match below {
                Some(below) => _ = prefixes.insert(below),
                None => contents.push(s3s::dto::Object {
                    key: Some(key.clone()),
                    size: Some(object.bytes.len() as i64),
                    e_tag: Some(object.etag()),
                    last_modified: Some(Timestamp::from(object.modified)),
                    ..s3s::dto::Object::default()
                }),
            }
        }
        Ok(S3Response::new(ListObjectsV2Output {
            name: Some(input.bucket.clone()),
            prefix: input.prefix,
            delimiter: input.delimiter,
            max_keys: input.max_keys,
            key_count: Some((contents.len() + prefixes.len()) as i32),
            contents: Some(contents),
            common_prefixes: Some(prefixes.into_iter().map(|prefix| CommonPrefix { prefix: Some(prefix) }).collect()),
            is_truncated: Some(truncated),
            next_continuation_token: last.filter(|_| truncated),
            continuation_token: input.continuation_token,
            start_after: input.start_after,
            ..ListObjectsV2Output::default()
        }))
    }

    async fn create_multipart_upload(
        &self,
        request: S3Request<CreateMultipartUploadInput>,
    ) -> S3Result<S3Response<CreateMultipartUploadOutput>> {
        let (bucket, key) = (request.input.bucket, request.input.key);
        let mut state = self.state();
        state.bucket(&bucket)?;
        state.made += 1;
        let id = format!("upload-{}", state.made);
        state.uploads.insert(id.clone(), Upload { bucket: bucket.clone(), key: key.clone(), parts: BTreeMap::new() });
        Ok(S3Response::new(CreateMultipartUploadOutput {
            bucket: Some(bucket),
            key: Some(key),
            upload_id: Some(id),
            ..CreateMultipartUploadOutput::default()
        }))
    }

    async fn upload_part(&self, request: S3Request<UploadPartInput>) -> S3Result<S3Response<UploadPartOutput>> {
        let input = request.input;
        let part = Object::new(whole(input.body).await?);
        let e_tag = Some(part.etag());
        self.state().upload(&input.upload_id)?.parts.insert(input.part_number, part);
        Ok(S3Response::new(UploadPartOutput { e_tag, ..UploadPartOutput::default() }))
    }

    async fn complete_multipart_upload(
        &self,
        request: S3Request<CompleteMultipartUploadInput>,
    ) -> S3Result<S3Response<CompleteMultipartUploadOutput>> {
        let input = request.input;
        let named = input.multipart_upload.and_then(|upload| upload.parts).unwrap_or_default();
        let mut state = self.state();
        let upload = state.upload(&input.upload_id)?;
        let mut bytes = BytesMut::new();
        for (index, part) in named.iter().enumerate() {
            let number = part.part_number.unwrap_or_default();
            let there = upload.parts.get(&number).filter(|there| part.e_tag.as_ref().is_none_or(|etag| there.etag().strong_cmp(etag)));
            let there = there.ok_or_else(|| s3_error!(InvalidPart, "One or more of the specified parts could not be found"))?;
            if index + 1 < named.len() && there.bytes.len() < SMALLEST_PART {
                return Err(s3_error!(EntityTooSmall, "Your proposed upload is smaller than the minimum allowed size"));
            }
            bytes.extend_from_slice(&there.bytes);
        }
        let mut object = Object::new(bytes.freeze());
        object.etag = format!("{}-{}", object.etag, named.len());
        let e_tag = Some(object.etag());
        state.write(&input.bucket, &input.key, object, input.if_match.as_ref(), input.if_none_match.as_ref())?;
        state.uploads.remove(&input.upload_id);
        Ok(S3Response::new(CompleteMultipartUploadOutput {
            bucket: Some(input.bucket),
            key: Some(input.key),
            e_tag,
            ..CompleteMultipartUploadOutput::default()
        }))
    }

    async fn abort_multipart_upload(
        &self,
        request: S3Request<AbortMultipartUploadInput>,
    ) -> S3Result<S3Response<AbortMultipartUploadOutput>> {
        let mut state = self.state();
        state.upload(&request.input.upload_id)?;
        state.uploads.remove(&request.input.upload_id);
        Ok(S3Response::new(AbortMultipartUploadOutput::default()))
    }

    async fn list_multipart_uploads(
        &self,
        request: S3Request<ListMultipartUploadsInput>,
    ) -> S3Result<S3Response<ListMultipartUploadsOutput>> {
        let (bucket, prefix) = (request.input.bucket, request.input.prefix.unwrap_or_default());
        let state = self.state();
        state.bucket(&bucket)?;
        let here = state.uploads.iter().filter(|(_, upload)| upload.bucket == bucket && upload.key.starts_with(&prefix));
        let uploads = here.map(|(id, upload)| MultipartUpload {
            key: Some(upload.key.clone()),
            upload_id: Some(id.clone()),
            ..MultipartUpload::default()
        });
        Ok(S3Response::new(ListMultipartUploadsOutput {
            uploads: Some(uploads.collect()),
            bucket: Some(bucket.clone()),
            is_truncated: Some(false),
            ..ListMultipartUploadsOutput::default()
        }))
    }
}

async fn whole(body: Option<StreamingBlob>) -> S3Result<Bytes> {
    let Some(body) = body else { return Ok(Bytes::new()) };
    let chunks: Vec<Bytes> = body.try_collect().await.map_err(|error| s3_error!(IncompleteBody, "{error}"))?;
    Ok(chunks.concat().into())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
