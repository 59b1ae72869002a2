FROM contentdm SELECT * REPLACE ('https://photos.wickham.example/cdm/' || after(is_shown_at, '/cdm/') AS is_shown_at)
