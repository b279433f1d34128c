"""What programs of several algorithms share."""
