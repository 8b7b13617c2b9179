"""Whether tasks use the same heads: maps that are alike, attention that is, and heads of one that another needs."""
