"""Write the requests of a run as a provider's batch files, and read the replies back."""
