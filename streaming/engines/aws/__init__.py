"""The engine of Amazon Transcribe streaming, with an HTTP/2 transport of our own below the SDK."""
