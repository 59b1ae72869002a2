FROM oai_qdc SELECT *
