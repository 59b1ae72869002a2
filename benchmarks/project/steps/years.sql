-- What each collection has of each year.
SELECT
  collection * 10000 + year AS id,
  collection,
  year,
  count(*) AS records,
  count(subject) AS described,
  min(text) AS first_text
FROM facts
GROUP BY collection, year
