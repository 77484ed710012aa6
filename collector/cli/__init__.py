"""The commands of ``exaworks collector``, one module for each group of commands.

May import every other package. At the top, a module imports click only, so that the command line starts fast.
"""
