"""Recording: what a program that was recorded depends on, and numbers that programs read when they run."""
