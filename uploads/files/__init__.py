"""Files of recordings: storage on disk or S3, receiving them, and serving them with ranges."""
