#!/usr/bin/env python
"""Django's command line, with the settings of this site and, where there is one, the file `.env`."""

import os
import sys
from pathlib import Path

import dotenv
from django.core.exceptions import ImproperlyConfigured
from django.core.management import execute_from_command_line


def main() -> None:
    # Variables that are already in the environment take precedence over the file.
    dotenv.load_dotenv(Path(__file__).with_name(".env"))
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "transcribe_site.settings")
    try:
        execute_from_command_line(sys.argv)
    except ImproperlyConfigured as error:
        sys.exit(str(error))  # the sentence is enough without a traceback


if __name__ == "__main__":
    main()
