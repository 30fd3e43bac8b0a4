"""Run `python -m clairkit.cli`, as launchers such as accelerate call it."""

from clairkit.cli.main import main

if __name__ == "__main__":
    main()
