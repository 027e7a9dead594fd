"""The record of every generated file: what it is, where it came from, how long it is kept."""
