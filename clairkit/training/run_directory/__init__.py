"""Write the run directory: its files, its model card, its final model."""
