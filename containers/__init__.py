"""The release as container images: definitions generated from the release manifest, and the commands that build them.

This package adds the commands ``exaworks images …``. It works only in a checkout and is not part of the installation.
Of the project it imports only ``exaworks_sdk.release`` and ``exaworks_sdk.paths``. ``model`` has the types that
describe an image, ``catalogue`` the list of images, ``render`` writes an image as Containerfile and as Apptainer
definition, ``engines`` and ``build`` run the program that builds it.
"""
