"""clairkit inside of other people's trainers, one package each."""
