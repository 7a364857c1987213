"""The built-in engine: Moonshine's English model, which runs in a process of its own for each job."""
