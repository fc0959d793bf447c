"""Many native files into one shard: in parallel, restartable, in memory that does not grow."""
