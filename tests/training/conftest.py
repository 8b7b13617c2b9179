"""Fixtures of the training tests."""

from tests.threads import one_thread as one_thread
