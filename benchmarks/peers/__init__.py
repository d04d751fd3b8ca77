"""Programs that measure peers; they run in the peers' environments."""
