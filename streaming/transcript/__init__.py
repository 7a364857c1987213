"""Writes transcripts as files: the export formats and their captions."""
