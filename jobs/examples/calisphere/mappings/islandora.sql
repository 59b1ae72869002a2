-- Islandora, MODS over OAI-PMH: the base view has nearly all; the identifier that is a link is the page of the object.
FROM oai_mods
SELECT * REPLACE (
    strip_brackets(title)               AS title,
    reject(identifier, '^https?://')    AS identifier,
  ),
  first_of(pick(identifier, '/islandora/object/')) AS is_shown_at,
