"""What runs inside a Spark driver: a Jupyter kernel and its interpreters.

Loaded by launch.py under a private name. Imports nothing from the rest of the project; needs only pyspark and
ipykernel, on Python 3.10 or newer.
"""
