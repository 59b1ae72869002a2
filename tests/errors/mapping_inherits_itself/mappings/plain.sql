FROM plain SELECT *
