"""The commands of `forewarn`, one a module; `streams.cli` puts them together.

Exit status: 0 all well, 1 the world or the input is wrong (said on standard error, without a traceback), 2 wrong usage.
What a machine reads goes to standard output, everything else to standard error.
"""
