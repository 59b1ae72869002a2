SELECT decade, count(*) AS records
FROM (SELECT unnest(facet_decade) AS decade FROM calisphere.mapped)
GROUP BY decade
ORDER BY decade
