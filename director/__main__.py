"""``python -m director`` is the same as ``director``."""

from director.cli import main

if __name__ == "__main__":
    main()
