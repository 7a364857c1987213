"""The Django app for recordings: uploading, storing, decoding and serving them. It knows nothing of transcription."""
