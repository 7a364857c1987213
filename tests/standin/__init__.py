"""A stand-in for Amazon Transcribe streaming. `python -m tests.standin` serves it by itself."""

from tests.standin.faults import Fault
from tests.standin.record import Record
from tests.standin.results import Habits
from tests.standin.service import Service
from tests.standin.signatures import Key

__all__ = ["Fault", "Habits", "Key", "Record", "Service"]
