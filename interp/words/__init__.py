"""What was found, in plain words and as rows of tables."""
