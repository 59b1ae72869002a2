FROM vernacular
SELECT title, type,
