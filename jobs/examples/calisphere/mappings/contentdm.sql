-- ContentDM over OAI-PMH. Values are joined by semicolons, titles and descriptions carry HTML and double escapes, and the
-- page of the object is the last of the identifiers.
FROM oai_dc
SELECT * REPLACE (
    strip_html(title)                               AS title,
    sort_title(first_of(strip_html(title)))         AS sort_title,
    strip_html(description)                         AS description,
    split(contributor, ';')                         AS contributor,
    split(creator, ';')                             AS creator,
    split(subject, ';')                             AS subject,
    language_name(split(language, ';'))             AS language,
    split(spatial, ';')                             AS spatial,
    dcmi_type(decode(split(type, ';'), 'types'))    AS type,
    reject(identifier, '/cdm/ref/')                 AS identifier,
  ),
  last_of(pick(identifier, '/cdm/ref/')) AS is_shown_at,
  rewrite(pick(identifier, '/cdm/ref/'),
    '^(.*)/cdm/ref/collection/([^/]+)/id/(.+)$',
    '\1/utils/getthumbnail/collection/\2/id/\3') AS thumbnail_candidates,
