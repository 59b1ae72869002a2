FROM oai_dc
SELECT * REPLACE (list($kind) AS type),
  first_of(pick(identifier, '^https?://')) AS is_shown_at,
