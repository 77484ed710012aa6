"""The release as container images: definitions that follow from the release manifest, and the commands that build them.

Used from a checkout only, where it adds the commands ``exaworks images …``; it is not part of the installed package. It
imports ``exaworks_sdk.release`` and ``exaworks_sdk.paths`` and nothing else of the project. ``model`` says what an
image consists of, ``catalogue`` which there are, ``render`` writes one model as Containerfile and as Apptainer
definition, ``engines`` and ``build`` run what builds them.
"""
