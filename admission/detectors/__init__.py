"""Detectors: each module finds one kind of personal or private data in a text.

A detector is a module with a function `find_…(text)` that yields `Span`s, and a
constant for the words by which masks and findings name what it found.  Word lists
of natural languages stand in `words/`.  Detectors know neither STIX objects nor
policies; the rules in `tocsin.admission.rules` decide what is done about a finding.

Texts are searched in hot loops, so a detector first asks a cheap question (a
substring in the text, enough digits) and only then runs its patterns.
"""
