"""What lies under `runs`: listed, compared, removed, without loading torch."""
