"""The contract as documents that others can read: JSON Schemas of what goes in and out, and one AsyncAPI document of it all.

Both are made from the very structs that the code decodes and encodes (`models.events`, `models.alerts`,
`models.publication`), so they cannot tell anything else. What is committed of them (`deploy/schemas/`) is held against the
code by a test, and what v1 promised against both by another.
"""
