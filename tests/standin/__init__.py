"""A stand-in for Amazon Transcribe streaming, for tests and demonstrations. `python -m tests.standin` runs it alone."""

from tests.standin.faults import Fault
from tests.standin.record import Record
from tests.standin.results import Habits
from tests.standin.service import Service
from tests.standin.signatures import Key

__all__ = ["Fault", "Habits", "Key", "Record", "Service"]
