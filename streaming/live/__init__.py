"""Live views: feeds of jobs, the sockets that relay them, and their limits and access checks."""
