FROM vernacular
SELECT * REPLACE (
    xpath(raw, '//dc:title[') AS subject,
  ),
  first_of(pick(identifier, '^https?://')) AS is_shown_at,
