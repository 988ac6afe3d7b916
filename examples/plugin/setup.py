"""A package that brings an executor along: once it is installed, ``twistd flow --uses=reverse`` serves it."""

from setuptools import setup

setup(
    name="acme-executors",
    version="1.0",
    package_dir={"": "."},
    packages=["acme_executors", "twisted.plugins"],
    install_requires=["twisted_flow"],
)
