FROM oai_dc
SELECT * REPLACE (
    split() AS subject,
  ),
  first_of(pick(identifier, '^https?://')) AS is_shown_at,
