SELECT v.title AS title
FROM vernacular v JOIN vernacular w ON v.title = w.title
