"""The `thumbwheel` command: thin; each subcommand calls one function of the packages."""
