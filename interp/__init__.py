"""The command line, figures and the report page. Imports everything below it; nothing imports it."""
