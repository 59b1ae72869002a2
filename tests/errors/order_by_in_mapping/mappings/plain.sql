FROM oai_dc
SELECT * REPLACE (
    split(subject, ';') AS subject,
    dcmi_type(decode(type, 'types')) AS type,
  ),
  first_of(pick(identifier, '^https?://')) AS is_shown_at,
ORDER BY title
