"""``python -m tumorlens`` is the ``tumorlens`` command; ``torchrun -m tumorlens`` needs it."""

from tumorlens.cli.main import main

if __name__ == "__main__":
    main()
