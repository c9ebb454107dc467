"""Blind tests as arithmetic: pure, once; the processor counts with it, the command line estimates with it."""
