FROM oai_dc
SELECT * REPLACE (titel AS title)
