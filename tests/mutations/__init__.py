"""Mutation tests: small changes to the product's code, each with the test that must fail because of it.

The modules hold the mutations, one subject each. `make mutations` applies them one by one to a copy of the project.
"""
