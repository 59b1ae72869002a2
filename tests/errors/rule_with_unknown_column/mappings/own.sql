FROM vernacular SELECT title
