"""Save a run's checkpoints, check them, and resume from the newest good one."""
