-- What benchmarks/kit/spec.py asks for. Trimming and removing repetitions is left to the target's finishing pass.
FROM vernacular
SELECT
  datestamp,
  sets[1] AS set_spec,
  CAST(decode(sets[1], 'collections.collection_id', default => NULL) AS INT) AS holding_id,
  decode(sets[1], 'collections.collection_name', default => NULL) AS collection_name,
  decode(sets[1], 'collections.campus', default => 'unknown') AS campus,
  clean(first_of(doc.metadata.title)) AS title,
  list(clean(doc.metadata.creator)) AS creators,
  list(clean(split(doc.metadata.subject, ';'))) AS subjects,
  nullif(array_to_string(clean(doc.metadata.description), ' '), '') AS description,
  coalesce(decode(lower(clean(first_of(doc.metadata.type))), 'types', default => 'other'), 'unknown') AS type,
  lower(clean(first_of(doc.metadata.language))) AS language,
  clean(first_of(doc.metadata.date)) AS date,
  CAST(regexp_match(array_to_string(doc.metadata.date, '|'), '[0-9]{4}')[1] AS INT) AS year,
  CAST(left(regexp_match(array_to_string(doc.metadata.date, '|'), '[0-9]{4}')[1], 3) || '0' AS INT) AS decade,
  first_of(pick(doc.metadata.identifier, '^http')) AS url,
  clean(first_of(doc.metadata.rights)) AS rights,
