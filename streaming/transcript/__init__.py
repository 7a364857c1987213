"""Transcripts as documents: exports and captions."""
