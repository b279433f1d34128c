"""What schedules of polynomial attention are made of."""
