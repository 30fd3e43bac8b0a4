"""Run programs of model calls: scheduling, queues by model, progress and signals."""
