"""The built-in engine: Moonshine's English model, in a process for each stream."""
