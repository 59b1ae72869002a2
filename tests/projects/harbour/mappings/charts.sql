-- A title is wanted; rights say what is open.
FROM oai_dc
SELECT * REPLACE (
    decode(rights, 'rights') AS rights,
    dcmi_type(type)          AS type,
  )
