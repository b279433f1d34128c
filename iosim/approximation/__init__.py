"""What an approximation costs: its error, its traffic, from where it pays, and which method is the best for given data."""
