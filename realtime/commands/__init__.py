"""The commands of the command line, one module each: `run(config, ...) -> exit code`."""
