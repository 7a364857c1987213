"""Jobs as rows: their life from start to end, the queue that workers claim from, and who may do what."""
