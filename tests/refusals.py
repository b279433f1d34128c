"""What an input that can't be used has to say."""

import re

import pytest

from iosim.errors import UsageError


def refused(call, *parts):
    """Assert that the call raises a UsageError of one line that holds each of the parts."""
    with pytest.raises(UsageError, match=re.escape(parts[0])) as caught:
        call()
    message = str(caught.value)
    assert "\n" not in message
    assert all(part in message for part in parts), message
