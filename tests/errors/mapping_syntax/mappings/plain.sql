FROM oai_dc
SELECT * REPLACE (split(subject ';') AS subject)
