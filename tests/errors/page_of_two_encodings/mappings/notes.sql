FROM vernacular
SELECT doc.id AS id, doc.id AS calisphere_id, list(doc.title) AS title, list('text') AS type, list('public domain') AS rights,
  'https://alder.example/notes/' || doc.id AS is_shown_at,
