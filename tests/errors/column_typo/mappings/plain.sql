FROM oai_dc
SELECT * REPLACE (
    split(subjct, ';') AS subject,
  ),
  first_of(pick(identifier, '^https?://')) AS is_shown_at,
