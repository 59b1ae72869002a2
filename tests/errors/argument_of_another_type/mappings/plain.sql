FROM vernacular
SELECT * REPLACE (
    split(dc_values, ';') AS subject,
  ),
  first_of(pick(identifier, '^https?://')) AS is_shown_at,
