"""Keep each result of a run on disk, with the rows it is for and a manifest of what was made."""
