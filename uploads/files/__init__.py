"""The files of recordings: storage on disk or in S3, the upload handler, and HTTP responses with ranges."""
