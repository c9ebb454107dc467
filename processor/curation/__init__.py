"""Data made by people, and how good it is: what their answers say together, whom to believe, what trains.

Pure: values in, frozen results out, and the same whatever the order of the answers. Nothing here reads a table or
writes an event.
"""
