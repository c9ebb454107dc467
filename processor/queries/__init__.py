"""What console and data API read: one function per question, SQL in named constants, plain rows out.

Every function takes a cursor of `Store.read()` and a project, so that one answer sees one state of the tables.
"""
