"""Read what a finished training run logged: curves and a diagnosis."""
