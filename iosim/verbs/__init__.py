"""The verbs of the command line, one file a family; `iosim.cli` puts them together."""
