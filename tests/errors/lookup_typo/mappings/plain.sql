FROM oai_dc
SELECT * REPLACE (
    decode(type, 'typs') AS type,
  ),
  first_of(pick(identifier, '^https?://')) AS is_shown_at,
