"""Whether everything is there that the toolkit needs."""
