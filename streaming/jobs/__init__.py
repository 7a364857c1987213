"""Jobs: their transitions from start to end, the queue that workers claim jobs from, and permissions."""
