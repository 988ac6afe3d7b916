"""A package that brings a protocol along: once it is installed, ``twistd flow --protocol=lines`` serves it."""

from setuptools import setup

setup(
    name="acme-lines",
    version="1.0",
    package_dir={"": "."},
    packages=["acme_lines", "twisted.plugins"],
    install_requires=["twisted_flow"],
)
