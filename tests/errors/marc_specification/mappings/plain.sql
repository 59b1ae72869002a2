FROM vernacular
SELECT marc(m, '24') AS title,
