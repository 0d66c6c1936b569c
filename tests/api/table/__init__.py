"""The table of requests: for each one what must be there first, what it is answered, and who is told what.

Each row is a function in a module named after its section of the document. `cast` holds what rows are made
of.
"""
