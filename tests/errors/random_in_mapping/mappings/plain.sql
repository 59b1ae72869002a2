FROM oai_dc
SELECT * REPLACE (
    list(CAST(random() AS VARCHAR)) AS subject,
  ),
  first_of(pick(identifier, '^https?://')) AS is_shown_at,
