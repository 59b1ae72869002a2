FROM vernacular
SELECT doc.name AS title
