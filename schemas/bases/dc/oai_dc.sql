-- Dublin Core, plain or qualified, as its fifteen elements. Qualified elements refine one of them and are folded into it.
FROM vernacular
SELECT
  clean(contributor) AS contributor,
  clean(collate(coverage, spatial, temporal)) AS coverage,
  clean(creator) AS creator,
  clean(collate(date, created, issued)) AS date,
  clean(collate(description, abstract, table_of_contents)) AS description,
  clean(collate(format, extent, medium)) AS format,
  clean(identifier) AS identifier,
  clean(language) AS language,
  clean(publisher) AS publisher,
  clean(collate(relation, is_part_of, has_part, is_version_of, references)) AS relation,
  clean(collate(rights, access_rights, license)) AS rights,
  clean(source) AS source,
  clean(subject) AS subject,
  clean(collate(title, alternative)) AS title,
  clean(type) AS type,
