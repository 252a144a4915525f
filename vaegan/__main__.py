"""`python -m vaegan`."""

from vaegan.cli.main import main

if __name__ == "__main__":
    main()
