"""What is known of a star before its spectrum is seen."""
