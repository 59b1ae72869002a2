FROM oai_dc
SELECT * REPLACE (
    splitt(subject, ';') AS subject,
  ),
  first_of(pick(identifier, '^https?://')) AS is_shown_at,
