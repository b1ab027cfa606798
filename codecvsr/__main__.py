"""``python -m codecvsr``."""

from codecvsr.cli import main

if __name__ == "__main__":
    main()
