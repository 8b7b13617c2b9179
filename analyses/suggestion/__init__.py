"""Finding an auxiliary task: candidates ranked from cheap evidence, and how well that evidence predicts transfer."""
