-- What each subject is used for: every fact meets its subject, and as many groups come out as there are subjects in use.
SELECT
  s.id,
  s.label,
  s.facet,
  count(*) AS records,
  min(f.year) AS earliest,
  max(f.year) AS latest,
  max(f.text) AS last_text
FROM facts AS f
JOIN subjects AS s ON s.id = f.subject
GROUP BY s.id, s.label, s.facet
