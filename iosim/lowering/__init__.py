"""From a program to a GPU kernel, piece by piece; put together in `iosim.interpret.triton`."""
