"""`python -m broadcaster.cli`: the same command where no entry script is installed; child processes start like this."""

from broadcaster.cli.main import main

if __name__ == "__main__":
    main()
