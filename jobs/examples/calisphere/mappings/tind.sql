-- TIND, MARC over OAI-PMH. m is the MARC record; +880 adds the values in the original script.
FROM vernacular
SELECT
  ucldc_id(collection_id, record_id, marc(m, '024a'))                       AS id,
  record_id                                                                 AS calisphere_id,
  collection.record_page || marc1(m, '001')                                 AS is_shown_at,
  strip_punct(marc(m, '245!c 242 240 +880'))                                AS title,
  sort_title(first_of(marc(m, '245!c')))                                    AS sort_title,
  marc(m, '246 +880')                                                       AS alternative_title,
  CASE substr(leader, 7, 1)
    WHEN 'k' THEN list('image')
    WHEN 'e' THEN list('image')
    WHEN 'g' THEN list('moving image')
    WHEN 'j' THEN list('sound')
    WHEN 'r' THEN list('physical object')
    ELSE list('text')
  END                                                                       AS type,
  marc(m, '700ae 710ae +880')                                               AS contributor,
  marc(m, '100 110 111 +880')                                               AS creator,
  marc(m, '260c')                                                           AS date,
  facet_decade(marc(m, '260c'))                                             AS facet_decade,
  date_sort_start(dates(marc(m, '260c')))                                   AS sort_date_start,
  date_sort_end(dates(marc(m, '260c')))                                     AS sort_date_end,
  marc(m, '260ab +880')                                                     AS publisher,
  marc(m, '300 340b')                                                       AS extent,
  marc(m, '500-589a', skip => '538 540')                                    AS description,
  marc(m, '655a')                                                           AS genre,
  strip_dot(marc(m, '600!2 610-619!2 630!2 650!2 653-658!2'))               AS subject,
  strip_dot(collate(marc(m, '651a'), marc(m, '600z 610-619z 630z 650z')))   AS spatial,
  marc(m, '760-787')                                                        AS relation,
  language_name(marc(m, '041a'))                                            AS language,
  marc(m, '540a')                                                           AS rights,
  rights_uri(marc(m, '540u'))                                               AS rights_uri,
  list(collection.title)                                                    AS collection_name,
  list(collection.institution)                                              AS repository_name,
