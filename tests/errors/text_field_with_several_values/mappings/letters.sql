FROM vernacular
SELECT record_id AS id, record_id AS calisphere_id, title, list('image') AS type, rights,
  first_of(identifier) AS is_shown_at, list(date) AS date,
