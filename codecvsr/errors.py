"""The errors a user is meant to read.

Each message says what was wrong, what was expected and what to do, in one or two sentences. The command line prints
it without a traceback and exits with the class's ``exit_code``.
"""


class CodecVSRError(Exception):
    """Base of every error codecvsr raises on purpose; its text is written for users."""

    exit_code = 1


class InputError(CodecVSRError):
    """A file or folder the user named cannot be used as it is."""


class DamagedInputError(InputError):
    """A stream is truncated or corrupt; the frames before the damage can be had with ``allow_damaged=True``."""


class UnsupportedInputError(InputError):
    """A readable file that this operation does not support (a codec without motion vectors, interlaced coding...)."""


class InterlacedInputError(UnsupportedInputError):
    """A video is coded as fields, and this operation needs the motion vectors of whole pictures."""


class HdrInputError(UnsupportedInputError):
    """An HDR video, which ``tonemap`` converts."""


class OutputError(CodecVSRError):
    """An output cannot be written, or exists already and overwriting was not asked for."""


class OtherJobError(OutputError):
    """The unfinished run of an output is of another input, or has other options."""


class CheckpointError(CodecVSRError):
    """A model file is unreadable, unsafe to load or fits no known network."""


class QualityGateError(CodecVSRError):
    """A threshold the user set (such as ``--min-psnr``) was missed."""

    exit_code = 4
