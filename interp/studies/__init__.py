"""Studies and their pages as the command line runs them."""
