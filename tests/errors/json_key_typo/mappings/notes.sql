FROM vernacular
SELECT doc.head.nmae AS title
