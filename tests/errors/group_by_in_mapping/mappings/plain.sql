FROM vernacular
SELECT title, count(*) AS n
GROUP BY title
