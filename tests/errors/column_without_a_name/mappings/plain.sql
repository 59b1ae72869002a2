FROM oai_dc
SELECT *, first_of(title),
