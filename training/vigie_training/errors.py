"""The error a person can act on, and how a command shows it."""

import sys
from collections.abc import Callable


class InputError(Exception):
    """What was given cannot be used. `what` names the thing and its value, `hint` says what to do about it."""

    def __init__(self, what: str, hint: str = ""):
        super().__init__(what)
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.args[0]}\n  hint: {self.hint}" if self.hint else str(self.args[0])


def warn(what: str, hint: str) -> None:
    """Say on standard error what will probably disappoint, and go on."""
    print(f"warning: {what}\n  hint: {hint}", file=sys.stderr)


def run_command(command: Callable[[], None]) -> None:
    """Run a command's body: an `InputError` becomes two lines on standard error and exit code 2, not a traceback."""
    try:
        command()
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        sys.exit(130)
