"""The analysis of a data set, part by part."""
