"""What can go wrong, as exception types: where it happened, what was found, what is allowed."""


class IosimError(Exception):
    """Root of every error that iosim raises on purpose."""


class UsageError(IosimError, ValueError):
    """A value from outside (a flag, a file, an argument) that iosim can't work with; exit code 2 at the shell."""


class UnknownNameError(IosimError, LookupError):
    """A name that nothing is registered under."""


class MissingPackageError(IosimError, ImportError):
    """A package that is needed for this only, and isn't installed; the message says how to install it."""


class ProgramError(IosimError, ValueError):
    """A program that is not well formed, found while it is being built."""


class CountError(IosimError, ArithmeticError):
    """A count that can't be given exactly."""


class ExecutionError(IosimError, RuntimeError):
    """A program that can't be executed on the given arrays."""


class SweepError(IosimError, RuntimeError):
    """A sweep that can't go on, though nothing is wrong with what was asked; what is done is kept."""


class ProofError(IosimError, ArithmeticError):
    """A step of a proof that does not hold, or that the kernel can't follow."""


class MeaningError(IosimError, ValueError):
    """A statement that has no meaning for the words of attention."""


class NotLowerable(IosimError, ValueError):  # noqa: N818  the field's word for it, like NotImplemented
    """A statement that no GPU kernel is written for."""
