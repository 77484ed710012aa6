"""The cases of this folder are for the harness, which the tests start; they are no tests of their own."""

collect_ignore = ["cases"]
