"""What several processors share: each publishes the partitions it owns, and takes in those of the others.

A part is one file in a folder all processors reach: the rows of the interactions of one partition that changed between
two offsets, or of all of them (a base). A partition's rows at an offset are the same whoever computed them, so that
parts are put in order by their offsets alone (docs/decisions/0011-several-processors.md).
"""
