"""The engine for Amazon Transcribe streaming. It uses AWS's SDK with an HTTP/2 transport of our own."""
