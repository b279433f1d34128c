"""Which words of attention move? A program as what it does to the variables of its theory, word by word."""
