FROM oai_cd
SELECT * REPLACE (
    split(subject, ';') AS subject,
  ),
  first_of(pick(identifier, '^https?://')) AS is_shown_at,
