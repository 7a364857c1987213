"""daphne with limits and back-pressure."""
