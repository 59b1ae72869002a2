FROM oai_dc
SELECT * REPLACE (
    decode(type, 'types.mean') AS type,
  ),
  first_of(pick(identifier, '^https?://')) AS is_shown_at,
